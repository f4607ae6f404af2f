"""Whose ports are protected: by default this host's own, and nothing that it forwards or bridges for others."""

import json
import os
from typing import Iterator, List

import pytest

from harness.daemons import start_server
from harness.echo import HeldConnection, echo, echo_server
from harness.firewall import BACKENDS, firewall, rule_counters, snapshot
from harness.hosts import Host
from harness.inside import gets_in
from harness.kernel_filter import filtering_server
from harness.knock import FAMILIES, WITHOUT_FILTER, counted, counters, equip
from harness.topologies import Network

PORTS = (22, 443)
PORT_FLAGS = [word for port in PORTS for word in ("--target-port", port)]


def up(host: Host, *places: str, backend: str = "auto", more: "tuple[object, ...]" = ()) -> str:
    flags = [word for place in places for word in ("--protect", place)]
    return firewall(host, "server", "up", *PORT_FLAGS, *WITHOUT_FILTER, "--iptables", backend, *flags, *more).stdout


def opens(client: Host, server: Host, family: int, port: int) -> bool:
    return gets_in(client, server.address(family), port, timeout=0.3)


def router_of(network: Network) -> Host:
    assert network.router
    return network.router


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_host_forwards_is_left_alone(routed: Network, backend: str) -> None:
    router = router_of(routed)
    for host in (routed.client, routed.server, router):
        echo_server(host, *PORTS)
    before = snapshot(router)
    up(router, backend=backend)
    for family in FAMILIES:
        for port in PORTS:
            for client, server in ((routed.client, routed.server), (routed.server, routed.client)):
                assert echo(client, server.address(family), port, connections=2, size=50_000).failures == []
                assert not opens(client, router, family, port)
        # Also the address that the router has on its far side.
        far = "10.83.2.1" if family == 4 else "fd83:2::1"
        assert not gets_in(routed.client, far, 22, timeout=0.3)
    firewall(router, "server", "down")
    assert snapshot(router) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_that_is_the_hosts_own(direct: Network, backend: str) -> None:
    """Whatever the kernel takes for its own: link-local, secondary and loopback's addresses, whole prefixes."""
    client, server = direct.client, direct.server
    addresses = ["10.81.1.9", "192.0.2.1", "198.51.100.77", "fd81:1::9", "2001:db8::1", "2001:db8:1::77"]
    server.ip("addr", "add", "10.81.1.9/24", "dev", "eth0")
    server.ip("addr", "add", "192.0.2.1/32", "dev", "lo")
    server.ip("route", "add", "local", "198.51.100.0/24", "dev", "lo")
    server.ip("addr", "add", "fd81:1::9/64", "dev", "eth0", "nodad")
    server.ip("addr", "add", "2001:db8::1/128", "dev", "lo")
    server.ip("-6", "route", "add", "local", "2001:db8:1::/64", "dev", "lo")
    client.ip("route", "add", "default", "via", server.ipv4)
    client.ip("-6", "route", "add", "default", "via", server.ipv6)
    listed = json.loads(server.run(["ip", "-j", "-6", "addr", "show", "dev", "eth0", "scope", "link"]).stdout)
    addresses += [f"{info['local']}%eth0" for entry in listed for info in entry.get("addr_info", []) if "local" in info]
    assert len(addresses) == 7
    echo_server(server, 22)
    assert [gets_in(client, address) for address in addresses] == [True] * 7
    up(server, backend=backend)
    assert [gets_in(client, address, timeout=0.3) for address in addresses] == [False] * 7


def test_addresses_that_are_local_by_another_routing_table(direct: Network) -> None:
    """They are not `own`, as README says; who wants them protected names them, or the interface."""
    client, server = direct.client, direct.server
    server.ip("-6", "rule", "add", "iif", "eth0", "lookup", "100")
    server.ip("-6", "route", "add", "local", "2001:db8:1::/64", "dev", "lo", "table", "100")
    client.ip("-6", "route", "add", "default", "via", server.ipv6)
    echo_server(server, 22)
    for places, is_open in ((["own"], True), (["own", "2001:db8:1::/64"], False), (["own", "interface:eth0"], False)):
        up(server, *places, more=("--drop-ports",))
        assert gets_in(client, "2001:db8:1::77", timeout=0.3) == is_open


