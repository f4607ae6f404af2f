# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the second implementation (peer/) by itself; no root and no network needed."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import ipaddress
import json
import random
import socket
import struct
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE / "peer"))

import knockpeer as peer  # noqa: E402
import knockprotocol as proto  # noqa: E402
import make_vectors  # noqa: E402
from knockprotocol import Mode  # noqa: E402

VECTORS = json.loads((ROOT / "docs" / "vectors.json").read_text())
KEY = make_vectors.vector_key()
KEYS = proto.Keys.derive(KEY)

# The published reference vectors of SipHash-2-4: key 00 01 .. 0f, messages (empty), 00, 00 01, .. of 0 to 63 bytes.
SIPHASH_VECTORS = """
310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785 b7877127e09427cf 8da699cd64557618
cee3fe586e46c9cb 37d1018bf50002ab 6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4
fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1 db9bc2577fcc2a3f 9447be2cf5e99a69
9cd38d96f0b3c14b bd6179a71dc96dbb 98eea21af25cd6be c7673b2eb0cbf2d0 883ea3e395675393 c8ce5ccd8c030ca8
94af49f6c650adb8 eab8858ade92e1bc f315bb5bb835d817 adcf6b0763612e2f a5c91da7acaa4dde 716595876650a2a6
28ef495c53a387ad 42c341d8fa92d832 ce7cf2722f512771 e37859f94623f3a7 381205bb1ab0e012 ae97a10fd434e015
b4a31508beff4d31 81396229f0907902 4d0cf49ee5d4dcca 5c73336a76d8bf9a d0a704536ba93e0e 925958fcd6420cad
a915c29bc8067318 952b79f3bc0aa6d4 f21df2e41d4535f9 87577519048f53a9 10a56cf5dfcd9adb eb75095ccd986cd0
51a9cb9ecba312e6 96afadfc2ce666c7 72fe52975a4364ee 5a1645b276d592a1 b274cb8ebf87870a 6f9bb4203de7b381
eaecb2a30b22a87f 9924a43cc1315724 bd838d3aafbf8db7 0b1a2a3265d51aea 135079a3231ce660 932b2846e4d70666
e1915f5cb1eca46c f325965ca16d629f 575ff28e60381be5 724506eb4c328a95
""".split()


@pytest.fixture(scope="module")
def sodium() -> ctypes.CDLL:
    """libsodium, for comparison only."""
    name = ctypes.util.find_library("sodium")
    if name is None:
        pytest.skip("no libsodium")
    library = ctypes.CDLL(name)
    assert library.sodium_init() >= 0
    return library


def parse(packet: bytes, checksum_ready: bool = True) -> peer.Segment:
    """As the peer's, of a packet that is a whole segment."""
    segment = peer.parse_packet(packet, checksum_ready)
    assert segment is not None
    return segment


# --- SipHash and keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(64))
def test_siphash_reference_vectors(length: int) -> None:
    assert proto.siphash24(bytes(range(16)), bytes(range(length))).hex() == SIPHASH_VECTORS[length]


def test_siphash_example_of_the_paper() -> None:
    # Appendix A of the paper: 15 bytes give the 64-bit number a129ca6149be45e5.
    assert proto.siphash24(bytes(range(16)), bytes(range(15))) == struct.pack("<Q", 0xA129CA6149BE45E5)


def test_siphash_against_libsodium(sodium: ctypes.CDLL) -> None:
    source = random.Random(1)
    for length in (0, 1, 7, 8, 9, 25, 28, 255, 256, 300):
        key, message = source.randbytes(16), source.randbytes(length)
        out = ctypes.create_string_buffer(8)
        assert sodium.crypto_shorthash(out, message, ctypes.c_ulonglong(length), key) == 0
        assert out.raw == proto.siphash24(key, message)


