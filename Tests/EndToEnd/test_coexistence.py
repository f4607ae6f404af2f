"""The client's daemon beside servers that know nothing of the knock, and servers that should but do not prove it."""

from pathlib import Path

import pytest

from harness.daemons import keygen
from harness.echo import echo, echo_server
from harness.hosts import Host
from harness.inside import gets_in
from harness.knock import FAMILIES, assert_nobody_locked_out, counted, counters, equip, protect
from harness.sshd import Sshd
from harness.topologies import Network

WHO = ["echo", "$SSH_CONNECTION"]


@pytest.fixture
def unprotected(two_clients: Network) -> Host:
    """The host `other`, which nothing protects here."""
    assert two_clients.other
    return two_clients.other


def test_ssh_to_protected_and_unprotected_servers(
    two_clients: Network, unprotected: Host, key_file: str, tmp_path: Path
) -> None:
    client = two_clients.client
    with Sshd(two_clients.server, tmp_path / "one") as protected, Sshd(unprotected, tmp_path / "two") as plain:
        protect(two_clients.server, key_file)
        daemon = equip(client, key_file)
        for family in FAMILIES:
            assert protected.ssh(client, two_clients.server.address(family)).returncode == 0
            assert plain.ssh(client, unprotected.address(family), WHO).stdout.split()[0] == client.address(family)
        verdicts = counters(daemon)
        assert (verdicts["syn-ack-proven"], verdicts["syn-ack-of-other-server"]) == (2, 2)

        # The daemon ends, the rules stay: as if there were no rules.
        assert daemon.stop() == 0
        for family in FAMILIES:
            assert plain.ssh(client, unprotected.address(family), WHO).stdout.split()[0] == client.address(family)
            refused = protected.ssh(client, two_clients.server.address(family), connect_timeout=1)
            assert refused.returncode == 255 and "timed out" in refused.stderr


@pytest.mark.parametrize("mask", ("full", "windowed"))
def test_many_connections_to_an_unprotected_server(
    two_clients: Network, unprotected: Host, mask: str, key_file: str
) -> None:
    equip(two_clients.client, key_file, isn_mask=mask)
    echo_server(unprotected, 22)
    for family in FAMILIES:
        result = echo(two_clients.client, unprotected.address(family), 22, connections=100, size=20_000)
        assert result.failures == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("as_prefix", (False, True), ids=("address", "prefix"))
def test_a_listed_server_must_prove_itself(
    two_clients: Network, unprotected: Host, family: int, as_prefix: bool, key_file: str
) -> None:
    address = unprotected.address(family)
    listed = f"{address}/{24 if family == 4 else 64}" if as_prefix else address
    daemon = equip(two_clients.client, key_file, servers=[listed])
    echo_server(unprotected, 22)
    assert not gets_in(two_clients.client, address, timeout=0.5)
    verdicts = counters(daemon)
    assert verdicts.get("proof-missing", 0) + verdicts.get("proof-wrong", 0) >= 1
    line = daemon.wait_for_line("WARNING SYN/ACK dropped: .*")[0]
    for part in ("reason=proof-", "advice=", f"{address}", "client="):
        assert part in line
    # The other family was not listed.
    assert gets_in(two_clients.client, unprotected.address(10 - family))


def test_a_listed_server_that_proves_itself(two_clients: Network, key_file: str) -> None:
    protect(two_clients.server, key_file)
    equip(two_clients.client, key_file, servers=[two_clients.server.ipv4, two_clients.server.ipv6])
    echo_server(two_clients.server, 22)
    for family in FAMILIES:
        assert echo(two_clients.client, two_clients.server.address(family), 22, connections=20).failures == []


@pytest.mark.parametrize("listed", (False, True), ids=("not listed", "listed"))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_key_gets_nothing(
    two_clients: Network, family: int, listed: bool, key_file: str, tmp_path: Path
) -> None:
    address = two_clients.server.address(family)
    server = protect(two_clients.server, key_file)
    echo_server(two_clients.server, 22)
    client = equip(two_clients.client, keygen(tmp_path / "wrong.dat"), servers=[address] if listed else [])
    assert not gets_in(two_clients.client, address, timeout=0.5)
    counted(server, "syn-with-wrong-code")
    assert "syn-ack-masked" not in counters(server)
    assert_nobody_locked_out(server)
    # With the right one it gets in at once.
    client.stop()
    equip(two_clients.client, key_file, servers=[address] if listed else [])
    assert gets_in(two_clients.client, address)
