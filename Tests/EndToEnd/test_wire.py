"""The packets of the handshake: on the wire, and inside the two kernels before and after the daemons had them."""

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from harness.capture import Capture
from harness.echo import echo, echo_server
from harness.inside import connect, gets_in, listen
from harness.knock import FAMILIES, MODES, Mode, equip, proto, protect, read_key
from harness.taps import Tap
from harness.topologies import Network
from harness.waiting import eventually

# Where the fields are that the protocol changes, counted from the begin of the IP header without options, and the
# checksums over them. (docs/PROTOCOL.md §1)
IP_HEADER = {4: 20, 6: 40}
NONCE_BYTES = {4: {4, 5, 10, 11}, 6: {1, 2, 3}}  # identification and header checksum; flow label


def tcp_bytes(family: int, first: int, last: int) -> "set[int]":
    return set(range(IP_HEADER[family] + first, IP_HEADER[family] + last + 1))


def ip(packet: Any) -> Any:
    """The packet from its IP header on."""
    return packet["IP"] if "IP" in packet else packet["IPv6"]


def differing(one: Any, other: Any) -> "set[int]":
    """The offsets at which two packets are different."""
    first, second = bytes(ip(one)), bytes(ip(other))
    assert len(first) == len(second)
    return {at for at in range(len(first)) if first[at] != second[at]}


def assert_checksums(packet: Any) -> None:
    """Compares the checksums with those that scapy calculates."""
    again = ip(packet).copy()
    del again["TCP"].chksum
    if "IP" in again:
        del again["IP"].chksum
    assert bytes(again) == bytes(ip(packet))


def nonce(packet: Any) -> int:
    return int(packet["IP"].id if "IP" in packet else packet["IPv6"].fl)


def flags(wanted: str) -> Any:
    return lambda packet: packet["TCP"].flags == wanted


def options(packet: Any) -> "List[Tuple[str, Any]]":
    """The TCP options, without the values of the clock."""
    return [(name, None if name == "Timestamp" else value) for name, value in packet["TCP"].options]


class Handshake:
    """One handshake, seen at five places."""

    def __init__(self, network: Network, family: int, folder: Path) -> None:
        client, server = network.client, network.server
        with (
            Capture(server, folder) as wire,
            Tap(client, folder, "raw", "OUTPUT", "--dport 22", 1) as client_out,
            Tap(server, folder, "mangle", "INPUT", "--dport 22", 2) as server_in,
            Tap(server, folder, "raw", "OUTPUT", "--sport 22", 3) as server_out,
            Tap(client, folder, "mangle", "PREROUTING", "--sport 22", 4) as client_in,
            listen(server) as listener,
            connect(client, server.address(family)),
            listener.accept()[0],
        ):
            self.syn_made = client_out.wait_for(flags("S"))
            self.syn = wire.wait_for(flags("S"))
            self.syn_taken = server_in.wait_for(flags("S"))
            self.synack_made = server_out.wait_for(flags("SA"))
            self.synack = wire.wait_for(flags("SA"))
            self.synack_taken = client_in.wait_for(flags("SA"))
            self.ack = wire.wait_for(flags("A"))


@pytest.fixture(params=[(family, mask) for family in FAMILIES for mask in MODES], ids=lambda p: f"IPv{p[0]}-{p[1]}")
def setting(request: pytest.FixtureRequest) -> "tuple[int, str]":
    return request.param


def test_each_field_of_the_handshake(
    direct: Network, setting: "tuple[int, str]", key_file: str, tmp_path: Path
) -> None:
    family, mask = setting
    mode = Mode.parse(mask)
    protect(direct.server, key_file)
    equip(direct.client, key_file, isn_mask=mask)
    seen = Handshake(direct, family, tmp_path)
    keys = proto.Keys.derive(read_key(key_file))
    a = proto.address_bytes(direct.client.address(family))
    checksum = tcp_bytes(family, 16, 17)

    # The SYN: the code in the acknowledgment field, the ACK flag off, the hint, and nothing else.
    syn = seen.syn["TCP"]
    assert seen.syn_made["TCP"].ack == 0 != syn.ack
    slot = proto.time_slot(float(seen.syn.time))
    assert syn.ack in [proto.syn_code(keys.k1, a, syn.seq, near, mode) for near in (slot - 1, slot, slot + 1)]
    assert "A" not in syn.flags
    assert nonce(seen.syn) in [proto.hint_field(keys.k5, near, family) for near in (slot - 1, slot, slot + 1)]
    assert differing(seen.syn_made, seen.syn) <= tcp_bytes(family, 8, 11) | checksum | NONCE_BYTES[family]
    assert bytes(ip(seen.syn_taken)) == bytes(ip(seen.syn))
    assert_checksums(seen.syn)

    # The SYN/ACK: the masked ISN and the proof, and nothing else.
    true_isn, masked_isn = seen.synack_made["TCP"].seq, seen.synack["TCP"].seq
    assert seen.ack["TCP"].ack == (true_isn + 1) % 2**32
    assert masked_isn != true_isn
    assert nonce(seen.synack) != 0
    assert (nonce(seen.synack), masked_isn) == proto.seal(keys, a, syn.seq, true_isn, mode)
    assert (1 <= (masked_isn - true_isn) % 2**32 <= 32_768) == (mask == "windowed")
    assert differing(seen.synack_made, seen.synack) <= tcp_bytes(family, 4, 7) | checksum | NONCE_BYTES[family]
    assert_checksums(seen.synack)

    # The client's kernel gets the true ISN back, and else what was on the wire.
    assert seen.synack_taken["TCP"].seq == true_isn
    assert differing(seen.synack, seen.synack_taken) <= tcp_bytes(family, 4, 7) | checksum
    assert_checksums(seen.synack_taken)