def test_keys_against_libsodium(sodium: ctypes.CDLL) -> None:
    master = ctypes.create_string_buffer(32)
    size, nothing = ctypes.c_ulonglong(len(KEY)), ctypes.c_size_t(0)
    assert sodium.crypto_generichash(master, ctypes.c_size_t(32), KEY, size, None, nothing) == 0
    assert master.raw == KEYS.master
    for number in range(1, 6):
        out = ctypes.create_string_buffer(16)
        length, identity = ctypes.c_size_t(16), ctypes.c_uint64(number)
        assert sodium.crypto_kdf_derive_from_key(out, length, identity, b"tcpknock", master.raw) == 0
        assert out.raw == KEYS[number]


def test_key_size_is_checked(tmp_path: Path) -> None:
    for size in (0, 65_535, 65_537):
        file = tmp_path / f"key{size}"
        file.write_bytes(bytes(size))
        with pytest.raises(ValueError):
            proto.read_key(str(file))
        with pytest.raises(ValueError):
            proto.master_key(bytes(size))
    file = tmp_path / "key"
    file.write_bytes(KEY)
    assert proto.read_key(str(file)) == KEY


def test_vector_key_file_matches_its_formula(tmp_path: Path) -> None:
    expected = b""
    for number in range(1024):
        expected += hashlib.blake2b(b"tcpknock test vector key " + str(number).encode()).digest()
    assert len(expected) == 65_536
    assert KEY == expected
    assert hashlib.sha256(KEY).hexdigest() == VECTORS["key"]["sha256"]
    file = ROOT / "keys" / "test-vector.dat"  # not kept in git: peer/make_vectors.py --key-file writes it
    if not file.exists():
        pytest.skip("keys/test-vector.dat has not been written")
    assert file.read_bytes() == expected


# --- docs/vectors.json --------------------------------------------------------------------------------------


def test_vectors_are_what_make_vectors_prints() -> None:
    assert make_vectors.make_document() == VECTORS


