#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A tcpknock client made of hand-built packets, for tests: it can do the protocol right, or wrong at any step.

Packets are built here with `struct` and an own checksum, sent through AF_PACKET and received through AF_PACKET,
so neither the host's TCP, nor its netfilter, nor any code of the daemons takes part. Needs root (or a network
namespace of its own). Linux only; the standard library only.

The kernel must not answer for this client's ports, or its RST ends the handshake. Two ways:

- a `source` address that is on the link but NOT configured on the host: the client then answers ARP and
  neighbour discovery for it by itself (this is automatic), and the kernel takes no notice of its packets;
- a configured `source` (or none given) together with `suppress_rst` for its port range.

As a command:  knockpeer.py --key-file K --server ADDR --port P --mode full [--send TEXT] [--json] ...
Exit status: 0 the connection works, 1 no SYN/ACK, 2 usage, 3 the server's proof does not hold, 4 the server does
not answer after the third ACK, 5 the server reset the connection, 6 what came back is not what was sent.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import ipaddress
import itertools
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Iterator

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import knockprotocol as proto  # noqa: E402
from knockprotocol import Mode  # noqa: E402

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128

ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_MR_ALLMULTI = 263, 1, 8, 2
TP_STATUS_CSUMNOTREADY = 1 << 3
SIOCGIFHWADDR = 0x8927

_MASK32 = 0xFFFFFFFF


class PeerError(Exception):
    """The surroundings are not what a test needs: no route, no neighbour, no connection."""


# --- checksums and packets --------------------------------------------------------------------------------


def ones_complement_sum(data: bytes) -> int:
    """The 16-bit one's complement sum of RFC 1071.

    2**16 is 1 modulo 65535, so the sum of all 16-bit words with end-around carry is the whole number modulo
    65535; only the choice between the two zeroes is left: a sum of words that are not all 0 is never +0.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    return number % 0xFFFF or (0xFFFF if number else 0)


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071."""
    return ~ones_complement_sum(data) & 0xFFFF


def pseudo_header(source: bytes, destination: bytes, length: int, protocol: int = socket.IPPROTO_TCP) -> bytes:
    """The pseudo header of RFC 9293 (IPv4) or RFC 8200 (IPv6); the family follows from the addresses' size."""
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, protocol, length)
    return source + destination + struct.pack("!IxxxB", length, protocol)


def build_tcp(
    source: bytes,
    destination: bytes,
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    flags: int,
    payload: bytes = b"",
    window: int = 65_535,
    options: bytes = b"",
    bad_checksum: bool = False,
) -> bytes:
    """A TCP segment; the addresses (packed) are for the checksum, options are padded to whole words."""
    options += bytes(-len(options) % 4)
    offset = 5 + len(options) // 4
    header = struct.pack(
        "!HHIIBBHHH", sport, dport, seq & _MASK32, ack & _MASK32, offset << 4, flags, window, 0, 0
    )
    segment = header + options + payload
    value = checksum(pseudo_header(source, destination, len(segment)) + segment)
    if bad_checksum:
        value ^= 0x5555
    return segment[:16] + struct.pack("!H", value) + segment[18:]


def build_ip(source: bytes, destination: bytes, segment: bytes, ident: int = 0, flow_label: int = 0, hops: int = 64) -> bytes:
    """An IPv4 packet (don't fragment) or an IPv6 packet around a TCP segment."""
    if len(source) == 4:
        header = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), ident, 0x4000, hops, socket.IPPROTO_TCP, 0, source, destination
        )
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment
    return struct.pack("!IHBB16s16s", 6 << 28 | flow_label, len(segment), socket.IPPROTO_TCP, hops, source, destination) + segment


@dataclass
class Segment:
    """A TCP segment as it came from the wire."""

    family: int
    source: str
    destination: str
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    ip_id: "int | None"  # IPv4 only
    flow_label: "int | None"  # IPv6 only
    mss: "int | None"
    payload: bytes
    ip_checksum_ok: "bool | None"  # None: IPv6 has none
    tcp_checksum_ok: "bool | None"  # None: the sender left it to hardware that is not there (virtual links)

    @property
    def flag_names(self) -> str:
        """The flags in words, for people."""
        names = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
        return ",".join(name for bit, name in enumerate(names) if self.flags >> bit & 1) or "none"


