"""What every part is given."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Sequence

from harness import daemons
from harness.firewall import firewall, script
from harness.hosts import PYTHON, Host
from harness.processes import Program
from knockprotocol import Keys, read_key

from . import FOLDER
from .figures import Results
from .load import Generator


#: Whether the daemon has the filter in the kernel; all parts but one are about the queue, and switch it off.
FILTER_FLAG = "--kernel-filter"


@dataclass
class Context:
    """The settings of a run, its folder, and where results go."""

    folder: str
    rounds: int
    quick: bool
    results: Results = field(default_factory=Results)

    def __post_init__(self) -> None:
        subprocess.run(
            ["make", "-s", "-C", os.path.join(FOLDER, "baselines"), f"OUT={self.folder}"], check=True, timeout=120
        )
        self.key_file = daemons.keygen(Path(self.folder, "port_protector.dat"))
        self.syn_key = Keys.derive(read_key(self.key_file)).k1.hex()
        self.has_filter = _mentions([daemons.program("tcpknock-server")], FILTER_FLAG)
        self.rules_have_filter = _mentions([script("server")], FILTER_FLAG)

    def tool(self, name: str) -> str:
        """The path of a C program of the suite."""
        return os.path.join(self.folder, name)

    def generator(self, host: Host, target: Host) -> Generator:
        return Generator(self.tool("synflood"), host, target, self.syn_key)

    def start_server(self, host: Host) -> Program:
        """tcpknock-server without the filter in the kernel."""
        return daemons.start_server(host, self.key_file, more=[FILTER_FLAG, "off"] if self.has_filter else [])

    def put_server_rules(self, host: Host) -> None:
        """The server's rules without the filter in the kernel."""
        firewall(host, "server", "up", *([FILTER_FLAG, "off"] if self.rules_have_filter else []))

    def protect(self, host: Host) -> None:
        """Both."""
        self.start_server(host)
        self.put_server_rules(host)

    def equip(self, host: Host) -> None:
        """tcpknock-client and its rules."""
        daemons.start_client(host, self.key_file)
        firewall(host, "client", "up")

    def first_byte(self, ordinary: bool) -> List[str]:
        """The program that serves and connects: in C, or (`ordinary`) in Python."""
        return [PYTHON, os.path.join(FOLDER, "suite", "first_byte.py")] if ordinary else [self.tool("first-byte")]

    def serve(self, host: Host, port: int = 22, ordinary: bool = False) -> None:
        """A service that sends one byte to whoever connects."""
        service = host.popen([*self.first_byte(ordinary), "serve", str(port)], name="service")
        service.wait_for_line("^listening$")

    def connect(
        self, host: Host, address: str, count: int, port: int = 22, timeout: int = 5000,
        more: Sequence[str] = (), ordinary: bool = False,
    ) -> "tuple[List[float], List[str]]":  # fmt: skip
        """Connects one time after the other: the milliseconds until the first byte, and how others failed."""
        command = [*self.first_byte(ordinary), "connect", address, str(port), str(count), str(timeout), *more]
        result = host.run(command, timeout=count * (timeout / 1000 + 20) + 20)
        lines = result.stdout.split("\n")[:-1]
        times = [float(line) / 1000 for line in lines if not line.startswith("failed")]
        return times, [line for line in lines if line.startswith("failed")]

    def say(self, text: str) -> None:
        """Progress, for people."""
        print(f"    {text}", file=sys.stderr, flush=True)

    def in_turn(self, subjects: Sequence[str], run: Callable[[str, int], None]) -> None:
        """Runs all subjects in each round, beginning with another one each time."""
        for number in range(self.rounds):
            for offset in range(len(subjects)):
                run(subjects[(number + offset) % len(subjects)], number)


def _mentions(program: List[str], flag: str) -> bool:
    result = subprocess.run([*program, "--help"], capture_output=True, text=True, timeout=20, check=True)
    return flag in result.stdout
