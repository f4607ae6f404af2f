"""One running program, with its output."""

import re
import signal
import subprocess
import threading
from typing import IO, List, Mapping, Match, Optional, Sequence, Tuple

from .waiting import eventually


class Program:
    """A started program whose output is read as it comes. Ends with the `with` block at the latest."""

    def __init__(self, command: Sequence[str], name: str, env: Optional[Mapping[str, str]] = None) -> None:
        self.name = name
        self.command = list(command)
        self._lines: List[Tuple[str, str]] = []
        self._lock = threading.Lock()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            env=env,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, which), daemon=True)
            for stream, which in ((self.process.stdout, "stdout"), (self.process.stderr, "stderr"))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], which: str) -> None:
        for line in stream:
            with self._lock:
                self._lines.append((which, line.rstrip("\n")))

    # What it said

    def lines(self, which: Optional[str] = None, start: int = 0) -> List[str]:
        """All lines so far, of "stdout", of "stderr", or of both in the order in which they came."""
        with self._lock:
            return [line for stream, line in self._lines[start:] if which in (None, stream)]

    @property
    def output(self) -> str:
        return "\n".join(self.lines())

    @property
    def position(self) -> int:
        """How many lines there are: a `start` that makes `wait_for_line` look at later ones only."""
        with self._lock:
            return len(self._lines)

    def wait_for_line(
        self, pattern: str, timeout: float = 5.0, which: Optional[str] = None, start: int = 0
    ) -> Match[str]:
        """The first line in which the regular expression is found; fails if the program ends without one."""

        def find() -> Optional[Match[str]]:
            alive = self.alive
            if not alive:
                for reader in self._readers:
                    reader.join(1)
            for line in self.lines(which, start):
                match = re.search(pattern, line)
                if match:
                    return match
            if not alive:
                raise AssertionError(
                    f"{self.name} ended with status {self.process.returncode} before it said {pattern!r}:\n{self.output}"
                )
            return None

        try:
            return eventually(find, timeout, f"{self.name} to say {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\noutput of {self.name}:\n{self.output}") from None

    # What it does

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def write_line(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, timeout: float = 5.0) -> int:
        """The exit status, once the program has ended by itself."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} is still running after {timeout} s:\n{self.output}") from None
        for reader in self._readers:
            reader.join(1)
        return status

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, timeout: float = 5.0) -> int:
        """Asks the program to end (SIGTERM), makes it if it does not, and returns the exit status."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                if stream:
                    stream.close()
            except OSError:
                pass
        return status

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(5)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def resident_kilobytes(process: int) -> int:
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
