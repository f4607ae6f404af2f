"""Queues of the kernel (`-j NFQUEUE`) for programs of this package that judge packets, and how these are started."""

import os
import socket
import struct
from typing import Dict, NamedTuple, Optional

from .hosts import PYTHON, Host
from .processes import Program

DROP, ACCEPT, REPEAT = 0, 1, 4

# linux/netfilter/nfnetlink_queue.h
_SUBSYSTEM = 3
_PACKET, _VERDICT, _CONFIG = 0, 1, 2
_COMMAND, _COPY, _LENGTH = 1, 2, 3
_PACKET_HEADER, _VERDICT_HEADER, _MARK, _PAYLOAD = 1, 2, 3, 10


class QueuedPacket(NamedTuple):
    identifier: int
    mark: int
    payload: bytes


class KernelQueue:
    """A queue that is bound to this process; whole packets come out of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self._netlink.bind((0, 0))
        self._send(_CONFIG, {_COMMAND: struct.pack("!BBH", 1, 0, 0)})  # bind
        self._send(_CONFIG, {_COPY: struct.pack("!IB", 0xFFFF, 2)})  # whole packets

    def make_room(self, packets: int) -> None:
        """So many packets may wait for a verdict, and more than usual in the socket."""
        self._netlink.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self._send(_CONFIG, {_LENGTH: struct.pack("!I", packets)})

    def fileno(self) -> int:
        return self._netlink.fileno()

    def receive(self) -> Optional[QueuedPacket]:
        """Waits for a message of the kernel; None if it is no packet."""
        data = self._netlink.recv(1 << 17)
        if struct.unpack_from("=H", data, 4)[0] != _SUBSYSTEM << 8 | _PACKET:
            return None
        attributes = _attributes(data[20:])
        (identifier,) = struct.unpack_from("!I", attributes[_PACKET_HEADER])
        (mark,) = struct.unpack("!I", attributes.get(_MARK, b"\0\0\0\0"))
        return QueuedPacket(identifier, mark, attributes[_PAYLOAD])

    def judge(
        self, identifier: int, verdict: int = ACCEPT, mark: Optional[int] = None, payload: Optional[bytes] = None
    ) -> None:
        """Gives a verdict on a packet, and may give it another mark or content."""
        attributes = {_VERDICT_HEADER: struct.pack("!II", verdict, identifier)}
        if mark is not None:
            attributes[_MARK] = struct.pack("!I", mark)
        if payload is not None:
            attributes[_PAYLOAD] = payload
        self._send(_VERDICT, attributes)

    def _send(self, kind: int, attributes: Dict[int, bytes]) -> None:
        body = struct.pack("!BBH", 0, 0, self.number)
        for number, value in attributes.items():
            body += struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)
        self._netlink.send(struct.pack("=IHHII", 16 + len(body), _SUBSYSTEM << 8 | kind, 1, 0, 0) + body)


def _attributes(data: bytes) -> Dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        found[number & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def tcp_flags(packet: bytes) -> int:
    return packet[(packet[0] & 15) * 4 + 13] if packet[0] >> 4 == 4 else packet[40 + 13]


def start_program(host: Host, module: str, *arguments: str, name: str) -> Program:
    """Runs a module of this package on a host as a program; it has said `ready` when this returns."""
    code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = host.popen([PYTHON, "-c", code, folder, module, *arguments], name=name)
    program.wait_for_line("^ready$", 20)
    return program


def queue_forwarded(router: Host, queue: int, match: str = "-p tcp") -> None:
    """Has a router queue the packets that it forwards and that the options of iptables match."""
    for iptables in ("iptables", "ip6tables"):
        router.run([iptables, "-w", "-t", "mangle", "-A", "FORWARD", *match.split(),
                    "-j", "NFQUEUE", "--queue-num", str(queue)])  # fmt: skip
