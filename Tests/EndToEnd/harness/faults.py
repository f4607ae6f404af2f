"""Networks that lose, delay, reorder and repeat packets.

This needs no netem: losses are firewall rules of a router; the rest is a program behind a queue of its FORWARD chain.
"""

import heapq
import random
import select
import socket
import sys
import time
from typing import List, Tuple

from .hosts import Host
from .kernel_queue import KernelQueue, QueuedPacket, queue_forwarded, start_program, tcp_flags
from .processes import Program

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
    program = start_program(
        router, __name__, what, segment, str(milliseconds), str(seed), name=f"{what} on {router.role}"
    )
    queue_forwarded(router, _QUEUE)
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
        self.queue = KernelQueue(_QUEUE)
        self.queue.make_room(65_536)
        self.raw = {4: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                    6: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)}  # fmt: skip

    def take(self, packet: QueuedPacket) -> None:
        self.number += 1
        if self.flags is not None and tcp_flags(packet.payload) & 0x12 != self.flags:
            self.queue.judge(packet.identifier)
        elif self.what == "repeat":
            self.queue.judge(packet.identifier)
            self._later(self.delay, -1, packet.payload)
        else:
            delay = self.delay * (self.random.random() if self.what == "reorder" else 1)
            self._later(delay, packet.identifier, packet.payload)

    def _later(self, delay: float, identifier: int, packet: bytes) -> None:
        heapq.heappush(self.waiting, (time.monotonic() + delay, self.number, identifier, packet))

    def release(self) -> float:
        """Sends on what is due; returns the seconds until more is."""
        while self.waiting:
            when, number, identifier, packet = self.waiting[0]
            left = when - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(self.waiting)
            if identifier >= 0:
                self.queue.judge(identifier)
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
        readable, _, _ = select.select([box.queue, sys.stdin], [], [], box.release())
        if box.queue in readable:
            packet = box.queue.receive()
            if packet:
                box.take(packet)
        if sys.stdin in readable and sys.stdin.readline():
            print(box.count, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