def parse_packet(packet: bytes, checksum_ready: bool = True) -> "Segment | None":
    """An IP packet taken apart; None if it is no whole TCP segment."""
    if len(packet) < 40:
        return None
    ip_id = flow_label = ip_ok = None
    if packet[0] >> 4 == 4:
        family, start = 4, (packet[0] & 15) * 4
        total, ip_id, fragment = struct.unpack_from("!HHH", packet, 2)
        if packet[9] != socket.IPPROTO_TCP or fragment & 0x3FFF:
            return None
        source, destination = packet[12:16], packet[16:20]
        ip_ok = ones_complement_sum(packet[:start]) == 0xFFFF
        end = total or len(packet)
    elif packet[0] >> 4 == 6:
        family, start = 6, 40
        flow_label = struct.unpack_from("!I", packet)[0] & 0xFFFFF
        length, following = struct.unpack_from("!HB", packet, 4)
        source, destination = packet[8:24], packet[24:40]
        end = 40 + length if length else len(packet)
        while following in (0, 43, 60) and start + 8 <= end:  # hop-by-hop, routing, destination options
            following, start = packet[start], start + (packet[start + 1] + 1) * 8
        if following != socket.IPPROTO_TCP:
            return None
    else:
        return None
    segment = packet[start:end]
    if len(packet) < end or len(segment) < 20:
        return None
    sport, dport, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", segment)
    data = (offset >> 4) * 4
    if not 20 <= data <= len(segment):
        return None
    tcp_ok = None
    if checksum_ready:
        tcp_ok = ones_complement_sum(pseudo_header(source, destination, len(segment)) + segment) == 0xFFFF
    return Segment(
        family,
        str(ipaddress.ip_address(source)),
        str(ipaddress.ip_address(destination)),
        sport,
        dport,
        seq,
        ack,
        flags,
        window,
        ip_id,
        flow_label,
        _find_mss(segment[20:data]),
        segment[data:],
        ip_ok,
        tcp_ok,
    )


def _find_mss(options: bytes) -> "int | None":
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            return None
        if options[at] == 2 and options[at + 1] == 4 and at + 4 <= len(options):
            return struct.unpack_from("!H", options, at + 2)[0]
        at += options[at + 1]
    return None


# --- the way out: interface, next hop, neighbours -----------------------------------------------------------


def _ip_json(*arguments: str) -> "list[Any]":
    answer = subprocess.run(["ip", "-j", *arguments], capture_output=True, text=True)
    if answer.returncode != 0:
        raise PeerError(f"ip {' '.join(arguments)}: {answer.stderr.strip()}")
    return json.loads(answer.stdout or "[]")


def _configured(address: str) -> bool:
    wanted = ipaddress.ip_address(address)
    for link in _ip_json("addr", "show"):
        for entry in link.get("addr_info", ()):
            if "local" in entry and ipaddress.ip_address(entry["local"]) == wanted:
                return True
    return False


