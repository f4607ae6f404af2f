"""Networks that lose, delay, reorder and repeat packets.

This needs no netem: losses are firewall rules of a router; the rest is a program behind a queue of its FORWARD chain.
"""

import heapq
import os
import random
import select
import socket
import struct
import sys
import time
from typing import Dict, List, Tuple

from .hosts import PYTHON, Host
from .processes import Program
from .queue_stand_in import _attributes, _message, _tcp_flags

_PACKET, _VERDICT, _CONFIG = 0, 1, 2
_PACKET_HEADER, _VERDICT_HEADER, _PAYLOAD = 1, 2, 10
_ACCEPT = 1
_QUEUE = 7
#: SYN and ACK among the flags of the segment; None stands for all.
SEGMENTS = {"SYN": 0x02, "SYN/ACK": 0x12, "ACK": 0x10, "all": None}


def lose(router: Host, probability: float) -> None:
    """The router loses TCP packets at random, in both directions and families."""
    for iptables in ("iptables", "ip6tables"):
        router.run([iptables, "-w", "-t", "mangle", "-A", "FORWARD", "-p", "tcp", "-m", "statistic",
                    "--mode", "random", "--probability", str(probability), "-j", "DROP"])  # fmt: skip


def losses(router: Host) -> int:
    """How many packets `lose` has taken so far."""
    saved = (router.run([f"{name}-save", "-c", "-t", "mangle"]).stdout for name in ("iptables", "ip6tables"))
    return sum(int(line[1:].split(":")[0]) for text in saved for line in text.splitlines() if "-j DROP" in line)


def quick_retransmissions(*hosts: Host) -> None:
    """The hosts' kernels retransmit at least once a second, and very often: what takes minutes else takes seconds.

    Kernels before 6.15 cannot be told so; there the same takes longer.
    """
    for host in hosts:
        host.sysctl({"net.ipv4.tcp_syn_retries": 40, "net.ipv4.tcp_synack_retries": 40})
        for name, value in (("tcp_rto_max_ms", 1000), ("tcp_rto_min_us", 20_000)):
            host.run(["sysctl", "-qw", f"net.ipv4.{name}={value}"], check=False)


def unreliable(router: Host, what: str, segment: str = "all", milliseconds: int = 30, seed: int = 1) -> Program:
    """A program on the router that forwards TCP packets badly.

    - `delay`: each comes so many milliseconds later;
    - `reorder`: each comes later, by a random time up to that;
    - `repeat`: each comes twice, the second time so many milliseconds later.
    """
    code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('harness.faults', run_name='__main__')"
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = router.popen(
        [PYTHON, "-c", code, folder, what, segment, str(milliseconds), str(seed)], name=f"{what} on {router.role}"
    )
    program.wait_for_line("^ready$", 10)
    for iptables in ("iptables", "ip6tables"):
        router.run([iptables, "-w", "-t", "mangle", "-A", "FORWARD", "-p", "tcp",
                    "-j", "NFQUEUE", "--queue-num", str(_QUEUE)])  # fmt: skip
    return program


def disorder(program: Program) -> int:
    """How many packets the program of `unreliable` has repeated, or sent on behind one that came after them."""
    return int(program.wait_for_line(r"^(\d+)$", start=_ask(program))[1])


def _ask(program: Program) -> int:
    start = program.position
    program.write_line("how many?")
    return start


# --- the program --------------------------------------------------------------------------------------------------


class _Box:
    def __init__(self, what: str, segment: str, delay: float, seed: int) -> None:
        self.what, self.flags, self.delay = what, SEGMENTS[segment], delay
        self.random = random.Random(seed)
        self.waiting: List[Tuple[float, int, int, bytes]] = []  # when, number, packet id or -1 for a copy, packet
        self.number = self.last_sent = self.count = 0
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.netlink.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.netlink.bind((0, 0))
        self.netlink.send(_message(_CONFIG, _QUEUE, (1, struct.pack("!BBH", 1, 0, 0))))  # bind
        self.netlink.send(_message(_CONFIG, _QUEUE, (2, struct.pack("!IB", 0xFFFF, 2))))  # copy whole packets
        self.netlink.send(_message(_CONFIG, _QUEUE, (3, struct.pack("!I", 65_536))))  # so many may wait
        self.raw = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                    6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)}  # fmt: skip

    def take(self, message: bytes) -> None:
        if struct.unpack_from("=H", message, 4)[0] != 3 << 8 | _PACKET:
            return
        attributes: Dict[int, bytes] = _attributes(message[20:])
        (identifier,) = struct.unpack_from("!I", attributes[_PACKET_HEADER])
        packet = attributes[_PAYLOAD]
        self.number += 1
        if self.flags is not None and _tcp_flags(packet) & 0x12 != self.flags:
            self._accept(identifier)
        elif self.what == "repeat":
            self._accept(identifier)
            self._later(self.delay, -1, packet)
        else:
            self._later(self.delay * (self.random.random() if self.what == "reorder" else 1), identifier, packet)

    def _later(self, delay: float, identifier: int, packet: bytes) -> None:
        heapq.heappush(self.waiting, (time.monotonic() + delay, self.number, identifier, packet))

    def _accept(self, identifier: int) -> None:
        verdict = struct.pack("!II", _ACCEPT, identifier)
        self.netlink.send(_message(_VERDICT, _QUEUE, (_VERDICT_HEADER, verdict)))

    def release(self) -> float:
        """Sends on what is due; returns the seconds until more is."""
        while self.waiting:
            when, number, identifier, packet = self.waiting[0]
            left = when - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(self.waiting)
            if identifier >= 0:
                self._accept(identifier)
                self.count += number < self.last_sent
                self.last_sent = max(self.last_sent, number)
            else:
                self.count += 1
                family = packet[0] >> 4
                to = packet[16:20] if family == 4 else packet[24:40]
                kind = socket.AF_INET if family == 4 else socket.AF_INET6
                self.raw[family].sendto(packet, (socket.inet_ntop(kind, to), 0))
        return 10.0


def main(what: str, segment: str, milliseconds: float, seed: int) -> None:
    box = _Box(what, segment, milliseconds / 1000, seed)
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([box.netlink, sys.stdin], [], [], box.release())
        if box.netlink in readable:
            box.take(box.netlink.recv(1 << 17))
        if sys.stdin in readable and sys.stdin.readline():
            print(box.count, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
