# SPDX-License-Identifier: GPL-2.0-or-later
"""Rewritten packets against scapy, which computes all checksums anew: byte for byte the same."""
import os
import random
import subprocess
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
from scapy.all import (IP, TCP, IPOption, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                       IPv6ExtHdrRouting, PadN, Raw)

from harness.daemons import program

COUNT = 20_000
SEED = os.environ.get("TCPKNOCK_TEST_SEED", "20240310")
FIELDS = ("seq", "ack", "nonce")
Rewriter = Callable[[List[str]], List[str]]


@pytest.fixture(scope="module")
def rewriter() -> Rewriter:
    path = program("packet-rewriter")

    def run(lines: List[str]) -> List[str]:
        text = "".join(line + "\n" for line in lines)
        answer = subprocess.run([path], input=text, capture_output=True, text=True, timeout=120, check=True)
        assert answer.stdout.count("\n") == len(lines)
        return answer.stdout.splitlines()

    return run


def number(chance: random.Random) -> int:
    """Any 32-bit number, but often one at which sums carry or vanish."""
    return chance.choice([0, 1, 0xffff, 0x10000, 0xffff0000, 0xffffffff, 0xfffffffe]) if chance.random() < 0.3 \
        else chance.getrandbits(32)


def extension_headers(chance: random.Random) -> Iterator[Any]:
    # Not an authentication header: behind one, scapy computes no checksums.
    kinds: List[Callable[[], Any]] = [
        lambda: IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(chance.choice([2, 4, 12])))]),
        lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(chance.choice([4, 20])))]),
        lambda: IPv6ExtHdrRouting(segleft=0),
        lambda: IPv6ExtHdrFragment(offset=0, m=0, id=chance.getrandbits(32)),
    ]
    for _ in range(chance.choice([0, 0, 1, 2, 3])):
        yield chance.choice(kinds)()


def network_header(chance: random.Random) -> Any:
    if chance.random() < 0.5:
        address = [".".join(str(chance.randrange(256)) for _ in range(4)) for _ in range(2)]
        options = [IPOption(b"\x07\x07\x04\x00\x00\x00\x00\x00")] * chance.choice([0, 0, 1, 3])
        return IP(src=address[0], dst=address[1], tos=chance.randrange(256), options=options,
                  ttl=chance.randrange(1, 256), flags=chance.choice([0, "DF"]))
    address = ["2001:db8:" + ":".join(f"{chance.getrandbits(16):x}" for _ in range(6)) for _ in range(2)]
    header = IPv6(src=address[0], dst=address[1], tc=chance.randrange(256))
    for extension in extension_headers(chance):
        header = header / extension
    return header


def segment(chance: random.Random) -> Any:
    options = chance.choice([
        [], [("MSS", 1460)], [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]])
    return TCP(sport=chance.getrandbits(16), dport=chance.getrandbits(16), flags=chance.randrange(256),
               window=chance.getrandbits(16), urgptr=chance.choice([0, chance.getrandbits(16)]), options=options)


def put(packet: Any, values: Dict[str, int]) -> None:
    """Sets fields; scapy computes checksums when it makes bytes of the packet."""
    for field, value in values.items():
        if field != "nonce":
            setattr(packet[TCP], field, value)
        elif IP in packet:
            packet[IP].id = value & 0xffff
        else:
            packet[IPv6].fl = value & 0xfffff


def checksum(packet: Any) -> "tuple[int, int]":
    """The TCP checksum as scapy has it, and where it is."""
    raw = bytes(packet)
    offset = len(raw) - len(bytes(packet[TCP])) + 16
    return int.from_bytes(raw[offset:offset + 2], "big"), offset


def make(chance: random.Random) -> "tuple[Any, Dict[str, int]]":
    """A packet, and what to put into it; in every fourth one the TCP checksum is 0 before or afterwards."""
    packet = network_header(chance) / segment(chance)
    put(packet, {field: number(chance) for field in FIELDS})
    new = {field: number(chance) for field in FIELDS if chance.random() < 0.7}
    payload = chance.randbytes(chance.choice([0, 1, 2, 3, 7, 64, 65, 536, 1399]))
    if payload:
        packet = packet / Raw(payload)
    if len(payload) >= 2 and chance.random() < 0.3:
        other = packet.copy()
        if chance.random() < 0.5:
            put(other, new)
        other[Raw].load = packet[Raw].load = b"\0\0" + payload[2:]
        packet[Raw].load = checksum(other)[0].to_bytes(2, "big") + payload[2:]
    return packet, new


