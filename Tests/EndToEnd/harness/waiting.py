"""Waiting for a condition, never for a time."""

import os
import time
from typing import Callable, Optional, TypeVar

Value = TypeVar("Value")

# How many times longer than usual daemons may take for what they do: more than 1 where a sanitizer slows them down.
PATIENCE = float(os.environ.get("TCPKNOCK_TEST_PATIENCE", "1"))


def eventually(
    condition: Callable[[], Optional[Value]], timeout: float = 5.0, what: str = "the condition"
) -> Value:
    """Returns the first true value of `condition`; fails with `what` in its message after `timeout` seconds, or PATIENCE times that."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}; last value: {value!r}")
        time.sleep(0.01)