def test_vectors_keys() -> None:
    assert KEYS.master.hex() == VECTORS["master"]
    assert [key.hex() for key in KEYS[1:]] == [VECTORS[f"k{number}"] for number in range(1, 6)]
    assert KEYS.fingerprint == VECTORS["fingerprint"]
    assert VECTORS["fingerprint"].replace("-", "") == VECTORS["k4"]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_vectors_case(case: "dict[str, Any]") -> None:
    """Computed here once more, straight along the document."""
    a, c, s, t = (bytes.fromhex(case[name]) for name in "ACST")
    m = bytes.fromhex(case["M"])
    assert a == (bytes(16) if "roaming" in case["name"] else proto.address_bytes(case["address"]))
    assert int.from_bytes(t, "big") == (0 if case["seconds"] is None else case["seconds"] // 60)
    assert m == bytes([{"full": 0, "windowed": 1}[case["mode"]]])
    o = proto.siphash24(KEYS.k1, a + c + t)
    one = bytes(3) + b"\1"
    assert case["codeFull"] == (one if o[:4] == bytes(4) else o[:4]).hex()
    assert case["codeWindowed"] == (one if o[4:] == bytes(4) else o[4:]).hex()
    o = proto.siphash24(KEYS.k3, a + c + s + m)
    n = bytes(2) + o[:2] if case["family"] == 4 else bytes([0, o[0] & 15]) + o[1:3]
    if n == bytes(4):
        n = one
    assert case["N"] == n.hex()
    p = proto.siphash24(KEYS.k2, a + c + n + m)[:4]
    assert case["P"] == p.hex()
    if case["mode"] == "full":
        e = bytes(x ^ y for x, y in zip(s, p))
    else:
        e = ((int.from_bytes(s, "big") + 1 + (int.from_bytes(p, "big") & 0x7FFF)) % 2**32).to_bytes(4, "big")
    assert case["E"] == e.hex()


@pytest.mark.parametrize("vector", VECTORS["hints"], ids=lambda vector: f"slot {vector['T']}")
def test_vectors_hint(vector: "dict[str, str]") -> None:
    o = proto.siphash24(KEYS.k5, bytes.fromhex(vector["T"]))
    hint = o[:2] if o[:2] != bytes(2) else b"\0\1"
    assert vector["hint"] == vector["identification"] == hint.hex()
    assert vector["flowLabel"] == f"{o[2] & 15:x}" + hint.hex()


def test_vectors_cover_the_special_cases() -> None:
    assert any(vector["hint"] == "0001" for vector in VECTORS["hints"])
    cases = VECTORS["cases"]
    assert len(cases) >= 12
    for family in (4, 6):
        for mode in ("full", "windowed"):
            for off in (True, False):
                assert any(
                    case["family"] == family and case["mode"] == mode and (case["seconds"] is None) == off for case in cases
                )
        assert any(
            case["family"] == family and case["mode"] == "windowed" and int(case["E"], 16) < int(case["S"], 16) for case in cases
        )
        assert any(case["family"] == family and case["N"] == "00000001" for case in cases)
    assert any(case["codeFull"] == "00000001" for case in cases)
    assert any(case["codeWindowed"] == "00000001" for case in cases)


# --- round trips --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("family", (4, 6))
def test_seal_round_trip(family: int, mode: Mode) -> None:
    source = random.Random(family * 10 + mode)
    for turn in range(500):
        a = proto.address_bytes(source.randbytes(4 if family == 4 else 16))
        c = source.getrandbits(32)
        s = (0, 1, 0xFFFFFFFF, 0xFFFF8000, 0xFFFF7FFF)[turn] if turn < 5 else source.getrandbits(32)
        n, e = proto.seal(KEYS, a, c, s, mode)
        assert 0 < n < (1 << 16 if family == 4 else 1 << 20)
        if mode is Mode.WINDOWED:
            assert 1 <= (e - s) % 2**32 <= 32_768
        assert proto.open_sealed(KEYS, a, c, e, n, mode) == (s, True)
        assert proto.open_sealed(KEYS, a, c, e, 0, mode)[1] is False


def test_proof_fails_for_anything_changed() -> None:
    a, c, s = proto.address_bytes("2001:db8::1"), 0x11223344, 0x55667788
    other = proto.Keys.derive(KEY[:-1] + b"\0")
    for mode in Mode:
        n, e = proto.seal(KEYS, a, c, s, mode)
        assert proto.open_sealed(KEYS, a, c, e, n, mode)[1]
        assert not proto.open_sealed(KEYS, a, c ^ 1, e, n, mode)[1]
        assert not proto.open_sealed(KEYS, a, c, e ^ 1, n, mode)[1]
        assert not proto.open_sealed(KEYS, a, c, e, n ^ 1, mode)[1]
        assert not proto.open_sealed(KEYS, a, c, e, n, Mode(1 - mode))[1]
        assert not proto.open_sealed(KEYS, proto.address_bytes("2001:db8::2"), c, e, n, mode)[1]
        assert not proto.open_sealed(other, a, c, e, n, mode)[1]


def test_codes_are_good_for_three_slots() -> None:
    a, c, now = proto.address_bytes("192.0.2.1"), 0xCAFEBABE, 28_500_000
    for mode in Mode:
        code = proto.syn_code(KEYS.k1, a, c, now, mode)
        for slot in (now - 1, now, now + 1):
            assert proto.judge_code(KEYS.k1, a, c, slot, code) == (mode, now)
        for wrong in (now - 2, now + 2, None):
            assert proto.judge_code(KEYS.k1, a, c, wrong, code) is None
        assert proto.judge_code(KEYS.k1, a, c ^ 1, now, code) is None
        timeless = proto.syn_code(KEYS.k1, a, c, 0, mode)
        assert proto.judge_code(KEYS.k1, a, c, None, timeless) == (mode, 0)
    assert proto.judge_code(KEYS.k1, a, c, now, 0) is None


def test_quantities() -> None:
    assert proto.address_bytes("1.2.3.4").hex() == "00" * 10 + "ffff01020304"
    assert proto.address_bytes("1.2.3.4") == proto.address_bytes("::ffff:1.2.3.4")
    assert proto.address_bytes("fe80::1").hex() == "fe80" + "00" * 13 + "01"
    assert proto.family_of(proto.address_bytes("1.2.3.4")) == 4
    assert proto.family_of(proto.address_bytes("::1.2.3.4")) == 6
    assert [proto.time_slot(second) for second in (0, 59.999, 60, 1_710_000_000)] == [0, 0, 1, 28_500_000]
    assert proto.time_slot(1_710_000_000, False) == 0
    assert Mode.parse("Windowed") is Mode.WINDOWED and Mode.parse(0) is Mode.FULL


# --- packets ------------------------------------------------------------------------------------------------


def test_checksum_by_words() -> None:
    """The shortcut against RFC 1071 done word by word."""

    def plain(data: bytes) -> int:
        total = 0
        for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
            total += word
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF

    source = random.Random(2)
    samples = [b"", b"\0", bytes(40), b"\xff" * 40, b"\xff\xff", b"\xff\xfe\0\1", b"\0\1\xff\xfe"]
    samples += [source.randbytes(source.randrange(100)) for _ in range(500)]
    for data in samples:
        assert peer.checksum(data) == plain(data)
    assert peer.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # the example of RFC 1071


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("payload", (b"", b"x", b"hello", bytes(range(256)) * 5))
def test_packets_against_scapy(family: int, payload: bytes) -> None:
    scapy = pytest.importorskip("scapy.all")
    source = random.Random(len(payload) + family)
    for _ in range(20):
        src, dst = (source.randbytes(4 if family == 4 else 16) for _ in range(2))
        sport, dport = source.randrange(65_536), source.randrange(65_536)
        seq, ack, flags = source.getrandbits(32), source.getrandbits(32), source.getrandbits(8)
        options = struct.pack("!BBH", 2, 4, 1460)
        segment = peer.build_tcp(src, dst, sport, dport, seq, ack, flags, payload, 4711, options)
        label = source.getrandbits(20)
        packet = peer.build_ip(src, dst, segment, ident=source.getrandbits(16), flow_label=label)

        parsed = scapy.IP(packet) if family == 4 else scapy.IPv6(packet)
        tcp = parsed[scapy.TCP]
        assert (tcp.sport, tcp.dport, tcp.seq, tcp.ack, int(tcp.flags), tcp.window) == (sport, dport, seq, ack, flags, 4711)
        assert bytes(tcp.payload) == payload
        assert tcp.options[0] == ("MSS", 1460)
        if family == 4:
            del parsed.chksum
        else:
            assert parsed.fl == label
        del tcp.chksum
        assert bytes(parsed) == packet

        own = parse(packet)
        assert (own.sport, own.dport, own.seq, own.ack, own.flags, own.window) == (sport, dport, seq, ack, flags, 4711)
        assert own.payload == payload and own.mss == 1460 and own.tcp_checksum_ok
        assert own.ip_checksum_ok is (True if family == 4 else None)
        assert own.flow_label == (None if family == 4 else label)
        damaged = bytearray(packet)
        damaged[-1] ^= 1
        assert parse(bytes(damaged)).tcp_checksum_ok is False
        assert parse(packet, checksum_ready=False).tcp_checksum_ok is None
        wrong = peer.build_tcp(src, dst, sport, dport, seq, ack, flags, payload, bad_checksum=True)
        assert parse(peer.build_ip(src, dst, wrong)).tcp_checksum_ok is False


def test_parse_refuses_what_is_no_whole_segment() -> None:
    src, dst = bytes(4), bytes([1, 2, 3, 4])
    packet = peer.build_ip(src, dst, peer.build_tcp(src, dst, 1, 2, 3, 4, peer.SYN))
    assert peer.parse_packet(packet) is not None
    assert parse(packet + b"padding of the frame").payload == b""
    for length in range(len(packet)):
        assert peer.parse_packet(packet[:length]) is None
    assert peer.parse_packet(packet[:6] + b"\x20\x00" + packet[8:]) is None  # a fragment
    assert peer.parse_packet(packet[:9] + b"\x11" + packet[10:]) is None  # UDP
    assert peer.parse_packet(packet[:32] + b"\x40" + packet[33:]) is None  # data offset 4
    assert peer.parse_packet(packet[:32] + b"\xf0" + packet[33:]) is None  # data offset behind the end


class _Wire(peer.Link):
    """Keeps what is sent."""

    raw = False
    _frame = b"\0" * 14

    def __init__(self) -> None:
        self.sent: "list[bytes]" = []

    def sender(self) -> "Callable[[bytes | bytearray], object]":
        return lambda frame: self.sent.append(bytes(frame))


@pytest.mark.parametrize("addresses", (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")))
def test_flood_packets_are_right(addresses: "tuple[str, str]") -> None:
    wire = _Wire()
    assert peer.flood_acks(addresses[0], 1234, addresses[1], 22, 300, seed=1, link=wire) == 300
    assert peer.flood_acks(addresses[0], 1234, addresses[1], 22, 10, (0xFFFFFFFE, 1), 0, 0xFFFFFFFF, link=wire) == 10
    assert peer.flood_acks(addresses[0], 1234, addresses[1], 22, 1, 7, ack=0, flags=peer.SYN, link=wire) == 1
    segments = [parse(frame[14:]) for frame in wire.sent]
    assert all(segment.tcp_checksum_ok and segment.ip_checksum_ok in (True, None) for segment in segments)
    assert all((segment.source, segment.destination) == addresses for segment in segments)
    assert all((segment.sport, segment.dport) == (1234, 22) for segment in segments)
    assert len({(segment.seq, segment.ack) for segment in segments[:300]}) == 300
    assert [segment.seq for segment in segments[300:306]] == [0xFFFFFFFE, 0xFFFFFFFF, 1] * 2
    assert all(segment.ack == 0xFFFFFFFF and segment.flags == peer.ACK for segment in segments[300:310])
    assert (segments[310].seq, segments[310].ack, segments[310].flags) == (7, 0, peer.SYN)
    with pytest.raises(ValueError):
        peer.flood_acks(addresses[0], 1, addresses[1], 2, 1, 5, 5, link=wire)


# --- the client against a server made of the same document ----------------------------------------------------


class _Server:
    """A `Link` with a protocol server (one handshake at a time) and an echo service behind it."""

    raw = answering = False
    interface = "none"
    mtu = 1500
    state = "none"

    def __init__(self, source: str, destination: str, isn: int, slot: "int | None") -> None:
        self.source, self.destination = source, destination
        self.family = 4 if "." in source else 6
        self.packed = ipaddress.ip_address(destination).packed, ipaddress.ip_address(source).packed
        self.a = proto.address_bytes(source)
        self.isn, self.slot = isn, slot
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.mode: "Mode | None" = None
        self.verdicts: "list[str]" = []

    def open_receiver(self) -> socket.socket:
        return self.theirs

    def close(self) -> None:
        self.ours.close()

    def reply(self, to: peer.Segment, flags: int, seq: int, payload: bytes = b"", n: int = 0, e: "int | None" = None) -> None:
        ack = to.seq + len(to.payload) + (1 if to.flags & (peer.SYN | peer.FIN) else 0)
        segment = peer.build_tcp(*self.packed, to.dport, to.sport, seq if e is None else e, ack, flags, payload)
        self.ours.send(peer.build_ip(*self.packed, segment, ident=n & 0xFFFF, flow_label=n))

    def send(self, packet: bytes) -> None:
        segment = parse(packet)
        if segment.flags & peer.SYN:
            found = proto.judge_code(KEYS.k1, self.a, segment.seq, self.slot, segment.ack)
            self.verdicts.append("code" if found else "no code")
            if found:
                self.mode, _ = found
                self.c, self.state = segment.seq, "pending"
                n, e = proto.seal(KEYS, self.a, self.c, self.isn, self.mode)
                self.reply(segment, peer.SYN | peer.ACK, 0, n=n, e=e)
        elif self.state == "pending" and segment.flags & peer.ACK and segment.seq == (self.c + 1) % 2**32:
            right = segment.ack == (self.isn + 1) % 2**32
            self.state = "verified" if right else "locked"
            self.verdicts.append(self.state)
            self.seq = (self.isn + 1) % 2**32
        if self.state == "verified" and (segment.payload or segment.flags & peer.FIN):
            flags = peer.ACK | segment.flags & peer.FIN
            self.reply(segment, flags, self.seq, segment.payload)
            self.seq = (self.seq + len(segment.payload)) % 2**32


Conversation = Callable[..., "tuple[peer.KnockClient, _Server]"]


@pytest.fixture(params=[(4, mode) for mode in Mode] + [(6, mode) for mode in Mode], ids=lambda p: f"IPv{p[0]}-{p[1].name}")
def conversation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Conversation:
    """Makes (client, server) pairs."""
    family, mode = request.param
    addresses = ("192.0.2.10", "192.0.2.20") if family == 4 else ("2001:db8::10", "2001:db8::20")

    def make(
        isn: int = 0xFFFFFFF0, slot: "int | None" = 28_500_000, **options: Any
    ) -> "tuple[peer.KnockClient, _Server]":
        server = _Server(*addresses, isn, slot)
        monkeypatch.setattr(peer, "Link", lambda *_: server)
        options = {"clock": lambda: 1_710_000_000.0, "mode": mode} | options
        return peer.KnockClient(KEY, addresses[1], 22, addresses[0], 12345, **options), server

    return make


def test_client_handshake_and_echo(conversation: Conversation) -> None:
    client, server = conversation()
    with client:
        assert client.handshake()
        synack = client.synack
        assert synack and synack.proof_ok and synack.true_isn == server.isn != synack.seq
        assert client.mode == server.mode
        data = random.Random(3).randbytes(5000)  # the server's sequence numbers wrap in it
        assert client.exchange(data) == data
        assert client.close()
    assert server.verdicts == ["code", "verified"]


def test_client_without_time(conversation: Conversation) -> None:
    client, server = conversation(slot=None, time_enabled=False)
    with client:
        assert client.handshake()
    assert server.verdicts == ["code", "verified"]


def test_client_clock_is_off_by_two_slots(conversation: Conversation) -> None:
    client, server = conversation(clock=lambda: 1_710_000_000.0 - 61)
    with client:
        client.send_syn()
        assert client.receive_synack(0.01) is None
    assert server.verdicts == ["no code"]


def test_client_can_do_each_step_wrong(conversation: Conversation) -> None:
    client, server = conversation()
    with client:
        client.send_syn(code=0)
        client.send_syn(code=1)
        assert client.receive_synack(0.01) is None
        client.send_syn(isn=77)
        first = client.receive_synack(0.1)
        client.send_syn()
        assert first and client.receive_synack(0.1) == first and first.proof_ok and first.ack == 78
        client.send_ack(seq=79)
        client.send_ack(ack=first.seq)
        client.send_ack()
        assert client.receive_data(0.01) == b""
    assert server.verdicts == ["no code", "no code", "code", "code", "locked"]


def test_client_detects_a_proof_that_does_not_hold(conversation: Conversation) -> None:
    client, server = conversation()
    with client:
        # Both take the client for somebody else (as behind NAT), and then the server does so no longer.
        client.a = proto.address_bytes("198.51.100.1" if client.family == 4 else "2001:db8:1::1")
        server.a = client.a
        client.send_syn()
        first = client.receive_synack(0.1)
        assert first and first.proof_ok
        server.a = proto.address_bytes(client.source)
        assert client.c is not None and server.slot is not None
        client.send_syn(code=proto.syn_code(KEYS.k1, server.a, client.c, server.slot, client.mode))
        synack = client.receive_synack(0.1)
        assert synack is not None and not synack.proof_ok
        assert client.rcv_nxt == (synack.seq + 1) % 2**32
