"""The harness itself: that its networks connect what they claim to, and that nothing of it stays behind."""

import subprocess
from pathlib import Path

import pytest

from harness.capture import Capture
from harness.echo import HeldConnection, echo, echo_server
from harness.hosts import PYTHON, Host
from harness.sshd import Sshd
from harness.topologies import Network


@pytest.mark.parametrize("name", ("direct", "two_clients", "routed", "natted"))
def test_networks_connect(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    network: Network = request.getfixturevalue(name)
    echo_server(network.server, 22)
    for family in (4, 6):
        with Capture(network.server, tmp_path) as capture:
            for client in filter(None, (network.client, network.other)):
                assert echo(client, network.server.address(family), 22, connections=2, size=200_000).complete == 2
            layer = "IP" if family == 4 else "IPv6"
            first = capture.wait_for(lambda packet: layer in packet and packet["TCP"].flags == "S", what="a SYN")
            assert first[layer].src == network.seen_as(family)


def test_ssh(direct: Network, tmp_path: Path) -> None:
    with Sshd(direct.server, tmp_path / "sshd") as sshd:
        for family in (4, 6):
            result = sshd.ssh(direct.client, direct.server.address(family), ["echo", "$SSH_CONNECTION"], check=True)
            assert result.stdout.split()[0] == direct.client.address(family)


def test_a_lost_connection_is_reported(direct: Network) -> None:
    server = echo_server(direct.server, 22)
    with HeldConnection(direct.client, direct.server.ipv4, 22) as connection:
        assert connection.echo()
        server.kill()
        assert not connection.echo()


def test_nothing_stays_behind() -> None:
    with pytest.raises(KeyboardInterrupt):
        with Host("doomed") as host:
            name = host.name
            program = host.popen(["sh", "-c", "setsid sleep 1000 & echo started; wait"])
            program.wait_for_line("started")
            raise KeyboardInterrupt
    assert not program.alive
    assert name not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_a_program_that_ends_early_is_no_long_wait() -> None:
    with Host("alone") as host:
        program = host.popen([PYTHON, "-c", "import sys; sys.exit('it went wrong')"])
        with pytest.raises(AssertionError, match="ended with status 1.*\n.*it went wrong"):
            program.wait_for_line("ready", timeout=20)
