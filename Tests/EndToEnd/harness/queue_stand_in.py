"""A stand-in for tcpknock-server that verifies everybody: to test the rules by themselves.

It accepts what it is given, and gives the verdict "verified" (the packet mark) to each segment that acknowledges
without SYN. Run as a program: `queue_stand_in.py QUEUE MARK`.
"""

import os
import socket
import struct
import sys
from typing import Dict

from .hosts import PYTHON, Host
from .processes import Program

_QUEUE_SUBSYSTEM = 3
_PACKET, _VERDICT, _CONFIG = 0, 1, 2
_PACKET_HEADER, _VERDICT_HEADER, _MARK, _PAYLOAD = 1, 2, 3, 10
_ACCEPT = 1


def queue_stand_in(host: Host, queue: int = 100, mark: int = 0x1000) -> Program:
    """Starts the stand-in on a host; it is bound to the queue when this returns."""
    code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('harness.queue_stand_in', run_name='__main__')"
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = host.popen([PYTHON, "-c", code, folder, str(queue), hex(mark)], name="queue stand-in")
    program.wait_for_line("^ready$")
    return program


def _message(kind: int, queue: int, *attributes: "tuple[int, bytes]") -> bytes:
    body = struct.pack("!BBH", 0, 0, queue)
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), _QUEUE_SUBSYSTEM << 8 | kind, 1, 0, 0) + body


def _attributes(data: bytes) -> Dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        found[number & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def _tcp_flags(packet: bytes) -> int:
    return packet[(packet[0] & 15) * 4 + 13] if packet[0] >> 4 == 4 else packet[40 + 13]


def main(queue: int, bit: int) -> None:
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
        (mark,) = struct.unpack("!I", attributes.get(_MARK, b"\0\0\0\0"))
        acknowledges = _tcp_flags(attributes[_PAYLOAD]) & 0x12 == 0x10
        mark = mark | bit if acknowledges else mark & ~bit
        verdict = struct.pack("!II", _ACCEPT, identifier)
        netlink.send(_message(_VERDICT, queue, (_VERDICT_HEADER, verdict), (_MARK, struct.pack("!I", mark))))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2], 0))
