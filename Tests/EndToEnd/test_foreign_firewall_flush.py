"""Another program flushes the tables: the guard puts the rules back within seconds, and obeys `down`."""

from typing import Iterator

import pytest

from harness.echo import HeldConnection, echo_server
from harness.firewall import BACKENDS, firewall, script
from harness.hosts import Host
from harness.knock import FAMILIES, equip, protect
from harness.processes import Program
from harness.topologies import Network
from harness.waiting import eventually

FLUSHES = {
    "nft": {
        "nft flush ruleset": [["nft", "flush", "ruleset"]],
        "iptables -F": [[f"{name}-nft", "-t", "raw", "-F"] for name in ("iptables", "ip6tables")],
        "one rule": [["ip6tables-nft", "-t", "mangle", "-D", "TCPKNOCK-SRV-IN", "1"]],
    },
    "legacy": {
        "iptables -F": [
            [f"{name}-legacy", "-t", table, "-F"] for name in ("iptables", "ip6tables") for table in ("raw", "mangle")
        ],
        "one rule": [["ip6tables-legacy", "-t", "mangle", "-D", "TCPKNOCK-SRV-IN", "1"]],
    },
}
CASES = [(backend, flush) for backend in BACKENDS for flush in FLUSHES[backend]]


def is_up(host: Host) -> bool:
    return firewall(host, "server", "status", check=False).returncode == 0


@pytest.fixture
def guard(direct: Network) -> Iterator[Program]:
    with direct.server.popen([script("server"), "guard"]) as program:
        program.wait_for_line("ready", 35, which="stdout")
        yield program


@pytest.mark.parametrize(("backend", "flush"), CASES, ids=[f"{backend}-{flush}" for backend, flush in CASES])
def test_rules_that_somebody_takes_away_come_back(
    direct: Network, guard: Program, key_file: str, backend: str, flush: str
) -> None:
    server = direct.server
    echo_server(server, 22)
    protect(server, key_file)
    firewall(server, "server", "down")
    flags = ["--iptables", backend, "--kernel-filter", "off", "--queue-num", "100"]
    firewall(server, "server", "up", *flags, "--keep-established")
    equip(direct.client, key_file)
    with HeldConnection(direct.client, server.ipv4, 22) as connection:
        assert connection.echo()
        # Until the guard has seen them whole, and looks only at what has changed.
        server.run(["sleep", "2.5"])
        for command in FLUSHES[backend][flush]:
            server.run(command)
        assert not is_up(server)
        guard.wait_for_line("rules are missing", 30, which="stderr")
        guard.wait_for_line("rules are back", 40, which="stderr")
        assert is_up(server) and connection.echo()
        for family in FAMILIES:
            with HeldConnection(direct.client, server.address(family), 22) as new:
                assert new.echo()


def test_down_is_obeyed(direct: Network, guard: Program) -> None:
    firewall(direct.server, "server", "up", "--kernel-filter", "off")
    firewall(direct.server, "server", "down")
    # Long enough for two looks: until rules that are taken away behind it have come back.
    firewall(direct.server, "server", "up", "--kernel-filter", "off", "--queue-num", 7)
    direct.server.run(["nft", "flush", "ruleset"])
    guard.wait_for_line("rules are back", 40, which="stderr")
    firewall(direct.server, "server", "down")
    start = guard.position
    direct.server.run(["sleep", "2.5"])
    assert firewall(direct.server, "server", "status", check=False).returncode == 3
    assert "missing" not in "\n".join(guard.lines()[start:]), guard.output


def test_a_confirmation_that_is_waited_for_is_left_to_its_watcher(direct: Network, guard: Program) -> None:
    firewall(direct.server, "server", "up", "--kernel-filter", "off", "--confirm", 3)
    direct.server.run(["nft", "flush", "ruleset"])
    eventually(
        lambda: "nothing waits" in firewall(direct.server, "server", "confirm", check=False).stderr, 10, "the watcher"
    )
    assert firewall(direct.server, "server", "status", check=False).returncode == 3
