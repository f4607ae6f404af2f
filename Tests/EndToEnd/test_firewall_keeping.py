"""What `up` keeps, and what it does not: connections that are open while rules come, go and change."""

import contextlib
import json

import pytest

from harness.echo import HeldConnection, echo_server
from harness.firewall import BACKENDS, firewall
from harness.topologies import Network

FAMILIES = (4, 6)


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

    def status() -> "tuple[int, dict[str, object]]":
        result = firewall(server, "server", "status", "--json", check=False)
        assert result.stderr == ""
        return result.returncode, json.loads(result.stdout)

    code, down = status()
    assert code == 3 and down["state"] == "down" and down["ports"] == []
    firewall(server, "server", "up", "--iptables", backend, "--target-port", 22, "--target-port", 443)
    code, up = status()
    assert code == 0
    expected = {"state": "up", "instance": "", "ports": [22, 443], "queue": "100", "mark": "0x1000",
                "iptables": backend, "families": [4, 6], "missing": [], "kernel_filter": ""}  # fmt: skip
    assert up == expected
    server.run([f"ip6tables-{backend}", "-w", "-t", "mangle", "-D", "PREROUTING", "1"])
    code, partial = status()
    assert code == 1 and partial["state"] == "partial"
    (rule,) = partial["missing"]  # type: ignore[misc]
    assert rule.startswith("IPv6 mangle -A PREROUTING") and "-j TCPKNOCK-SRV-" in rule