def line(raw: bytes, new: Dict[str, int]) -> str:
    return " ".join(str(new.get(field, "-")) for field in FIELDS) + " " + raw.hex()


def closed_port(packet: Any) -> Optional[bytes]:
    """What Linux answers from a closed port: nothing to a RST."""
    tcp = packet[TCP]
    if "R" in tcp.flags:
        return None
    # The service class is that of the packet, without the bits of ECN.
    header = IP(src=packet[IP].dst, dst=packet[IP].src, id=0, flags="DF", ttl=64, tos=packet[IP].tos & 0xfc) \
        if IP in packet else IPv6(src=packet[IPv6].dst, dst=packet[IPv6].src, hlim=64, tc=packet[IPv6].tc & 0xfc)
    length = len(packet[Raw].load) if Raw in packet else 0
    if "A" in tcp.flags:
        answer = TCP(flags="R", seq=tcp.ack)
    else:
        length += ("S" in tcp.flags) + ("F" in tcp.flags)
        answer = TCP(flags="RA", seq=0, ack=(tcp.seq + length) & 0xffffffff)
    answer.sport, answer.dport, answer.window = tcp.dport, tcp.sport, 0
    return bytes(header / answer)


def test_rewritten_as_scapy_makes_it(rewriter: Rewriter) -> None:
    chance = random.Random(SEED)
    cases = [make(chance) for _ in range(COUNT)]
    befores = [bytes(packet) for packet, _ in cases]
    answers = rewriter([line(before, new) for before, (_, new) in zip(befores, cases)])
    zeros = {"before": 0, "after": 0, "answers": 0}
    for before, (packet, new), answer in zip(befores, cases, answers):
        verdict, rewritten, reset = answer.split()
        assert verdict == "right", before.hex()
        expected = closed_port(packet)
        assert reset == ("-" if expected is None else expected.hex()), before.hex()
        zeros["answers"] += expected is not None
        zeros["before"] += checksum(packet)[0] == 0
        put(packet, new)
        assert rewritten == bytes(packet).hex(), (before.hex(), new)
        zeros["after"] += checksum(packet)[0] == 0
    assert min(zeros.values()) > COUNT / 20, f"the corner at which sums vanish was hardly met: {zeros}"


def test_damage_stays_as_it_was(rewriter: Rewriter) -> None:
    """A wrong checksum is off by as much afterwards; 0xffff in place of 0 is right, and stays so (RFC 1624)."""
    chance = random.Random(SEED)
    cases: "List[tuple[bytes, Dict[str, int], int, int, int, int]]" = []
    while len(cases) < COUNT // 10:
        packet, new = make(chance)
        right, offset = checksum(packet)
        wrong = chance.choice([0xffff, right ^ 1 << chance.randrange(16), chance.getrandbits(16)]) if right \
            else 0xffff
        raw = bytes(packet)
        before = raw[:offset] + wrong.to_bytes(2, "big") + raw[offset + 2:]
        put(packet, new)
        cases.append((before, new, wrong, right, offset, checksum(packet)[0]))
    answers = rewriter([line(before, new) for before, new, *_ in cases])
    ones = 0
    for (before, new, wrong, right, offset, after), answer in zip(cases, answers):
        verdict, rewritten, reset = answer.split()
        is_right = (wrong - right) % 0xffff == 0
        assert verdict == ("right" if is_right else "wrong"), before.hex()
        assert is_right or reset == "-"
        found = int.from_bytes(bytes.fromhex(rewritten)[offset:offset + 2], "big")
        assert (found - after - (wrong - right)) % 0xffff == 0, (before.hex(), new)
        ones += wrong == 0xffff and right == 0
    assert ones > 50, "0xffff in place of 0 was hardly met"
