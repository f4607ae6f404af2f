"""Whose ports the kernel filter and its gate look at: those that the rules protect, and no others."""

from typing import List

import pytest

from harness.echo import echo, echo_server
from harness.firewall import firewall
from harness.hosts import Host
from harness.inside import gets_in
from harness.kernel_filter import filtering_server, rules_up, send_to_be_dropped, syn
from harness.knock import EVERYWHERE, FAMILIES, equip
from harness.topologies import Network
from harness.waiting import eventually

FLUSH = ["nft", "flush", "ruleset"]


def opens(client: Host, address: str) -> bool:
    return gets_in(client, address, 22, timeout=0.4)


def router_of(network: Network) -> Host:
    assert network.router
    return network.router


@pytest.mark.parametrize("is_flushed", (False, True))
@pytest.mark.parametrize(
    ("places", "protected"),
    (
        # Whose ports: of the router on the client's side, of the server behind it, of the client from there.
        ([], [True, False, False]),
        (EVERYWHERE, [True, True, True]),
        (["--protect", "10.83.2.2/32", "--protect", "fd83:2::/64"], [False, True, False]),
        (["--protect", "own", "--protect", "10.83.2.0/24", "--protect", "fd83:2::2"], [True, True, False]),
        (["--protect", "interface:eth0"], [True, True, False]),
    ),
)
def test_who_is_protected(
    routed: Network, places: List[str], protected: List[bool], is_flushed: bool, key_file: str, pins: str
) -> None:
    """SYNs without a code where there is no knock to be asked for get in, and nowhere else."""
    router, client, server = router_of(routed), routed.client, routed.server
    for host in (client, server, router):
        echo_server(host, 22)
    filtering_server(router, key_file, pins)
    rules_up(router, pins, "hook", *places)
    if is_flushed:
        router.run(FLUSH)
    for family in FAMILIES:
        ways = [(client, router), (client, server), (server, client)]
        assert [not opens(host, to.address(family)) for host, to in ways] == protected, f"IPv{family}"


def test_who_is_exempt(two_clients: Network, key_file: str, pins: str) -> None:
    """The other gets in without a code, also while the rules are flushed; the client never."""
    client, server, other = two_clients.client, two_clients.server, two_clients.other
    assert other
    echo_server(server, 22)
    filtering_server(server, key_file, pins)
    for exempt, open_families in (
        ([other.ipv4], (4,)), (["10.82.1.2/31", "fd82:1::2/127"], (4, 6)), (["interface:eth"], ()), (["interface:eth01"], ()),
    ):  # fmt: skip
        rules_up(server, pins, "hook", *[word for one in exempt for word in ("--exempt", one)])
        for is_flushed in (False, True):
            if is_flushed:
                server.run(FLUSH)
            for family in FAMILIES:
                assert opens(other, server.address(family)) == (family in open_families)
                assert not opens(client, server.address(family))
    rules_up(server, pins, "hook", "--exempt", "interface:eth0")
    assert opens(client, server.ipv4) and opens(other, server.ipv6)


def test_a_new_address_of_the_host(direct: Network, key_file: str, pins: str) -> None:
    """The filter learns of it within a second or two; until then the daemon judges."""
    client, server = direct.client, direct.server
    echo_server(server, 22)
    filtering_server(server, key_file, pins)
    rules_up(server, pins, "hook")
    server.ip("address", "add", "10.81.1.77/24", "dev", "eth0")
    assert not opens(client, "10.81.1.77")

    def is_dropped() -> bool:
        packet = syn(direct, 4, 5, 0x12345678)
        packet.dst = "10.81.1.77"
        try:
            send_to_be_dropped(client, server, 4, "hook", pins, [packet])
        except AssertionError:
            return False
        return True

    eventually(is_dropped, 20, "the filter to know the new address")
    equip(client, key_file)
    assert echo(client, "10.81.1.77", 22).complete == 1


def test_more_places_than_the_filter_can_know(direct: Network, key_file: str, pins: str) -> None:
    server = direct.server
    filtering_server(server, key_file, pins)
    places = [word for number in range(33) for word in ("--protect", f"10.0.{number}.0/24")]
    refused = rules_up(server, pins, "hook", *places, check=False)
    assert refused.returncode == 1 and "33 places are more than the 32 that the filter has room for" in refused.stderr
    up = firewall(server, "server", "up", "--iptables", "nft", "--pin-folder", pins, *places)
    assert "the kernel filter is not used" in up.stdout
