"""A daemon whose clock is not the host's: faketime(1), with a time of day that tests can set while it runs.

Only the time of day is another; what says how long ago something was, is not touched.
"""

import glob
import os
from typing import Dict, Optional

_PATTERN = "/usr/lib/*/faketime/libfaketime.so.1"


def library() -> Optional[str]:
    """The library of faketime(1); None where it is not installed."""
    return next(iter(glob.glob(_PATTERN)), None)


class FalseClock:
    """A clock, so many seconds ahead of the host's; negative numbers are behind it."""

    def __init__(self, folder: "os.PathLike[str]", seconds: int = 0) -> None:
        self._path = os.path.join(folder, f"clock-{os.urandom(4).hex()}")
        self.set(seconds)

    def set(self, seconds: int) -> None:
        """Programs with this clock see it from the next time they look."""
        with open(self._path + ".new", "w", encoding="ascii") as file:
            file.write(f"{seconds:+}\n")
        os.rename(self._path + ".new", self._path)

    @property
    def environment(self) -> Dict[str, str]:
        """What a program that is to have this clock needs in its environment."""
        preload = library()
        assert preload, "faketime is not installed (Debian package faketime)"
        return {
            "LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": self._path, "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
