"""The program behind hostile.py: `hostile_program.py INTERFACE MAC COUNT SEED REPORTS`, and a JSON object on its input.

Packets go past the host's own IP, one by one; what kind each is, is decided at random.
"""

import json
import random
import socket
import struct
import sys
from typing import Any, Callable, Dict, List

_TCP = 6


def _sum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def _checksum(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Hostility:
    """Makes packets towards one address, from what was seen of real handshakes."""

    def __init__(self, bits: random.Random, known: Dict[str, Any]) -> None:
        self.bits = bits
        self.server = bytes.fromhex(known["server"])
        self.port: int = known["port"]
        #: SYNs whose codes are used up.
        self.syns = [bytes.fromhex(packet) for packet in known["syns"]]
        #: Right third ACKs, never sent, of handshakes that are under way.
        self.acks = [bytes.fromhex(packet) for packet in known["acks"]]
        self.ipv6 = len(self.server) == 16
        self.header = 40 if self.ipv6 else 20
        self.kinds: List[Callable[[], bytes]] = [
            self.noise, self.wrong_code, self.forged_ack, self.cut, self.damaged_syn, self.damaged_ack, self.replay,
            self.strange_headers,
        ]  # fmt: skip

    def packet(self) -> bytes:
        return self.kinds[self.bits.getrandbits(3)]()

    def random_bytes(self, most: int) -> bytes:
        length = self.bits.randrange(most)
        return self.bits.getrandbits(8 * length or 1).to_bytes(length or 1, "big")

    def source(self) -> bytes:
        if self.ipv6:
            return b"\x20\x01\x0d\xb8" + self.bits.getrandbits(96).to_bytes(12, "big")
        return (0x20000000 | self.bits.getrandbits(29)).to_bytes(4, "big")

    def ip(self, source: bytes, payload: bytes, protocol: int = _TCP) -> bytes:
        if self.ipv6:
            label = self.bits.getrandbits(20)
            return struct.pack("!IHBB", 6 << 28 | label, len(payload), protocol, 64) + source + self.server + payload
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), self.bits.getrandbits(16), 0, 64, protocol, 0)
        checksum = _checksum(_sum(header) + _sum(source) + _sum(self.server))
        return header[:10] + struct.pack("!H", checksum) + source + self.server + payload

    def segment(self, source: bytes, port: int, seq: int, ack: int, flags: int, rest: bytes = b"") -> bytes:
        tcp = struct.pack("!HHIIBBHHH", port, self.port, seq, ack, 0x50, flags, 64_240, 0, 0) + rest
        checksum = _checksum(_sum(source) + _sum(self.server) + _sum(tcp) + _TCP + len(tcp))
        return tcp[:16] + struct.pack("!H", checksum) + tcp[18:]

    def mended(self, packet: bytearray) -> bytes:
        """With lengths and checksum of the IP header made right again."""
        if self.ipv6:
            struct.pack_into("!H", packet, 4, max(0, len(packet) - 40))
        else:
            struct.pack_into("!H", packet, 2, len(packet))
            struct.pack_into("!H", packet, 10, 0)
            struct.pack_into("!H", packet, 10, _checksum(_sum(bytes(packet[:20]))))
        return bytes(packet)

    # The kinds

    def noise(self) -> bytes:
        """A TCP segment of random bytes to the right port."""
        rest = self.random_bytes(60)
        return self.ip(self.source(), rest[:2] + struct.pack("!H", self.port) + rest[2:])

    def wrong_code(self) -> bytes:
        source = self.source()
        numbers = self.bits.getrandbits(80)
        return self.ip(source, self.segment(
            source, numbers & 0xFFFF, numbers >> 16 & 0xFFFFFFFF, numbers >> 48 & 0xFFFFFFFF or 1, 0x02
        ))  # fmt: skip

    def forged_ack(self) -> bytes:
        """Of a handshake that is under way, with numbers that are guesses."""
        genuine = self.bits.choice(self.acks)
        source, (port,) = self.source_of(genuine), struct.unpack_from("!H", genuine, self.header)
        numbers = self.bits.getrandbits(66)
        flags = (0x10, 0x18, 0x11, 0x14)[numbers & 3]
        return self.ip(source, self.segment(source, port, numbers >> 2 & 0xFFFFFFFF, numbers >> 34, flags))

    def source_of(self, packet: bytes) -> bytes:
        return packet[8:24] if self.ipv6 else packet[12:16]

    def cut(self) -> bytes:
        """A genuine SYN that ends too early; half of them say so in the IP header."""
        packet = bytearray(self.bits.choice(self.syns))
        del packet[self.bits.randrange(self.header, len(packet)) :]
        return self.mended(packet) if self.bits.getrandbits(1) else bytes(packet)

    def damaged_syn(self) -> bytes:
        """A genuine SYN with up to eight wrong bits; the checksums of half of them are right again."""
        packet = bytearray(self.bits.choice(self.syns))
        for _ in range(1 + self.bits.getrandbits(3)):
            bit = self.bits.randrange(8 * len(packet))
            packet[bit // 8] ^= 1 << bit % 8
        if self.bits.getrandbits(1):
            return bytes(packet)
        header = self.header
        struct.pack_into("!H", packet, header + 16, 0)
        addresses = bytes(packet[8:40] if self.ipv6 else packet[12:20])
        tcp = bytes(packet[header:])
        struct.pack_into("!H", packet, header + 16, _checksum(_sum(addresses) + _sum(tcp) + _TCP + len(tcp)))
        return self.mended(packet)

    def damaged_ack(self) -> bytes:
        """A right third ACK that was damaged on the way, in ports or numbers; the checksum shows it."""
        packet = bytearray(self.bits.choice(self.acks))
        bit = self.bits.randrange(8 * 12)
        packet[self.header + bit // 8] ^= 1 << bit % 8
        return bytes(packet)

    def replay(self) -> bytes:
        return self.bits.choice(self.syns)

    def strange_headers(self) -> bytes:
        """IPv4 options, or IPv6 extension headers, of random bytes and lengths before a SYN."""
        source = self.source()
        segment = self.segment(source, 1234, 1, self.bits.getrandbits(32), 0x02)
        if self.ipv6:
            kinds = [self.bits.choice((0, 43, 44, 51, 60, 135, 139, 140)) for _ in range(self.bits.randrange(1, 12))]
            chain = b""
            for following in [*kinds[1:], _TCP]:
                length = self.bits.randrange(3)
                chain += bytes((following, self.bits.choice((length, length, length, 255))))
                chain += self.bits.getrandbits(8 * (6 + 8 * length)).to_bytes(6 + 8 * length, "big")
            return self.ip(source, chain + segment, kinds[0])
        words = self.bits.randrange(1, 11)
        packet = bytearray(self.ip(source, self.bits.getrandbits(32 * words).to_bytes(4 * words, "big") + segment))
        packet[0] = 0x45 + words
        struct.pack_into("!H", packet, 10, 0)
        struct.pack_into("!H", packet, 10, _checksum(_sum(bytes(packet[: 20 + 4 * words]))))
        return bytes(packet)


def main(interface: str, mac: str, count: int, seed: int, reports: int) -> None:
    bits = random.Random(seed)
    known = json.loads(sys.stdin.readline())
    sources = [Hostility(bits, family) for family in known]
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((interface, 0))
    own = bytes.fromhex(open(f"/sys/class/net/{interface}/address", encoding="ascii").read().strip().replace(":", ""))
    frames = [
        (hostility.packet, bytes.fromhex(mac.replace(":", "")) + own + (b"\x86\xdd" if hostility.ipv6 else b"\x08\0"))
        for hostility in sources
    ]
    print("begun", flush=True)
    sent = 0
    while sent < count:
        make, link = frames[sent % len(frames)]
        try:
            sender.send(link + make())
        except OSError as error:
            if error.errno != 105:  # ENOBUFS: come again
                raise
            continue
        sent += 1
        if sent % max(1, count // reports) == 0:
            print(f"sent {sent}", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