class Link:
    """The interface towards `destination`: sends whole IP packets, and answers for an address if need be.

    `source` None takes the one the routing table gives. If `source` is not configured on the host, a thread
    answers ARP or neighbour discovery for it (`answering`). With `raw`, packets go through a raw socket instead
    of AF_PACKET, i.e. through the host's routing and netfilter output; this is what loopback needs.
    """

    def __init__(
        self,
        destination: str,
        source: "str | None" = None,
        interface: "str | None" = None,
        next_hop: "str | None" = None,
        raw: "bool | None" = None,
        resolve_timeout: float = 3.0,
    ) -> None:
        self.destination = str(ipaddress.ip_address(destination))
        self.family = ipaddress.ip_address(destination).version
        route = _ip_json(f"-{self.family}", "route", "get", self.destination)[0]
        self.interface = interface or route["dev"]
        self.next_hop = next_hop or route.get("gateway") or self.destination
        if source is None:
            source = route.get("prefsrc")
            if source is None:
                raise PeerError(f"no source address towards {destination}; give one")
        self.source = str(ipaddress.ip_address(source))
        if ipaddress.ip_address(source).version != self.family:
            raise PeerError("source and destination are of different families")
        self.raw = self.interface == "lo" if raw is None else raw
        self.answering = not self.raw and not _configured(self.source)
        self.mtu = min(_ip_json("link", "show", "dev", self.interface)[0]["mtu"], 9000)
        self._stop = threading.Event()
        self._thread: "threading.Thread | None" = None
        self._sender: "socket.socket | None" = None
        ethertype = ETH_P_IP if self.family == 4 else ETH_P_IPV6
        try:
            if self.raw:
                kind = socket.AF_INET if self.family == 4 else socket.AF_INET6
                self._sender = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
                self._sender.connect((self.destination, 0))
            else:
                self._sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                self._sender.bind((self.interface, 0))
                own = fcntl.ioctl(self._sender, SIOCGIFHWADDR, struct.pack("16s16x", self.interface.encode()))
                self.mac = own[18:24]
                if self.answering:
                    self._thread = threading.Thread(target=self._answer, args=(self._neighbour_socket(),), daemon=True)
                    self._thread.start()
                self._frame = self._resolve(self._sender, resolve_timeout) + self.mac + struct.pack("!H", ethertype)
        except BaseException:
            self.close()
            raise

    def send(self, packet: bytes) -> None:
        """Send a whole IP packet."""
        self.sender()(packet if self.raw else self._frame + packet)

    def sender(self) -> "Callable[[bytes | bytearray], object]":
        """What sends a frame or, with `raw`, a packet."""
        if self._sender is None:
            raise PeerError("the link is closed")
        return self._sender.send

    def open_receiver(self) -> socket.socket:
        """A socket with whole IP packets of the family arriving on the interface, before netfilter sees them."""
        ethertype = ETH_P_IP if self.family == 4 else ETH_P_IPV6
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        receiver.bind((self.interface, ethertype))
        return receiver

    def close(self) -> None:
        """Stop answering for the address and release the sockets."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def _neighbour_socket(self) -> socket.socket:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        request = struct.pack("IHH8s", socket.if_nametoindex(self.interface), PACKET_MR_ALLMULTI, 0, b"")
        listener.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
        listener.bind((self.interface, ETH_P_ARP if self.family == 4 else ETH_P_IPV6))
        return listener

    def _solicit(self, target: bytes) -> bytes:
        """The frame that asks for the hardware address of `target`."""
        source = ipaddress.ip_address(self.source).packed
        if self.family == 4:
            arp = struct.pack("!HHBBH6s4s6s4s", 1, ETH_P_IP, 6, 4, 1, self.mac, source, bytes(6), target)
            return b"\xff" * 6 + self.mac + struct.pack("!H", ETH_P_ARP) + arp
        group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
        message = struct.pack("!BBHI16sBB6s", 135, 0, 0, 0, target, 1, 1, self.mac)
        return b"\x33\x33" + group[12:] + self._icmp6(source, group, message)

    def _icmp6(self, source: bytes, destination: bytes, message: bytes) -> bytes:
        """What follows the destination in a frame with a neighbour discovery message."""
        value = checksum(pseudo_header(source, destination, len(message), socket.IPPROTO_ICMPV6) + message)
        message = message[:2] + struct.pack("!H", value) + message[4:]
        header = struct.pack("!IHBB16s16s", 6 << 28, len(message), socket.IPPROTO_ICMPV6, 255, source, destination)
        return self.mac + struct.pack("!H", ETH_P_IPV6) + header + message

    def _resolve(self, sender: socket.socket, timeout: float) -> bytes:
        """The hardware address of the next hop, asked for with our own address as the asker."""
        target = ipaddress.ip_address(self.next_hop).packed
        with self._neighbour_socket() as listener:
            deadline = time.monotonic() + timeout
            again = 0.0
            while (now := time.monotonic()) < deadline:
                if now >= again:
                    sender.send(self._solicit(target))
                    again = now + 0.5
                if not select.select([listener], [], [], 0.1)[0]:
                    continue
                frame = listener.recv(2048)
                if self.family == 4:
                    if frame[20:22] == b"\0\2" and frame[28:32] == target:  # ARP reply, its sender
                        return frame[22:28]
                elif len(frame) >= 78 and frame[20] == 58 and frame[54] == 136 and frame[62:78] == target:
                    if len(frame) >= 86 and frame[78] == 2:  # the target's link-layer address option
                        return frame[80:86]
                    return frame[6:12]
        raise PeerError(f"{self.next_hop} does not answer on {self.interface}")

    def _answer(self, listener: socket.socket) -> None:
        """Answer ARP or neighbour solicitations for our address until the link is closed."""
        own = ipaddress.ip_address(self.source).packed
        with listener:
            while not self._stop.is_set():
                if not select.select([listener], [], [], 0.05)[0]:
                    continue
                try:
                    frame, information = listener.recvfrom(2048)
                    if information[2] == socket.PACKET_OUTGOING:
                        continue
                    if self.family == 4:
                        if len(frame) >= 42 and frame[20:22] == b"\0\1" and frame[38:42] == own:
                            arp = struct.pack(
                                "!HHBBH6s4s6s4s", 1, ETH_P_IP, 6, 4, 2, self.mac, own, frame[22:28], frame[28:32]
                            )
                            listener.send(frame[6:12] + self.mac + struct.pack("!H", ETH_P_ARP) + arp)
                    elif len(frame) >= 78 and frame[20] == 58 and frame[54] == 135 and frame[62:78] == own:
                        asker = frame[22:38]
                        if asker == bytes(16):  # duplicate address detection of somebody else: not for us to judge
                            continue
                        message = struct.pack("!BBHI16sBB6s", 136, 0, 0, 0x60000000, own, 2, 1, self.mac)
                        listener.send(frame[6:12] + self._icmp6(own, asker, message))
                except OSError:
                    return  # the interface went away


@contextlib.contextmanager
def suppress_rst(iptables: str, ports: "tuple[int, int] | int") -> Iterator[None]:
    """While in the context, keep the kernel's own RSTs from `ports` (one, or first and last) off the wire.

    `iptables` is the program, e.g. iptables, ip6tables-legacy: use the one of the client's family, in the client's
    network namespace. Packets of `KnockClient` itself do not pass netfilter, so its own RSTs do go out.
    """
    first, last = (ports, ports) if isinstance(ports, int) else ports
    rule = ["OUTPUT", "-p", "tcp", "--sport", f"{first}:{last}", "--tcp-flags", "RST", "RST", "-j", "DROP"]
    subprocess.run([iptables, "-w", "-I", *rule], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run([iptables, "-w", "-D", *rule], check=True, capture_output=True)


# --- the client -------------------------------------------------------------------------------------------


@dataclass
class SynAck:
    """A SYN/ACK, as received and as understood."""

    seq: int  # E, on the wire
    ack: int
    ip_id: "int | None"
    flow_label: "int | None"
    flags: int
    window: int
    mss: "int | None"
    nonce: int  # N, from ip_id or flow_label
    proof_ok: bool
    true_isn: int  # S, if the proof holds (or what unmasking gives if it does not); seq with expect_plain
    ip_checksum_ok: "bool | None"
    tcp_checksum_ok: "bool | None"


#: Ports for clients that ask for none in particular, in random order: none twice until all have been used.
_source_ports = itertools.cycle(random.sample(range(20_000, 30_000), 10_000))


class KnockClient:
    """One TCP connection of a tcpknock client, step by step.

    `key_bytes` is the content of a key file (None only with `expect_plain`, for a server without tcpknock: code 0
    and no proof). `claimed_address` is A if the server sees another address than `source` (NAT). `clock` gives
    seconds since 1970. `roaming` binds the code to no address (§4.2), `send_hint` puts the hint into SYNs (§4.1). `interface`, `next_hop` and `raw` are for `Link`.

    State that tests may read or change between steps: `c` (ISN), `synack`, `snd_nxt`, `rcv_nxt`, `established`,
    `reset` (the server sent a RST), `peer_closed` (its FIN was taken), `synacks` (SYN/ACKs seen), `link`.
    """

    def __init__(
        self,
        key_bytes: "bytes | None",
        server: str,
        port: int,
        source: "str | None" = None,
        source_port: "int | None" = None,
        mode: "Mode | str | int" = Mode.FULL,
        time_enabled: bool = True,
        clock: Callable[[], float] = time.time,
        claimed_address: "str | None" = None,
        roaming: bool = False,
        send_hint: bool = True,
        expect_plain: bool = False,
        interface: "str | None" = None,
        next_hop: "str | None" = None,
        raw: "bool | None" = None,
    ) -> None:
        if key_bytes is None and not expect_plain:
            raise ValueError("a key is needed unless the server is expected to be a plain one")
        self.keys = proto.Keys.derive(key_bytes) if key_bytes is not None else None
        self.mode = Mode.parse(mode)
        self.time_enabled = time_enabled
        self.clock = clock
        self.expect_plain = expect_plain
        self.port = port
        self.source_port = next(_source_ports) if source_port is None else source_port
        self.link = Link(server, source, interface, next_hop, raw)
        self.server = self.link.destination
        self.source = self.link.source
        self.family = self.link.family
        self.a = proto.ROAMING if roaming else proto.address_bytes(claimed_address or self.source)
        self.send_hint = send_hint
        self._receiver = self.link.open_receiver()
        self._packed = (ipaddress.ip_address(self.source).packed, ipaddress.ip_address(self.server).packed)
        self.own_mss = self.link.mtu - (40 if self.family == 4 else 60)
        self.mss = 536
        self.c: "int | None" = None
        self.snd_nxt = self.rcv_nxt = 0
        self.snd_una = 0
        self.peer_window = 0
        self.synack: "SynAck | None" = None
        self.synacks = 0
        self.established = self.reset = self.peer_closed = False
        self._received = bytearray()

    def __enter__(self) -> "KnockClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sending

    def send_segment(
        self,
        flags: int,
        seq: int,
        ack: int,
        payload: bytes = b"",
        options: bytes = b"",
        bad_checksum: bool = False,
        source_port: "int | None" = None,
        field: int = 0,
    ) -> None:
        """Send any segment whatever; the client's state does not change. `field` is the IP ID or flow label."""
        segment = build_tcp(
            *self._packed,
            self.source_port if source_port is None else source_port,
            self.port,
            seq,
            ack,
            flags,
            payload,
            options=options,
            bad_checksum=bad_checksum,
        )
        self.link.send(build_ip(*self._packed, segment, ident=field, flow_label=field))

    def hint_field(self) -> int:
        """What the IP ID or flow label of a SYN is to say of the key (§4.1) at this moment; 0 for nothing."""
        if self.keys is None or not self.send_hint:
            return 0
        return proto.hint_field(self.keys.k5, proto.time_slot(self.clock(), self.time_enabled), self.family)

    def code(self, isn: "int | None" = None) -> int:
        """The SYN code (§4) of this moment for the ISN (default: the one in use); 0 without a key."""
        if self.keys is None:
            return 0
        slot = proto.time_slot(self.clock(), self.time_enabled)
        c = self.c if isn is None else isn
        assert c is not None, "there is no ISN before the first SYN"
        return proto.syn_code(self.keys.k1, self.a, c, slot, self.mode)

    def send_syn(self, code: "int | None" = None, isn: "int | None" = None, payload: bytes = b"", flags: int = SYN) -> int:
        """Send a SYN with the right code, or with `code`. Returns the code.

        The ISN is `isn`, or the one of the SYN before (a retransmission), or a new random one. Another ISN than
        before starts over.
        """
        if isn is None:
            isn = random.getrandbits(32) if self.c is None else self.c
        if isn != self.c:
            self.c = isn
            self.synack = None
            self.synacks = 0
            self.established = self.reset = self.peer_closed = False
            self._received.clear()
        if code is None:
            code = self.code()
        self.snd_una, self.snd_nxt = isn, (isn + 1) & _MASK32
        options = struct.pack("!BBH", 2, 4, self.own_mss)
        self.send_segment(flags, isn, code, payload, options=options, field=self.hint_field())
        return code

    def send_ack(
        self,
        ack: "int | None" = None,
        seq: "int | None" = None,
        payload: bytes = b"",
        flags: "int | None" = None,
        bad_checksum: bool = False,
    ) -> None:
        """Send an ACK, by default the right one. A payload at the default `seq` advances `snd_nxt`."""
        if flags is None:
            flags = ACK | PSH if payload else ACK
        self.send_segment(
            flags,
            self.snd_nxt if seq is None else seq,
            self.rcv_nxt if ack is None else ack,
            payload,
            bad_checksum=bad_checksum,
        )
        if seq is None:
            self.snd_nxt = (self.snd_nxt + len(payload)) & _MASK32

    def send_rst(self, seq: "int | None" = None, ack: "int | None" = None) -> None:
        """Send a RST (RST,ACK if `ack` is given); the sequence number is the next one (F) by default."""
        self.send_segment(
            RST if ack is None else RST | ACK, self.snd_nxt if seq is None else seq, 0 if ack is None else ack
        )

    # -- receiving

    def receive_segment(self, timeout: float) -> "Segment | None":
        """The next segment of this connection from the server, whatever it is; None if there is none in time."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._receiver], [], [], left)[0]:
                return None
            packet, ancillary, _, _ = self._receiver.recvmsg(1 << 17, 256)
            ready = True
            for level, kind, data in ancillary:
                if level == SOL_PACKET and kind == PACKET_AUXDATA:
                    ready = not struct.unpack_from("I", data)[0] & TP_STATUS_CSUMNOTREADY
            segment = parse_packet(packet, ready)
            if segment is None or segment.source != self.server or segment.destination != self.source:
                continue
            if segment.sport == self.port and segment.dport == self.source_port:
                return segment

    def receive_synack(self, timeout: float = 5.0) -> "SynAck | None":
        """The next SYN/ACK, None if none comes in time or a RST comes instead (then `reset` is set).

        The default leaves the server time to repeat a SYN/ACK that was lost on a busy machine.

        If the proof holds, or `expect_plain` is set, the following steps use it: rcv_nxt is S + 1, snd_nxt what it
        acknowledges (F). If the proof does not hold, rcv_nxt is one above the sequence number on the wire.
        """
        deadline = time.monotonic() + timeout
        while (segment := self.receive_segment(max(0.0, deadline - time.monotonic()))) is not None:
            if segment.flags & RST:
                self.reset = True
                return None
            if segment.flags & (SYN | ACK | FIN) == SYN | ACK:
                self._note_synack(segment)
                return self.synack
        return None

    def _note_synack(self, segment: Segment) -> None:
        n = segment.ip_id if segment.family == 4 else segment.flow_label
        assert n is not None, "each family has its field"
        true_isn, proof_ok = segment.seq, False
        if self.keys is not None and not self.expect_plain:
            c = self.c if self.c is not None else (segment.ack - 1) & _MASK32
            true_isn, proof_ok = proto.open_sealed(self.keys, self.a, c, segment.seq, n, self.mode, self.family)
        self.synacks += 1
        self.synack = SynAck(
            segment.seq,
            segment.ack,
            segment.ip_id,
            segment.flow_label,
            segment.flags,
            segment.window,
            segment.mss,
            n,
            proof_ok,
            true_isn,
            segment.ip_checksum_ok,
            segment.tcp_checksum_ok,
        )
        self.rcv_nxt = ((true_isn if proof_ok or self.expect_plain else segment.seq) + 1) & _MASK32
        self.snd_una = self.snd_nxt = segment.ack
        self.peer_window = segment.window
        self.mss = min(self.own_mss, segment.mss or (536 if self.family == 4 else 1220))

    def _take(self, segment: Segment) -> None:
        """What an established connection does with a segment; acknowledges what is new, in order or not."""
        if segment.flags & RST:
            self.reset = True
            return
        if segment.flags & SYN:  # the server has not got our third ACK
            self.synacks += 1
            self.send_ack(seq=self.snd_nxt)
            return
        if segment.flags & ACK:
            if 0 < (segment.ack - self.snd_una) & _MASK32 <= (self.snd_nxt - self.snd_una) & _MASK32:
                self.snd_una = segment.ack
            self.peer_window = segment.window
        if not segment.payload and not segment.flags & FIN:
            return
        skip = (self.rcv_nxt - segment.seq) & _MASK32  # what of the segment we have already
        if skip <= len(segment.payload) and not self.peer_closed:
            self._received += segment.payload[skip:]
            self.rcv_nxt = (segment.seq + len(segment.payload)) & _MASK32
            if segment.flags & FIN:
                self.rcv_nxt = (self.rcv_nxt + 1) & _MASK32
                self.peer_closed = True
        self.send_ack(seq=self.snd_nxt)

    def receive_data(self, timeout: float = 1.0) -> bytes:
        """What data has come in order, at least one byte unless `timeout`, a FIN or a RST is first."""
        deadline = time.monotonic() + timeout
        while not self._received and not self.reset and not self.peer_closed:
            segment = self.receive_segment(max(0.0, deadline - time.monotonic()))
            if segment is None:
                break
            self._take(segment)
        data = bytes(self._received)
        self._received.clear()
        return data

    # -- whole conversations

    def handshake(self, timeout: float = 5.0, retransmit: float = 1.0) -> bool:
        """All three steps, repeating the SYN every `retransmit` seconds with the code of the moment.

        True if a SYN/ACK with a valid proof (any SYN/ACK with `expect_plain`) was acknowledged. Whether the server
        took the ACK is for `confirm`, or data, to tell.
        """
        deadline = time.monotonic() + timeout
        while not self.reset and (left := deadline - time.monotonic()) > 0:
            self.send_syn()
            synack = self.receive_synack(min(retransmit, left))
            if synack is not None:
                if not (synack.proof_ok or self.expect_plain):
                    return False
                self.send_ack()
                self.established = True
                return True
        return False

    def confirm(self, timeout: float = 1.5) -> bool:
        """Whether the server regards the connection as established, asked with a keep-alive probe.

        The probe is an ACK one below the next sequence number, which a server answers with an ACK. To a protocol
        server with a pending handshake it is a segment with another sequence number than F: dropped.
        """
        deadline = time.monotonic() + timeout
        again = 0.0
        while (now := time.monotonic()) < deadline and not self.reset:
            if self._received or self.peer_closed:
                return True
            if now >= again:
                self.send_ack(seq=(self.snd_nxt - 1) & _MASK32)
                again = now + 0.6  # Linux answers at most two of these a second
            segment = self.receive_segment(min(again, deadline) - now)
            if segment is None:
                continue
            if segment.flags & SYN:
                self.synacks += 1
                continue
            self._take(segment)
            if segment.flags & ACK and not segment.flags & RST:
                return True
        return False

    def exchange(self, payload: bytes, expect: "int | None" = None, timeout: float = 10.0) -> bytes:
        """Send `payload` segment by segment, each once the one before is acknowledged, and collect what comes.

        Returns when `expect` bytes (default: as many as sent) have come, or at a FIN, a RST or the timeout.
        """
        wanted = len(payload) if expect is None else expect
        deadline = time.monotonic() + timeout
        answer = bytearray()
        at = 0
        base = self.snd_nxt
        again = 0.0
        wait = 0.3
        while time.monotonic() < deadline and not self.reset:
            acknowledged = (self.snd_una - base) & _MASK32
            if acknowledged > at and acknowledged <= len(payload):
                at, again, wait = acknowledged, 0.0, 0.3
            now = time.monotonic()
            if at < len(payload) and now >= again:
                size = min(self.mss, len(payload) - at, self.peer_window or 1)
                self.snd_nxt = (base + at) & _MASK32
                self.send_ack(payload=payload[at : at + size])
                again, wait = now + wait, min(wait * 2, 2.0)
            elif at >= len(payload) and (len(answer) >= wanted or self.peer_closed):
                break
            until = min(deadline, again) if at < len(payload) else deadline
            segment = self.receive_segment(max(0.0, until - now))
            if segment is not None:
                self._take(segment)
                answer += self._received
                self._received.clear()
        return bytes(answer)

    def close(self, timeout: float = 1.0) -> bool:
        """End the connection with a FIN if it is established, and release the sockets; True if it ended orderly."""
        if self._receiver.fileno() < 0:
            return False
        orderly = False
        try:
            if self.established and not self.reset:
                last = (self.snd_nxt + 1) & _MASK32
                deadline = time.monotonic() + timeout
                again = 0.0
                first = self.snd_nxt
                while (now := time.monotonic()) < deadline and not self.reset and not orderly:
                    if self.snd_una != last and now >= again:
                        self.send_segment(FIN | ACK, first, self.rcv_nxt)
                        self.snd_nxt = last
                        again = now + 0.4
                    segment = self.receive_segment(max(0.0, min(deadline, max(again, now + 0.1)) - now))
                    if segment is not None:
                        self._take(segment)
                    orderly = self.snd_una == last and self.peer_closed
        finally:
            self.established = False
            self._receiver.close()
            self.link.close()
        return orderly


# --- forged packets in numbers ------------------------------------------------------------------------------


def flood_acks(
    src: str,
    sport: int,
    dst: str,
    dport: int,
    count: int,
    seq: "int | tuple[int, int] | None" = None,
    exclude_seq: "int | None" = None,
    ack: "int | None" = None,
    flags: int = ACK,
    seed: "int | None" = None,
    interface: "str | None" = None,
    next_hop: "str | None" = None,
    raw: "bool | None" = None,
    link: "Link | None" = None,
) -> int:
    """Send `count` segments in the name of src:sport to dst:dport, all checksums right; returns how many.

    `seq` is one number, the first and the last of a range that is walked through (again and again if need be), or
    None for random ones; never `exclude_seq`. `ack` is one number or None for random ones. About 100,000 packets
    a second or two: the packet is built once, and sequence, acknowledgment number and checksum are put into it.
    """
    if count and exclude_seq is not None and (seq == exclude_seq or seq == (exclude_seq, exclude_seq)):
        raise ValueError("seq leaves nothing but exclude_seq")
    own_link = link is None
    link = link or Link(dst, src, interface, next_hop, raw)
    source, destination = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    packet = build_ip(source, destination, build_tcp(source, destination, sport, dport, 0, 0, flags))
    prefix = b"" if link.raw else link._frame
    frame = bytearray(prefix + packet)
    tcp = len(frame) - 20
    # The checksum field of the segment with seq and ack 0 is the complement of everything else's sum.
    rest = ~struct.unpack_from("!H", frame, tcp + 16)[0] & 0xFFFF
    bits = random.Random(seed).getrandbits
    put_numbers, put_sum = struct.Struct("!II").pack_into, struct.Struct("!H").pack_into
    send = link.sender()
    first, last = seq if isinstance(seq, tuple) else (0, 0)
    width = ((last - first) & _MASK32) + 1
    step = sent = 0
    try:
        while sent < count:
            if seq is None:
                s = bits(32)
            elif isinstance(seq, tuple):
                s = (first + step % width) & _MASK32
                step += 1
            else:
                s = seq
            if s == exclude_seq:
                continue
            a = bits(32) if ack is None else ack
            total = rest + (s >> 16) + (s & 0xFFFF) + (a >> 16) + (a & 0xFFFF)
            total = (total & 0xFFFF) + (total >> 16)
            total = (total & 0xFFFF) + (total >> 16)
            put_numbers(frame, tcp + 4, s, a)
            put_sum(frame, tcp + 16, ~total & 0xFFFF)
            try:
                send(frame)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != 105:  # ENOBUFS: the queue is full, come again
                    raise
                time.sleep(0.001)
                continue
            sent += 1
    finally:
        if own_link:
            link.close()
    return sent


# --- the command --------------------------------------------------------------------------------------------


def _parse(arguments: "list[str] | None") -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A tcpknock client made of hand-built packets, for tests.")
    parser.add_argument("--key-file", help="the key; not needed with --plain")
    parser.add_argument("--server", required=True, help="address of the server")
    parser.add_argument("--port", required=True, type=int, help="port of the server")
    parser.add_argument("--mode", choices=["full", "windowed"], default="full")
    parser.add_argument("--source", help="own address; may be one the host does not have")
    parser.add_argument("--source-port", type=int, help="own port")
    parser.add_argument("--claimed-address", help="own address as the server sees it, if behind NAT")
    parser.add_argument("--interface", help="interface to use instead of the one of the route")
    parser.add_argument("--next-hop", help="neighbour to send to instead of the one of the route")
    parser.add_argument("--no-time", action="store_true", help="time is switched off (T is 0)")
    parser.add_argument("--clock-offset", type=float, default=0.0, metavar="SECONDS", help="be this far ahead")
    parser.add_argument("--plain", action="store_true", help="the server does not speak the protocol")
    parser.add_argument("--wrong-code", action="store_true", help="send a SYN with a wrong code")
    parser.add_argument("--wrong-ack", action="store_true", help="send a wrong third ACK")
    parser.add_argument("--suppress-rst", metavar="IPTABLES", help="drop the kernel's RSTs of the port with this program")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for the SYN/ACK")
    parser.add_argument("--send", metavar="TEXT", help="send this and expect it back")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    options = parser.parse_args(arguments)
    if not options.key_file and not options.plain:
        parser.error("--key-file is needed unless --plain is given")
    return options


def main(arguments: "list[str] | None" = None) -> int:
    """The command; see the top of the file."""
    options = _parse(arguments)
    stages: "list[dict[str, object]]" = []

    def say(stage: str, text: str, **details: object) -> None:
        stages.append({"stage": stage, **details})
        if not options.json:
            print(f"{stage:9} {text}", flush=True)

    def finish(status: int, text: str, result: str) -> int:
        say("result", text, result=result, status=status)
        if options.json:
            print(json.dumps(stages, indent=1))
        return status

    try:
        key = proto.read_key(options.key_file) if options.key_file else None
        client = KnockClient(
            key,
            options.server,
            options.port,
            source=options.source,
            source_port=options.source_port,
            mode=options.mode,
            time_enabled=not options.no_time,
            clock=lambda: time.time() + options.clock_offset,
            claimed_address=options.claimed_address,
            expect_plain=options.plain,
            interface=options.interface,
            next_hop=options.next_hop,
        )
    except (OSError, ValueError, PeerError) as error:
        print(f"knockpeer: {error}", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        if options.suppress_rst:
            stack.enter_context(suppress_rst(options.suppress_rst, client.source_port))
        stack.enter_context(client)  # last in, first out: its FIN is exchanged while RSTs are still suppressed
        return _converse(client, options, say, finish)


def _converse(
    client: KnockClient, options: argparse.Namespace, say: Callable[..., None], finish: Callable[[int, str, str], int]
) -> int:
    if client.keys is not None:
        say("key", f"fingerprint {client.keys.fingerprint}", fingerprint=client.keys.fingerprint)
    ways = f"{client.source}:{client.source_port} > {client.server}:{client.port} on {client.link.interface}"
    say("link", ways + (", answering for our address" if client.link.answering else ""), source=client.source)
    synack = None
    deadline = time.monotonic() + options.timeout
    while synack is None and not client.reset and time.monotonic() < deadline:
        client.c = random.getrandbits(32) if client.c is None else client.c
        code = client.code() ^ (0xA5A5A5A5 if options.wrong_code else 0)
        client.send_syn(code=code)
        say("SYN", f"seq {client.c:08x}, code {code:08x} ({client.mode.name.lower()})", seq=client.c, code=code)
        synack = client.receive_synack(min(1.0, max(0.0, deadline - time.monotonic())))
    if client.reset:
        return finish(5, "reset by the server instead of a SYN/ACK", "reset")
    if synack is None:
        return finish(1, "no SYN/ACK", "no-synack")
    field = f"IP ID {synack.ip_id:04x}" if synack.ip_id is not None else f"flow label {synack.flow_label:05x}"
    proof = "no proof expected" if options.plain else "proof holds" if synack.proof_ok else "PROOF DOES NOT HOLD"
    text = f"seq {synack.seq:08x}, ack {synack.ack:08x}, {field}: {proof}, ISN {synack.true_isn:08x}"
    say("SYN/ACK", text, **asdict(synack))
    if not synack.proof_ok and not options.plain:
        return finish(3, "the server did not prove that it has the key", "no-proof")
    ack = client.rcv_nxt ^ (0x00010000 if options.wrong_ack else 0)
    client.send_ack(ack=ack)
    client.established = not options.wrong_ack
    say("ACK", f"seq {client.snd_nxt:08x}, ack {ack:08x}" + (" (wrong)" if options.wrong_ack else ""), ack=ack)
    if options.send is not None and not options.wrong_ack:
        data = options.send.encode()
        answer = client.exchange(data)
        if answer or not client.reset:
            say("data", f"{len(data)} bytes sent, {len(answer)} received", sent=len(data), received=len(answer))
        if answer == data:
            return finish(0, "the connection works", "ok")
        if answer:
            return finish(6, "something else came back than was sent", "wrong-answer")
    elif client.confirm(2.0):
        return finish(0, "the connection works", "ok")
    if client.reset:
        return finish(5, "reset by the server", "reset")
    return finish(4, "the server does not answer", "no-answer")


if __name__ == "__main__":
    sys.exit(main())
