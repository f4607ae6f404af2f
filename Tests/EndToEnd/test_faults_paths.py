"""Kinds of paths: small and large packets, fragments, offloads, VLANs, gateways, and full tables on the way."""

from pathlib import Path
from typing import Iterator, List

import pytest

from harness.capture import Capture
from harness.echo import echo, echo_server
from harness.hosts import PYTHON, Host
from harness.inside import connect, echoes, gets_in
from harness.knock import (
    EVERYWHERE,
    FAMILIES,
    assert_nobody_locked_out,
    counted,
    equip,
    keep_kernel_quiet,
    nat_addresses,
    peer,
    protect,
)
from harness.topologies import Network
from harness.waiting import eventually

# --- how large packets are ----------------------------------------------------------------------------------------


ONLY_SYNS = "(tcp[13] & 2 != 0) or (ip6[53] & 2 != 0)"


@pytest.mark.parametrize("mtu", (1280, 9000))
@pytest.mark.parametrize("path", ("routed", "natted"))
def test_packet_sizes(path: str, mtu: int, key_file: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(path)
    assert network.router
    client, router, server_host = network.client, network.router, network.server
    for host, interface in ((client, "eth0"), (router, "eth0"), (router, "eth1"), (server_host, "eth0")):
        host.ip("link", "set", interface, "mtu", str(mtu))
        host.run(["ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off"])
    server = protect(network.server, key_file)
    equip(network.client, key_file, nat_ips=nat_addresses(network))
    echo_server(network.server, 22)
    for family in FAMILIES:
        with Capture(network.server, tmp_path, ONLY_SYNS) as capture:
            result = echo(network.client, network.server.address(family), 22, connections=3, size=300_000)
            assert result.failures == []
            eventually(lambda: len(capture.packets()) >= 6, what="three SYNs and three SYN/ACKs")
            sizes = {dict(packet["TCP"].options)["MSS"] for packet in capture.stop() if "TCP" in packet}
        assert sizes == {mtu - (40 if family == 4 else 60)}
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_smaller_link_in_the_middle(routed: Network, family: int, key_file: str) -> None:
    """Only ICMP tells the ends that their packets are too long for it."""
    assert routed.router
    routed.router.ip("link", "set", "eth1", "mtu", "1280")
    routed.server.ip("link", "set", "eth0", "mtu", "1280")
    for host, interface in ((routed.client, "eth0"), (routed.router, "eth0"), (routed.router, "eth1")):
        host.run(["ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off"])
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    echo_server(routed.server, 22)
    assert echo(routed.client, routed.server.address(family), 22, connections=5, size=300_000).failures == []
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_packets_of_64_kilobytes(direct: Network, family: int, key_file: str, tmp_path: Path) -> None:
    """Between the two ends of a veth pair, what one send call gives can be one packet; the queue sees only short ones."""
    for host in (direct.client, direct.server):
        host.run(["ethtool", "-K", "eth0", "tso", "on", "gso", "on", "gro", "on"], check=False)
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    with Capture(direct.server, tmp_path, "greater 20000") as capture:
        assert echo(direct.client, direct.server.address(family), 22, connections=3, size=3_000_000).failures == []
        eventually(lambda: capture.packets(), what="a packet of more than 20,000 bytes")
    counted(server, "acknowledgment-verified", 3)
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_data_of_64_kilobytes_with_the_third_ack(direct: Network, family: int, key_file: str) -> None:
    """The first ACK is lost, so the first that arrives is data, as long as packets can be."""
    for iptables in ("iptables", "ip6tables"):
        direct.client.run([iptables, "-w", "-t", "raw", "-A", "OUTPUT", "-p", "tcp", "--dport", "22", "--tcp-flags",
                           "SYN,ACK,PSH", "ACK", "-m", "length", "--length", "0:100",
                           "-m", "statistic", "--mode", "nth", "--every", "100000", "--packet", "0",
                           "-j", "DROP"])  # fmt: skip
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    data = bytes(range(256)) * 250
    with connect(direct.client, direct.server.address(family)) as connection:
        connection.sendall(data)
        received = bytearray()
        while len(received) < len(data):
            received += connection.recv(1 << 16)
        assert received == data
    counted(server, "acknowledgment-verified")
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_syn_in_fragments(
    direct: Network, family: int, key_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connection tracking puts it together; then it is a SYN like others.

    It has data, or it would be too short to split.
    """
    from scapy.layers.inet import IP, fragment
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6

    server = protect(direct.server, key_file, more=["--fast-open"])
    keep_kernel_quiet(direct.client)
    echo_server(direct.server, 22)
    with peer(direct.client, key_file, direct.server.address(family)) as client:
        whole: List[bytes] = []
        monkeypatch.setattr(client.link, "send", whole.append)
        client.send_syn(payload=bytes(2000))
        monkeypatch.undo()
        if family == 4:
            pieces = fragment(IP(whole[0]), fragsize=800)
        else:
            packet = IPv6(whole[0])
            payload = packet.payload
            packet.remove_payload()
            packet.nh, packet.plen = 44, None
            pieces = fragment6(packet / IPv6ExtHdrFragment(id=4711, nh=6) / payload, 1280)
        assert len(pieces) >= 2
        for piece in pieces[1:]:
            client.link.send(bytes(piece))
        assert client.receive_segment(0.1) is None, "a part is not enough"
        client.link.send(bytes(pieces[0]))
        assert client.receive_synack()
        client.send_ack()
        counted(server, "acknowledgment-verified")
    assert_nobody_locked_out(server)


# --- VLANs --------------------------------------------------------------------------------------------------------


def test_through_a_vlan(direct: Network, key_file: str) -> None:
    for number, host in enumerate((direct.client, direct.server), start=1):
        link = ["link", "add", "link", "eth0", "name", "eth0.7", "type", "vlan", "id", "7"]
        if host.run(["ip", *link], check=False).returncode != 0:
            pytest.skip("this kernel has no VLANs")
        host.ip("link", "set", "eth0.7", "up")
        host.add_address("eth0.7", f"10.81.7.{number}/24", f"fd81:7::{number}/64")
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    for address in ("10.81.7.2", "fd81:7::2"):
        assert echo(direct.client, address, 22, connections=20, size=20_000).failures == []
    counted(server, "acknowledgment-verified", 40)
    assert_nobody_locked_out(server)


# --- gateways -----------------------------------------------------------------------------------------------------


@pytest.fixture
def second_server(routed: Network) -> Iterator[Host]:
    """Another host behind the router."""
    assert routed.router
    with Host("second") as second:
        second.connect("eth0", routed.router, "eth2")
        routed.router.add_address("eth2", "10.83.3.1/24", "fd83:3::1/64")
        second.add_address("eth0", "10.83.3.2/24", "fd83:3::2/64")
        second.ip("route", "add", "default", "via", "10.83.3.1")
        second.ip("-6", "route", "add", "default", "via", "fd83:3::1")
        yield second


def test_a_gateway_before_two_hosts(routed: Network, second_server: Host, key_file: str) -> None:
    """Neither host has anything of tcpknock; both are behind the knock of the gateway, and the gateway itself is."""
    assert routed.router
    gateway = protect(routed.router, key_file, places=EVERYWHERE)
    hosts = (routed.server, second_server, routed.router)
    for host in hosts:
        echo_server(host, 22)
    for host in hosts:
        for family in FAMILIES:
            assert not gets_in(routed.client, host.address(family), timeout=0.3)
    client = equip(routed.client, key_file)
    held = []
    for host in hosts:
        for family in FAMILIES:
            result = echo(routed.client, host.address(family), 22, connections=20, size=20_000)
            assert result.failures == []
            held.append(connect(routed.client, host.address(family)))
    counted(gateway, "acknowledgment-verified", 6 * 21)
    # Between themselves the hosts behind it need the knock as well, since the gateway forwards that.
    assert not gets_in(second_server, routed.server.ipv4, timeout=0.3)
    gateway.kill()
    assert all(map(echoes, held)), "established connections live on"
    client.stop()
    assert not gets_in(routed.client, routed.server.ipv4, timeout=0.3)


# --- a full table of connections ----------------------------------------------------------------------------------

# Arguments: how many. Entries of established connections, which are not given up for new ones, by ctnetlink.
_FILL = """
import socket, struct, sys
def attribute(kind, value, nested=False):
    return struct.pack("=HH", 4 + len(value), kind | (0x8000 if nested else 0)) + value + b"\\0" * (-len(value) % 4)
def tuple_of(kind, source, destination, sport, dport):
    ip = attribute(1, attribute(1, source) + attribute(2, destination), True)
    port = attribute(1, b"\\6") + attribute(2, struct.pack("!H", sport)) + attribute(3, struct.pack("!H", dport))
    return attribute(kind, ip + attribute(2, port, True), True)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.bind((0, 0))
server, made = socket.inet_aton("10.77.0.1"), 0
tail = attribute(3, struct.pack("!I", 4 | 8)) + attribute(7, struct.pack("!I", 3600))
tail += attribute(4, attribute(1, attribute(1, b"\\3"), True), True)
for first in range(0, int(sys.argv[1]), 32):
    batch = b""
    for number in range(first, first + 32):
        client = struct.pack("!I", 0x0B000000 + number // 60_000)
        port = 1 + number % 60_000
        body = struct.pack("!BBH", 2, 0, 0) + tuple_of(1, client, server, port, 80)
        body += tuple_of(2, server, client, 80, port) + tail
        flags = 0x601 | (4 if number == first + 31 else 0)
        batch += struct.pack("=IHHII", 16 + len(body), 1 << 8, flags, number, 0) + body
    netlink.send(batch)
    while True:
        length, kind, flags, sequence, _, error = struct.unpack_from("=IHHIIi", netlink.recv(65536))
        if error:
            print("full" if error == -12 else f"error {error}")
            sys.exit()
        if sequence == first + 31:
            break
print("room left")
"""


def tracked(host: Host) -> int:
    return int(host.run(["conntrack", "-C"]).stdout)


def test_a_full_connection_table(two_clients: Network, key_file: str) -> None:
    """Nobody new gets in then, not even by the knock; it passes with the fullness."""
    assert two_clients.other
    limit = int(two_clients.server.run(["sysctl", "-n", "net.netfilter.nf_conntrack_max"]).stdout)
    if limit > 300_000:
        pytest.skip(f"would take {limit} entries")
    server = protect(two_clients.server, key_file)
    equip(two_clients.client, key_file)
    echo_server(two_clients.server, 22)
    address = two_clients.server.ipv4
    with connect(two_clients.client, address) as established:
        assert echoes(established)
        filled = two_clients.server.run([PYTHON, "-c", _FILL, str(limit + 1024)], timeout=60).stdout
        assert "full" in filled, filled
        assert tracked(two_clients.server) >= limit
        assert echoes(established), "established connections live on"
        assert not gets_in(two_clients.client, address, timeout=1.5), "there is no room for another"
        assert not gets_in(two_clients.other, address, timeout=0.3)
        assert echoes(established)
        two_clients.server.run(["conntrack", "-D", "-d", "10.77.0.1"], check=False, timeout=60)
        assert gets_in(two_clients.client, address, timeout=5)
        assert not gets_in(two_clients.other, address, timeout=0.3)
        assert echoes(established)
    assert_nobody_locked_out(server)