@pytest.mark.parametrize("backend", BACKENDS)
def test_hosts_behind_a_gateway_are_protected_where_that_is_asked_for(
    routed: Network, backend: str, key_file: str
) -> None:
    router, client, server = router_of(routed), routed.client, routed.server
    for host in (client, server, router):
        echo_server(host, *PORTS)
    daemon = start_server(router, key_file, target_ports=PORTS, more=WITHOUT_FILTER)
    up(router, "own", "10.83.2.0/24", "fd83:2::/64", backend=backend)
    for family in FAMILIES:
        for port in PORTS:
            assert not opens(client, server, family, port) and not opens(client, router, family, port)
            # Outwards nothing is asked for.
            assert echo(server, client.address(family), port).complete == 1
    equip(client, key_file, PORTS)
    for family in FAMILIES:
        for port in PORTS:
            for host in (server, router):
                assert echo(client, host.address(family), port, size=50_000).failures == []
    counted(daemon, "acknowledgment-verified", 8)


def test_a_gateway_that_protects_not_itself(routed: Network) -> None:
    router, client, server = router_of(routed), routed.client, routed.server
    echo_server(server, *PORTS)
    echo_server(router, *PORTS)
    up(router, server.ipv4)
    assert [opens(client, server, family, 22) for family in FAMILIES] == [False, True]
    assert [opens(client, router, family, 22) for family in FAMILIES] == [True, True]
    assert "NOTHING of IPv6" in firewall(router, "server", "status").stdout


def test_what_comes_in_by_an_interface(routed: Network, key_file: str) -> None:
    router, client, server = router_of(routed), routed.client, routed.server
    for host in (client, server, router):
        echo_server(host, *PORTS)
    daemon = start_server(router, key_file, target_ports=PORTS, more=WITHOUT_FILTER)
    up(router, "interface:eth0")
    for family in FAMILIES:
        # eth0 is the client's side.
        assert not opens(client, server, family, 443) and not opens(client, router, family, 443)
        assert opens(server, client, family, 443) and opens(server, router, family, 443)
    equip(client, key_file, PORTS)
    for family in FAMILIES:
        for host in (server, router):
            assert echo(client, host.address(family), 443).complete == 1
    counted(daemon, "acknowledgment-verified", 4)


@pytest.fixture
def publishing(routed: Network) -> Network:
    """The router publishes port 8443 for port 443 of the server, and port 22 for port 22, as for a container."""
    router = router_of(routed)
    echo_server(routed.server, *PORTS)
    for port, to in ((8443, 443), (22, 22)):
        for iptables, address in (("iptables", routed.server.ipv4), ("ip6tables", f"[{routed.server.ipv6}]")):
            router.run([iptables, "-w", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-m", "addrtype",
                        "--dst-type", "LOCAL", "--dport", str(port), "-j", "DNAT", "--to-destination",
                        f"{address}:{to}"])  # fmt: skip
    return routed


@pytest.mark.parametrize("way", ("off", "hook"))
def test_a_published_port(publishing: Network, way: str, key_file: str, pins: str) -> None:
    router, client = router_of(publishing), publishing.client
    if way == "off":
        daemon = start_server(router, key_file, target_ports=PORTS, more=WITHOUT_FILTER)
    else:
        daemon = filtering_server(router, key_file, pins, target_ports=PORTS)
    for family in FAMILIES:
        assert gets_in(client, router.address(family), 22)
    up(router, more=("--kernel-filter", way, "--pin-folder", pins))
    for family in FAMILIES:
        # Another port, for a service whose own port is among the protected ones of the host.
        assert echo(client, router.address(family), 8443, size=50_000).complete == 1
        # The same port is the host's own as it comes in: nobody gets in without the knock.
        assert not opens(client, router, family, 22)
    equip(client, key_file, PORTS)
    for family in FAMILIES:
        # And nobody with it, for behind the translation the answer is of another host (README, limits). It gets to
        # the client, whose ACK gets nowhere.
        assert echo(client, router.address(family), 22, timeout=1).complete == 0
        assert echo(client, router.address(family), 8443).complete == 1
    assert "acknowledgment-verified" not in counters(daemon)
    assert not {"wrong-acknowledgment", "masked-acknowledgment"} & counters(daemon).keys()


@pytest.fixture
def bridged(host: Host) -> Iterator[List[Host]]:
    """Two hosts on a bridge of a third one, whose rules see what it bridges."""
    host.ip("link", "add", "br0", "type", "bridge")
    host.ip("link", "set", "br0", "up")
    host.add_address("br0", "10.87.1.1/24", "fd87:1::1/64")
    names = [f"net.bridge.bridge-nf-call-{program}" for program in ("iptables", "ip6tables")]
    if host.run(["sysctl", "-w", *(f"{name}=1" for name in names)], check=False).returncode:
        pytest.skip("this kernel has no br_netfilter")
    with Host("one") as one, Host("two") as two:
        for number, other in enumerate((one, two), start=2):
            other.connect("eth0", host, f"port{number}")
            host.ip("link", "set", f"port{number}", "master", "br0")
            other.add_address("eth0", f"10.87.1.{number}/24", f"fd87:1::{number}/64")
        yield [one, two]