def test_many_handshakes(direct: Network, setting: "tuple[int, str]", key_file: str, tmp_path: Path) -> None:
    family, mask = setting
    count = 60
    protect(direct.server, key_file)
    equip(direct.client, key_file, isn_mask=mask)
    echo_server(direct.server, 22)
    with Capture(direct.server, tmp_path) as capture:
        assert echo(direct.client, direct.server.address(family), 22, connections=count).complete == count
        eventually(lambda: sum(map(flags("SA"), capture.packets())) >= count, what="all SYN/ACKs in the capture")
        packets = capture.stop()
    codes = [p["TCP"].ack for p in packets if flags("S")(p)]
    synacks = [p for p in packets if flags("SA")(p)]
    thirds: Dict[int, Any] = {}
    for packet in filter(flags("A"), packets):
        if packet["TCP"].dport == 22:
            thirds.setdefault(packet["TCP"].sport, packet)
    assert len(set(codes)) == count and 0 not in codes
    for packet in synacks:
        distance = (packet["TCP"].seq - (thirds[packet["TCP"].dport]["TCP"].ack - 1)) % 2**32
        assert distance != 0 and nonce(packet) != 0
        assert mask == "full" or distance <= 32_768
        assert_checksums(packet)
    assert len({nonce(packet) for packet in synacks}) > count * 9 // 10


@pytest.mark.parametrize("family", FAMILIES)
def test_the_syn_has_all_its_options(direct: Network, family: int, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    echo_server(direct.server, 22)
    address = direct.server.address(family)
    seen = []
    for equipped in (False, True):
        if equipped:
            equip(direct.client, key_file)
        with Capture(direct.server, tmp_path) as capture:
            assert gets_in(direct.client, address, timeout=0.5) == equipped
            seen.append(capture.wait_for(flags("S")))
    without, knocking = seen
    assert (without["TCP"].ack == 0, knocking["TCP"].ack == 0) == (True, False)
    assert options(without) == options(knocking) != []
    assert {name for name, _ in options(knocking)} >= {"MSS", "SAckOK", "Timestamp", "WScale"}
    assert without["TCP"].window == knocking["TCP"].window
    before, after = ip(without), ip(knocking)
    for field in ("tos", "flags", "ttl", "len") if family == 4 else ("tc", "hlim", "plen"):
        assert getattr(before, field) == getattr(after, field)


def test_a_repeated_synack_is_the_same(
    direct: Network, setting: "tuple[int, str]", key_file: str, tmp_path: Path
) -> None:
    family, mask = setting
    protect(direct.server, key_file)
    equip(direct.client, key_file, isn_mask=mask)
    direct.server.sysctl({"net.ipv4.tcp_timestamps": 0})  # they would differ in the time
    for iptables in ("iptables", "ip6tables"):  # the client does not hear the first one
        direct.client.run([iptables, "-w", "-t", "raw", "-I", "PREROUTING", "-p", "tcp", "--sport", "22",
                           "-m", "statistic", "--mode", "nth", "--every", "1000", "--packet", "0",
                           "-j", "DROP"])  # fmt: skip
    listener = listen(direct.server)
    with Capture(direct.server, tmp_path) as capture:
        with connect(direct.client, direct.server.address(family)), listener.accept()[0]:
            eventually(lambda: sum(map(flags("SA"), capture.packets())) >= 2, what="the second SYN/ACK")
        synacks = [bytes(ip(packet)) for packet in capture.packets() if flags("SA")(packet)]
    assert len(synacks) >= 2 and len(set(synacks)) == 1
