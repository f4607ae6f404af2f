"""A box on the way that gives packets an identification field (IPv6: a flow label) of its own.

Run as a program: `nonce_rewriter.py QUEUE`.
"""

import os
import random
import socket
import struct
import sys

from .hosts import PYTHON, Host
from .processes import Program
from .queue_stand_in import (
    _ACCEPT,
    _CONFIG,
    _PACKET,
    _PACKET_HEADER,
    _PAYLOAD,
    _QUEUE_SUBSYSTEM,
    _VERDICT,
    _VERDICT_HEADER,
    _attributes,
    _message,
)


def rewrite_nonces(router: Host, match: str, queue: int = 7) -> Program:
    """Has a router rewrite the packets that it forwards and that the options of iptables match."""
    code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('harness.nonce_rewriter', run_name='__main__')"
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = router.popen([PYTHON, "-c", code, folder, str(queue)], name="nonce rewriter")
    program.wait_for_line("^ready$")
    for iptables in ("iptables", "ip6tables"):
        router.run([iptables, "-w", "-t", "mangle", "-A", "FORWARD", *match.split(),
                    "-j", "NFQUEUE", "--queue-num", str(queue)])  # fmt: skip
    return program


def rewritten(packet: bytes) -> bytes:
    """The packet with another nonce, and an IPv4 header checksum that fits."""
    if packet[0] >> 4 == 6:
        return struct.pack("!I", 6 << 28 | random.getrandbits(20)) + packet[4:]
    length = (packet[0] & 15) * 4
    header = bytearray(packet[:length])
    struct.pack_into("!H", header, 4, random.getrandbits(16))
    struct.pack_into("!H", header, 10, 0)
    total = sum(struct.unpack(f"!{length // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", header, 10, ~total & 0xFFFF)
    return bytes(header) + packet[length:]


def main(queue: int) -> None:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    netlink.bind((0, 0))
    netlink.send(_message(_CONFIG, queue, (1, struct.pack("!BBH", 1, 0, 0))))  # bind
    netlink.send(_message(_CONFIG, queue, (2, struct.pack("!IB", 0xFFFF, 2))))  # copy whole packets
    print("ready", flush=True)
    while True:
        data = netlink.recv(1 << 17)
        if struct.unpack_from("=H", data, 4)[0] != _QUEUE_SUBSYSTEM << 8 | _PACKET:
            continue
        attributes = _attributes(data[20:])
        (identifier,) = struct.unpack_from("!I", attributes[_PACKET_HEADER])
        verdict = struct.pack("!II", _ACCEPT, identifier)
        payload = rewritten(attributes[_PAYLOAD])
        netlink.send(_message(_VERDICT, queue, (_VERDICT_HEADER, verdict), (_PAYLOAD, payload)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
