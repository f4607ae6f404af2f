"""A host: one network namespace."""

import itertools
import os
import signal
import shutil
import subprocess
import tempfile
from typing import Dict, List, Mapping, Optional, Sequence

from .processes import Program
from .waiting import eventually

PYTHON = "/usr/bin/python3"

_numbers = itertools.count(1)


def _ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 0, f"ip {' '.join(arguments)}: {result.stderr}"


class Host:
    """A network namespace with a name of its own; it and all that runs in it end with the `with` block.

    `ipv4` and `ipv6` are its addresses, the ones others reach it at.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.name = f"tk{os.getpid()}-{next(_numbers)}-{role}"
        self.ipv4 = ""
        self.ipv6 = ""
        self.records = tempfile.mkdtemp(prefix="tk-records-")
        self._programs: List[Program] = []
        _ip("netns", "add", self.name)
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
            # No duplicate address detection: addresses are usable at once.
            self.sysctl({"net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0})
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"Host({self.name})"

    def address(self, family: int) -> str:
        """The address of family 4 or 6."""
        return self.ipv4 if family == 4 else self.ipv6

    # Set-up

    def ip(self, *arguments: str) -> None:
        """`ip` in this namespace."""
        _ip("-n", self.name, *arguments)

    def sysctl(self, settings: Mapping[str, object]) -> None:
        self.run(["sysctl", "-qw", *(f"{name}={value}" for name, value in settings.items())])

    def connect(self, interface: str, other: "Host", other_interface: str) -> None:
        """A cable (veth pair) to another host; both ends are up."""
        _ip("link", "add", interface, "netns", self.name, "type", "veth",
            "peer", "name", other_interface, "netns", other.name)  # fmt: skip
        self.ip("link", "set", interface, "up")
        other.ip("link", "set", other_interface, "up")

    def add_address(self, interface: str, ipv4: str = "", ipv6: str = "") -> None:
        """Gives an interface addresses (with prefix length); the first ones given become `ipv4` and `ipv6`."""
        if ipv4:
            self.ip("addr", "add", ipv4, "dev", interface)
            self.ipv4 = self.ipv4 or ipv4.split("/")[0]
        if ipv6:
            self.ip("addr", "add", ipv6, "dev", interface, "nodad")
            self.ipv6 = self.ipv6 or ipv6.split("/")[0]

    # Programs

    def command(self, command: Sequence[str]) -> List[str]:
        """The command that runs `command` in this namespace."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(
        self,
        command: Sequence[str],
        check: bool = True,
        timeout: float = 20.0,
        input: Optional[str] = None,
        env: Optional[Dict[str, str]] = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a program to its end. `env` is added to the environment."""
        result = subprocess.run(
            self.command(command),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env=self._environment(env),
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"{self.role}: {' '.join(command)}: status {result.returncode}\n{result.stdout}{result.stderr}"
            )
        return result

    def _environment(self, more: Optional[Dict[str, str]]) -> Dict[str, str]:
        # What server.sh keeps over a boot is not this machine's.
        return {**os.environ, "TCPKNOCK_FIREWALL_STATE": self.records, **(more or {})}

    def popen(self, command: Sequence[str], name: str = "", env: Optional[Dict[str, str]] = None) -> Program:
        """Starts a program; it ends with the `with` block of the program or of the host."""
        program = Program(
            self.command(command),
            name or f"{os.path.basename(command[0])} on {self.role}",
            env=self._environment(env),
        )
        self._programs.append(program)
        return program

    def python(
        self, code: str, *arguments: object, check: bool = True, timeout: float = 20.0
    ) -> "subprocess.CompletedProcess[str]":
        """Runs Python code; `arguments` are its sys.argv[1:]."""
        return self.run([PYTHON, "-c", code, *map(str, arguments)], check=check, timeout=timeout)

    def processes(self) -> List[int]:
        """The numbers of all processes in this namespace."""
        command = ["ip", "netns", "pids", self.name]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return [int(pid) for pid in listed.stdout.split()]

    # The end

    def close(self) -> None:
        """Ends everything in the namespace, all of which the tests have started, and removes it."""
        for program in self._programs:
            if program.alive:
                program.kill()

        def empty() -> bool:
            listed = self.processes()
            for pid in listed:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not listed

        try:
            eventually(empty, 5, f"the processes of {self.name} to end")
        finally:
            _ip("netns", "del", self.name)
            shutil.rmtree(self.records, ignore_errors=True)

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
