"""SYNs with right codes of one key, each with a new ISN, made and sent as fast as one processor can.

Run as a program: `code_flood_program.py KEY SERVER PORT`. It says `begun`, and at a line on its input ends and says
`sent N`. The codes come from libsodium, whose SipHash is the one of docs/PROTOCOL.md §3.
"""

import ctypes
import ipaddress
import os
import select
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peer"))

import knockprotocol as proto  # noqa: E402
from knockpeer import SYN, KnockClient, build_ip, build_tcp  # noqa: E402

AT_A_TIME = 1024


def main(key: str, server: str, port: int) -> None:
    client = KnockClient(proto.read_key(key), server, port)
    assert client.keys and client.link._sender
    own, far = ipaddress.ip_address(client.source).packed, ipaddress.ip_address(server).packed
    # With ISN and code 0; in the TCP header they are at 4 and 8, and the checksum at 16.
    segment = build_tcp(own, far, 20_000, port, 0, 0, SYN)
    packet = bytearray(client.link._frame + build_ip(own, far, segment))
    tcp = len(packet) - len(segment)
    rest = ~struct.unpack_from("!H", segment, 16)[0] & 0xFFFF
    shorthash = ctypes.CDLL("libsodium.so.23").crypto_shorthash
    message = ctypes.create_string_buffer(client.a + bytes(12), 28)
    code, length, secret = ctypes.create_string_buffer(8), ctypes.c_ulonglong(28), client.keys.k1
    send, pack, unpack = client.link._sender.send, struct.pack_into, struct.unpack_from
    isn = sent = 0
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        pack("!Q", message, 20, proto.time_slot(time.time()))
        for _ in range(AT_A_TIME):
            isn += 1
            pack("!I", message, 16, isn)
            shorthash(code, message, length, secret)
            (number,) = unpack("!I", code)
            number = number or 1
            total = rest + (isn >> 16) + (isn & 0xFFFF) + (number >> 16) + (number & 0xFFFF)
            total = (total & 0xFFFF) + (total >> 16)
            pack("!II", packet, tcp + 4, isn, number)
            pack("!H", packet, tcp + 16, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
            try:
                send(packet)
                sent += 1
            except OSError as error:
                if error.errno != 105:  # ENOBUFS: the next one may find room
                    raise
    print(f"sent {sent}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
