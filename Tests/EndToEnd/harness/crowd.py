"""Many connections at the same time, from one program, and an echo server that has room for them."""

import json
import os
from dataclasses import dataclass
from typing import Dict

from .hosts import PYTHON, Host
from .processes import Program

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowd_program.py")


@dataclass
class CrowdResult:
    """How many connections came back complete, why the others did not, and how long it took in seconds."""

    complete: int
    failures: Dict[str, int]
    opened_within: float
    seconds: float


class Crowd:
    """`count` connections begun at once; each has `size` bytes echoed and takes `timeout` seconds at most."""

    def __init__(
        self, host: Host, address: str, port: int = 22, count: int = 100, size: int = 1000, timeout: float = 60
    ) -> None:
        self._timeout = timeout
        command = [PYTHON, _PROGRAM, "connect", address, str(port), str(count), str(size), str(timeout)]
        self.program: Program = host.popen(command, name=f"crowd on {host.role}")
        self.program.wait_for_line("^begun$", 10)

    def result(self) -> CrowdResult:
        """Waits until all have ended."""
        line = self.program.wait_for_line(r"^\{.*\}$", self._timeout + 20, which="stdout")[0]
        return CrowdResult(**json.loads(line))


def crowd_server(host: Host, port: int = 22) -> Program:
    """An echo server whose accept queue has room for thousands, listening when this returns."""
    host.sysctl({"net.core.somaxconn": 8192, "net.ipv4.tcp_max_syn_backlog": 8192})
    program = host.popen([PYTHON, _PROGRAM, "serve", str(port)], name=f"crowd server on {host.role}")
    program.wait_for_line("^listening$", 10)
    return program
