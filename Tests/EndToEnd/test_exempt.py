"""Who needs no knock: addresses, prefixes and interfaces. Everybody else needs it as before."""

import json
import os
from typing import Iterator

import pytest

from harness.daemons import start_server
from harness.echo import HeldConnection, echo, echo_server
from harness.firewall import BACKENDS, connection_marks, firewall, snapshot
from harness.hosts import Host
from harness.inside import gets_in
from harness.kernel_filter import filtering_server
from harness.knock import FAMILIES, WITHOUT_FILTER, assert_nobody_locked_out, counters, equip, peer, protect
from harness.topologies import Network
from harness.waiting import eventually


def up(host: Host, *whom: str, backend: str = "auto", more: "tuple[object, ...]" = ()) -> str:
    flags = [word for one in whom for word in ("--exempt", one)]
    return firewall(host, "server", "up", *WITHOUT_FILTER, "--iptables", backend, *flags, *more).stdout


exempt_up = up


def opens(client: Host, server: Host, family: int) -> bool:
    return gets_in(client, server.address(family), timeout=0.3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("on_failure", ("drop", "reset"))
def test_addresses_and_prefixes(two_clients: Network, backend: str, on_failure: str, key_file: str) -> None:
    """The other is exempt, one family after the other; the client, its neighbour, never is."""
    client, server, other = two_clients.client, two_clients.server, two_clients.other
    assert other
    before = snapshot(server)
    echo_server(server, 22)
    more = ("--on-failure", on_failure)
    daemon = start_server(server, key_file, more=[*WITHOUT_FILTER, *more])
    for whom, open_families in (
        ([], ()), ([other.ipv4], (4,)), ([other.ipv6], (6,)), (["10.82.1.2/31", "fd82:1::2/127"], (4, 6)),
    ):  # fmt: skip
        up(server, *whom, backend=backend, more=more)
        for family in FAMILIES:
            expected = int(family in open_families)
            assert echo(other, server.address(family), 22, size=50_000, timeout=1).complete == expected
            assert echo(client, server.address(family), 22, timeout=0.3).complete == 0
    # They are not verified, only let alone; and who has the key gets in as ever.
    with HeldConnection(other, server.ipv4, 22):
        assert set(connection_marks(server, 4, 22)) == {0}
    equip(client, key_file)
    for family in FAMILIES:
        assert echo(client, server.address(family), 22).complete == 1
        assert echo(other, server.address(family), 22).complete == 1
    assert counters(daemon)["acknowledgment-verified"] == 2
    firewall(server, "server", "down")
    assert snapshot(server) == before


@pytest.fixture
def second_interface(direct: Network) -> Iterator[Host]:
    """A host at another interface of the server."""
    with Host("monitor") as monitor:
        monitor.connect("eth0", direct.server, "eth1")
        direct.server.ip("addr", "add", "10.88.1.1/24", "dev", "eth1")
        direct.server.ip("addr", "add", "fd88:1::1/64", "dev", "eth1", "nodad")
        monitor.add_address("eth0", "10.88.1.2/24", "fd88:1::2/64")
        yield monitor


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interface(direct: Network, second_interface: Host, backend: str) -> None:
    echo_server(direct.server, 22)
    up(direct.server, "interface:eth1", backend=backend)
    for address in ("10.88.1.1", "fd88:1::1"):
        assert echo(second_interface, address, 22, size=50_000).complete == 1
    for family in FAMILIES:
        assert not opens(direct.client, direct.server, family)


def test_behind_a_gateway(routed: Network) -> None:
    router, client, server = routed.router, routed.client, routed.server
    assert router
    echo_server(server, 22)
    protect_flags = ("--protect", "10.83.2.0/24", "--protect", "fd83:2::/64")
    up(router, more=protect_flags)
    assert [opens(client, server, family) for family in FAMILIES] == [False, False]
    up(router, client.ipv4, more=protect_flags)
    assert [opens(client, server, family) for family in FAMILIES] == [True, False]


@pytest.mark.parametrize("way", ("off", "hook"))
def test_the_end_of_an_exemption(direct: Network, way: str, key_file: str, pins: str) -> None:
    """With the kernel filter attached to the network, too."""
    client, server = direct.client, direct.server
    echo_server(server, 22)
    daemon = protect(server, key_file) if way == "off" else filtering_server(server, key_file, pins)
    filter_flags = ("--kernel-filter", way, "--pin-folder", pins)

    def up(host: Host, *whom: str, more: "tuple[object, ...]" = ()) -> None:
        exempt_up(host, *whom, more=(*filter_flags, *more))

    up(server, client.ipv4, client.ipv6)
    with HeldConnection(client, server.ipv4, 22) as four, HeldConnection(client, server.ipv6, 22) as six:
        # The same again, and what does not concern it, leaves it alone.
        up(server, client.ipv4, client.ipv6, "192.0.2.0/24")
        assert four.echo() and six.echo()
        up(server, client.ipv4)
        assert four.echo() and not six.echo(timeout=1)
        # Back again it goes on.
        up(server, client.ipv4, client.ipv6)
        assert eventually(lambda: six.echo(timeout=1), what="the connection to go on")
        up(server)
        assert not four.echo(timeout=1) and not six.echo(timeout=1)
    for family in FAMILIES:
        assert not opens(client, server, family)
    assert_nobody_locked_out(daemon)
    # Except where they are to be kept.
    up(server, client.ipv4)
    with HeldConnection(client, server.ipv4, 22) as four:
        up(server, more=("--keep-established",))
        assert four.echo()


def test_the_daemon_knows_them_too(direct: Network, key_file: str) -> None:
    """Rules that know nothing of an exemption yet queue its packets; the daemon lets them pass and locks nobody out."""
    client, server = direct.client, direct.server
    echo_server(server, 22)
    exempt = ["--exempt", "10.81.1.0/24", "--exempt", "fd81:1::/64"]
    daemon = protect(server, key_file, more=[*exempt, "--lockout-after-wrong-codes", "1"])
    for family in FAMILIES:
        assert echo(client, server.address(family), 22, size=50_000).complete == 0  # the raw table drops it
    up(server, more=("--on-failure", "reset"))
    for family in FAMILIES:
        assert echo(client, server.address(family), 22, size=50_000).complete == 1
        with peer(client, key_file, server.address(family)) as knocker:
            knocker.send_syn(code=1)
    assert counters(daemon)["exempt"] > 10
    assert_nobody_locked_out(daemon)
    assert "too-many-wrong-codes" not in counters(daemon)


@pytest.mark.parametrize("backend", BACKENDS)
def test_status_says_it(host: Host, backend: str) -> None:
    up(host, backend=backend)
    assert "exempt" not in firewall(host, "server", "status").stdout
    whom = ["10.0.0.0/8", "192.0.2.7", "::/0", "fd00::/8", "interface:wg0"]
    up(host, *reversed(whom), backend=backend)
    assert f"exempt       {', '.join(whom)}\n" in firewall(host, "server", "status").stdout
    told = json.loads(firewall(host, "server", "status", "--json").stdout)
    assert (told["state"], told["exempt"], told["missing"]) == ("up", whom, [])
    assert "already up" in up(host, *whom, backend=backend)


@pytest.mark.parametrize("whom", ("own", "", "everybody", "10.0.0.0/33", "interface:", "interface:wg 0"))
def test_who_cannot_be_exempt(host: Host, whom: str) -> None:
    before = snapshot(host)
    refused = firewall(host, "server", "up", "--exempt", whom, check=False)
    assert refused.returncode == os.EX_USAGE and "--exempt" in refused.stderr
    assert snapshot(host) == before
