"""Waiting for a condition, never for a time."""

import time
from typing import Callable, Optional, TypeVar

Value = TypeVar("Value")


def eventually(
    condition: Callable[[], Optional[Value]], timeout: float = 5.0, what: str = "the condition"
) -> Value:
    """Returns the first true value of `condition`; fails with `what` in its message after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}; last value: {value!r}")
        time.sleep(0.01)
