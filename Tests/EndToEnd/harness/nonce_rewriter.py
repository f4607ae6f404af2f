"""A box on the way that gives packets an identification field (IPv6: a flow label) of its own.

Run as a program: `nonce_rewriter.py QUEUE`.
"""

import random
import struct
import sys

from .hosts import Host
from .kernel_queue import KernelQueue, queue_forwarded, start_program
from .processes import Program


def rewrite_nonces(router: Host, match: str, queue: int = 7) -> Program:
    """Has a router rewrite the packets that it forwards and that the options of iptables match."""
    program = start_program(router, __name__, str(queue), name="nonce rewriter")
    queue_forwarded(router, queue, match)
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


def main(number: int) -> None:
    queue = KernelQueue(number)
    print("ready", flush=True)
    while True:
        packet = queue.receive()
        if packet:
            queue.judge(packet.identifier, payload=rewritten(packet.payload))


if __name__ == "__main__":
    main(int(sys.argv[1]))
