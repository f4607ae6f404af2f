"""What `up` keeps, and what it does not: connections that are open while rules come, go and change."""

import contextlib
import json
from typing import Any

import pytest

from harness.echo import HeldConnection, echo_server
from harness.firewall import BACKENDS, firewall
from harness.knock import FAMILIES
from harness.topologies import Network



@pytest.mark.parametrize("backend", BACKENDS)
def test_up_for_several_ports_keeps_the_connections_of_both_families(direct: Network, backend: str) -> None:
    client, server = direct.client, direct.server
    ports = (22, 80, 443)
    echo_server(server, *ports)
    with contextlib.ExitStack() as stack:
        held = [
            stack.enter_context(HeldConnection(client, server.address(family), port))
            for family in FAMILIES
            for port in ports
        ]
        flags = [word for port in ports for word in ("--target-port", port)]
        result = firewall(server, "server", "up", "--iptables", backend, *flags)
        assert result.stderr == ""
        assert "kept: 6 connection" in result.stdout
        for connection in held:
            assert connection.echo(100_000)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_status_for_programs(direct: Network, backend: str) -> None:
    server = direct.server

    def status() -> "tuple[int, dict[str, Any]]":
        result = firewall(server, "server", "status", "--json", check=False)
        assert result.stderr == ""
        return result.returncode, json.loads(result.stdout)

    code, down = status()
    assert code == 3 and down["state"] == "down" and down["ports"] == []
    firewall(server, "server", "up", "--iptables", backend, "--target-port", 22, "--target-port", 443)
    code, up = status()
    assert code == 0
    expected = {"state": "up", "instance": "", "ports": [22, 443], "queue": "100", "mark": "0x1000",
                "iptables": backend, "families": [4, 6], "missing": [], "kernel_filter": "",
                "protect": ["own"], "exempt": [], "warnings": []}  # fmt: skip
    assert {name: up[name] for name in expected} == expected
    # iptables-save quotes some comments.
    there, intended = (sorted(rule.replace('"', "") for rule in up[name]) for name in ("present", "expected"))
    assert there == intended != []
    assert up["unexpected"] == up["foreign"] == up["unread"] == []
    server.run([f"ip6tables-{backend}", "-w", "-t", "mangle", "-D", "PREROUTING", "1"])
    code, partial = status()
    assert code == 1 and partial["state"] == "partial"
    (rule,) = partial["missing"]
    assert rule.startswith("IPv6 mangle -A PREROUTING") and "-j TCPKNOCK-SRV-" in rule


def test_who_came_in_while_the_rules_were_down_is_not_kept(direct: Network) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    with contextlib.ExitStack() as stack:

        def hold(family: int) -> HeldConnection:
            return stack.enter_context(HeldConnection(client, server.address(family), 22))

        before = [hold(family) for family in FAMILIES]
        assert "kept: 2 connection" in firewall(server, "server", "up").stdout
        for connection in before:
            assert connection.echo()
        firewall(server, "server", "down")
        strangers = [hold(family) for family in FAMILIES]
        result = firewall(server, "server", "up")
        assert "not kept: 2 connection" in result.stdout and result.stderr == ""
        assert f"from {client.ipv4} port {strangers[0].local_port} to port 22" in result.stdout
        for connection in before:
            assert connection.echo(100_000), "verified before"
        for connection in strangers:
            assert not connection.echo(timeout=0.5), "came in without the knock"
        # The same sockets, when connection tracking has forgotten them meanwhile.
        firewall(server, "server", "down")
        server.run(["conntrack", "-F"])
        firewall(server, "server", "up")
        for connection in before:
            assert connection.echo(100_000)
        firewall(server, "server", "down")
        late = hold(4)
        assert "kept: " in firewall(server, "server", "up", "--keep-established").stdout
        assert late.echo()


def test_an_old_mark_verifies_no_new_socket(direct: Network) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    firewall(server, "server", "up")
    firewall(server, "server", "down")
    with HeldConnection(client, server.ipv4, 22) as stranger:
        # As if this socket had taken the place of one that was verified before.
        server.run(["conntrack", "-I", "-p", "tcp", "-s", client.ipv4, "--sport", str(stranger.local_port),
                    "-d", server.ipv4, "--dport", "22", "--state", "ESTABLISHED", "-u", "ASSURED", "-t", "60",
                    "-m", "0x1000"])  # fmt: skip
        assert "not kept: 1 connection" in firewall(server, "server", "up").stdout
        assert not stranger.echo(timeout=0.5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_that_somebody_flushed_come_back_with_what_they_kept(direct: Network, backend: str) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(HeldConnection(client, server.address(family), 22)) for family in FAMILIES]
        firewall(server, "server", "up", "--iptables", backend)
        assert all(connection.echo() for connection in held)
        for name in ("iptables", "ip6tables"):
            for table in ("mangle", "raw"):
                server.run([f"{name}-{backend}", "-w", "-t", table, "-F"])
                server.run([f"{name}-{backend}", "-w", "-t", table, "-X"])
        server.run(["conntrack", "-F"])
        assert firewall(server, "server", "status", check=False).returncode == 3
        firewall(server, "server", "up", "--iptables", backend)
        assert all(connection.echo(100_000) for connection in held)


def test_replacing_the_rules_leaves_no_gap(direct: Network) -> None:
    """`up` with other values, as `systemctl restart` and `reload` of the rules unit do it, while somebody tries."""
    client, server = direct.client, direct.server
    echo_server(server, 22)
    firewall(server, "server", "up", "--iptables", "nft")
    trying = client.popen(["/usr/bin/python3", "-c", """
import socket, sys
while True:
    with socket.socket() as s:
        s.settimeout(0.01)
        try:
            s.connect((sys.argv[1], 22))
            print("got in", flush=True)
        except OSError:
            pass
""", server.ipv4])  # fmt: skip
    for number in range(4):
        firewall(server, "server", "up", "--target-port", 22, "--queue-num", 101 + number)
    assert trying.alive
    trying.kill()
    assert not any("got in" in line for line in trying.lines("stdout"))