def test_hosts_on_one_bridge_with_the_kernel_filter(
    host: Host, bridged: List[Host], key_file: str, pins: str
) -> None:
    one, two = bridged
    echo_server(two, *PORTS)
    echo_server(host, *PORTS)
    filtering_server(host, key_file, pins, target_ports=PORTS)
    up(host, more=("--kernel-filter", "hook", "--pin-folder", pins))
    for family in FAMILIES:
        assert echo(one, two.address(family), 443, size=50_000).complete == 1
        assert not opens(one, host, family, 443)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hosts_on_one_bridge(host: Host, bridged: List[Host], backend: str) -> None:
    one, two = bridged
    echo_server(two, *PORTS)
    echo_server(host, *PORTS)
    up(host, backend=backend)
    for family in FAMILIES:
        assert echo(one, two.address(family), 443, size=50_000).complete == 1
        assert not opens(one, host, family, 443)
        # The rules have seen it.
        passed = [count for rule, count in rule_counters(host, family, backend).items()
                  if rule.startswith("PREROUTING") and "--dport 443" in rule]  # fmt: skip
        assert passed and passed[0] > 5
    up(host, "own", "interface:br0", backend=backend)
    for family in FAMILIES:
        assert not opens(one, two, family, 443)


# --- the flags ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_status_says_it(host: Host, backend: str) -> None:
    up(host, backend=backend)
    assert "protects     own\n" in firewall(host, "server", "status").stdout
    places = ["10.0.0.0/24", "192.0.2.7", "2001:db8::/32", "fd00::7", "interface:eth1", "own"]
    up(host, *reversed(places), backend=backend)
    assert f"protects     {', '.join(places)}\n" in firewall(host, "server", "status").stdout
    told = json.loads(firewall(host, "server", "status", "--json").stdout)
    assert (told["state"], told["protect"], told["missing"]) == ("up", places, [])
    assert "already up" in up(host, *places, *places, backend=backend)
    # An instance has rules of its own, for the longest of names too.
    firewall(host, "server", "up", "--instance", "abcdefghij", "--target-port", 80, "--queue-num", 101, "--protect",
             "0.0.0.0/0", "--protect", "10.0.0.1/8", "--protect", "FD00:0::/8", "--iptables", backend)  # fmt: skip
    assert firewall(host, "server", "status", "--instance", "abcdefghij").returncode == 0


def test_less_protection_must_be_asked_for(host: Host) -> None:
    up(host, "own", "10.0.0.0/24")
    flags = [*PORT_FLAGS, *WITHOUT_FILTER]
    before = snapshot(host)
    refused = firewall(host, "server", "up", *flags, check=False)
    assert refused.returncode == os.EX_USAGE and "10.0.0.0/24 would not be protected any more" in refused.stderr
    assert snapshot(host) == before
    assert "no longer protected: 10.0.0.0/24" in up(host, more=("--drop-ports",))


def test_what_is_open_when_more_is_protected(routed: Network) -> None:
    router, client, server = router_of(routed), routed.client, routed.server
    echo_server(server, *PORTS)
    for keep in (False, True):
        up(router, more=("--drop-ports",))
        with HeldConnection(client, server.ipv4, 22) as connection:
            up(router, "own", "10.83.2.0/24", more=("--keep-established",) if keep else ())
            assert connection.echo(timeout=1) == keep
            assert not opens(client, server, 4, 22)


@pytest.mark.parametrize(
    "place", ("", "everything", "10.0.0", "10.0.0.256", "10.0.0.0/33", "10.0.0.0/", "::/129", "1.2.3.4/8/8", "interface:",
              "interface:a/b", "interface:abcdefghijklmnop", "interface:eth+", "own,10.0.0.1", "01.2.3.4", ":"),
)  # fmt: skip
def test_what_is_no_place(host: Host, place: str) -> None:
    before = snapshot(host)
    refused = firewall(host, "server", "up", "--protect", place, check=False)
    assert refused.returncode == os.EX_USAGE and "--protect" in refused.stderr
    assert snapshot(host) == before


def test_an_address_that_iptables_does_not_know(host: Host) -> None:
    before = snapshot(host)
    refused = firewall(host, "server", "up", "--protect", "1:2:3", check=False)
    assert refused.returncode == 1 and "1:2:3" in refused.stderr
    assert snapshot(host) == before
