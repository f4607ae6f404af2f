"""A TCP echo service, clients that use it once, and a client that keeps its connection."""

import json
import os
from dataclasses import dataclass, field
from typing import List

from .hosts import PYTHON, Host
from .processes import Program

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "echo_program.py")


@dataclass
class EchoResult:
    """How many connections came back complete, and why the others did not."""

    complete: int = 0
    failures: List[str] = field(default_factory=list)


def echo_server(host: Host, *ports: int) -> Program:
    """An echo server for IPv4 and IPv6 on all of the ports, listening when this returns."""
    program = host.popen([PYTHON, _PROGRAM, "serve", *map(str, ports)], name=f"echo server on {host.role}")
    program.wait_for_line("^listening$")
    return program


def echo(
    host: Host, address: str, port: int, connections: int = 1, size: int = 1000, timeout: float = 5.0
) -> EchoResult:
    """Opens connections one after the other and has `size` bytes echoed over each; `timeout` is for one of them."""
    command = [PYTHON, _PROGRAM, "connect", address, str(port), str(connections), str(size), str(timeout)]
    result = host.run(command, timeout=connections * timeout + 10)
    return EchoResult(**json.loads(result.stdout))


class HeldConnection:
    """One connection that stays open, to be used from time to time."""

    def __init__(self, host: Host, address: str, port: int, timeout: float = 5.0) -> None:
        command = [PYTHON, _PROGRAM, "hold", address, str(port), str(timeout)]
        self.program = host.popen(command, name=f"held connection of {host.role}")
        self.local_port = int(self.program.wait_for_line(r"^open (\d+)$", timeout + 5)[1])

    def echo(self, size: int = 1000, timeout: float = 5.0) -> bool:
        """True if `size` bytes come back within `timeout` seconds."""
        start = self.program.position
        self.program.write_line(f"{size} {timeout}")
        return self.program.wait_for_line("^(ok|failed.*)$", timeout + 5, start=start)[1] == "ok"

    def __enter__(self) -> "HeldConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()
