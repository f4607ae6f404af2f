"""A stand-in for tcpknock-server that verifies everybody: to test the rules by themselves.

It accepts what it is given: the packet goes through its table once more, with the mark. Run as a program: `queue_stand_in.py QUEUE MARK`.
"""

import sys

from .hosts import Host
from .kernel_queue import ACCEPT, REPEAT, KernelQueue, start_program
from .processes import Program


def queue_stand_in(host: Host, queue: int = 100, mark: int = 0x1000) -> Program:
    """Starts the stand-in on a host; it is bound to the queue when this returns."""
    return start_program(host, __name__, str(queue), hex(mark), name="queue stand-in")


def main(number: int, bit: int) -> None:
    queue = KernelQueue(number)
    print("ready", flush=True)
    while True:
        packet = queue.receive()
        if packet:
            verdict, mark = (ACCEPT, packet.mark & ~bit) if packet.mark & bit else (REPEAT, packet.mark | bit)
            queue.judge(packet.identifier, verdict, mark=mark)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2], 0))
