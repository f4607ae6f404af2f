"""SYNs with right codes of one key, made beforehand and sent as fast as the machine allows, round and round.

Run as a program: `guest_flood_program.py KEY SERVER PORT COUNT`. It says `ready` when they are made, begins when it is
given a line, and at the next one ends and says `sent N`. No two are alike in the first round; those of later rounds are
replays of what was accepted, and new tries of what was not.
"""

import ipaddress
import os
import random
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peer"))

import knockprotocol as proto  # noqa: E402
from knockpeer import SYN, KnockClient, build_ip, build_tcp  # noqa: E402


def main(key: str, server: str, port: int, count: int) -> None:
    client = KnockClient(proto.read_key(key), server, port)
    own = ipaddress.ip_address(client.source).packed
    far = ipaddress.ip_address(server).packed
    field = client.hint_field()
    isn = random.getrandbits(32)
    packets = []
    for number in range(count):
        isn = (isn + 1) & 0xFFFFFFFF
        segment = build_tcp(own, far, 20_000 + number % 10_000, port, isn, client.code(isn), SYN, b"")
        packets.append(client.link._frame + build_ip(own, far, segment, ident=field, flow_label=field))
    sender = client.link._sender
    assert sender
    print("ready", flush=True)
    sys.stdin.readline()
    sent = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for packet in packets[sent % count : sent % count + 64]:
            try:
                sender.send(packet)
            except BlockingIOError:
                pass
            sent += 1
    print(f"sent {sent}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
