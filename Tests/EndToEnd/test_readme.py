"""README's way to two real hosts, typed as it is printed."""

import re
from pathlib import Path
from typing import Iterator, List

import pytest

from harness.echo import HeldConnection, echo_server
from harness.firewall import PROJECT
from harness.inside import gets_in
from harness.installed import Installed
from harness.own_files import OwnFiles
from harness.processes import Program
from harness.topologies import Network
from harness.waiting import eventually

HOME = "/var/home"
PLACEHOLDER = "server.example.org"


def printed() -> List[str]:
    """The command lines of the section, in order."""
    section = Path(PROJECT, "README.md").read_text().split("\n## Two real hosts\n")[1].split("\n## ")[0]
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)).splitlines()
    assert lines.pop(0) == "make install"
    return lines


class Root:
    """Somebody who types what is printed, at one of the hosts."""

    def __init__(self, host: OwnFiles) -> None:
        self.host = host
        self.daemon: "Program | None" = None
        host.shell(f"mkdir -p {HOME}")

    def types(self, line: str) -> None:
        if line == "kill %1":
            assert self.daemon
            self.daemon.stop()
        elif line.endswith(" &"):
            self.daemon = self.host.start(line[:-2])
        elif line.startswith("systemctl enable --now "):
            self._start(line.split()[-1])
        else:
            self.host.shell(f"cd {HOME} && {line}")

    def _start(self, unit: str) -> None:
        """In place of systemd: the commands of the unit (Tests/VM has the real one)."""
        commands = Path(PROJECT, "packaging", "systemd", f"{unit}.service").read_text()
        for when, command in re.findall(r"^Exec(Start\w*)=[-+]*(.*)$", commands, re.MULTILINE):
            if when == "Start":
                self.daemon = self.host.popen(*command.split())
                self.daemon.wait_for_line("^ready$", 15, which="stdout")
            else:
                self.host.shell(command)


@pytest.fixture
def hosts(two_clients: Network) -> Iterator["tuple[Network, Root, Root]"]:
    echo_server(two_clients.server, 22)
    with Installed(two_clients.server) as server, Installed(two_clients.client) as client:
        yield two_clients, Root(server), Root(client)


def test_two_real_hosts(hosts: "tuple[Network, Root, Root]") -> None:
    network, server, client = hosts
    address, stranger = network.server.ipv4, network.other
    assert stranger
    lines = iter(line.replace(PLACEHOLDER, address) for line in printed())

    server.types(next(lines))
    bundle = f"{HOME}/laptop.tcpknock"
    client.host.write(bundle, server.host.shell(f"cat {bundle}"))
    before = HeldConnection(network.client, address, 22)
    for _ in range(3):
        client.types(next(lines))
    assert before.echo() and not gets_in(network.client, address, timeout=0.5), "the server has to prove itself"

    for _ in range(2):
        server.types(next(lines))
    assert before.echo()
    assert gets_in(network.client, address) and not gets_in(stranger, address, timeout=0.5)
    server.types(next(lines))
    assert "waiting" not in server.host.shell("/usr/local/lib/tcpknock/server.sh status")

    for root in (client, server):
        root.types(next(lines))
        assert not gets_in(stranger, address, timeout=0.5), "the rules stay"
        root.types(next(lines))
    assert next(lines, None) is None, "README has more to type"
    assert before.echo()
    eventually(lambda: gets_in(network.client, address), 5, "the client to get in")
    assert not gets_in(stranger, address, timeout=0.5)
    assert server.host.shell("tcpknock status").startswith("PROTECTED: port 22")
