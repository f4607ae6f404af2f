"""Boxes on the way that do not leave packets as they are: programs behind a queue of a router's FORWARD chain.

`box(router, "clear_code")` changes all TCP packets that the router forwards by the function of that name.
"""

import os
import sys
from typing import Any, Callable, Dict, Optional, Tuple

from .hosts import Host
from .kernel_queue import ACCEPT, DROP, KernelQueue, queue_forwarded, start_program
from .processes import Program

_QUEUE = 7


def box(router: Host, change: str) -> Program:
    """Starts a box on a router; it is bound to its queue, and the rules are in, when this returns."""
    program = start_program(router, __name__, change, name=f"box ({change}) on {router.role}")
    queue_forwarded(router, _QUEUE)
    return program


# --- what boxes do: a function changes a scapy packet, or returns False to have it dropped --------------------------


def clear_code(packet: Any, tcp: Any, state: Dict[Any, Any]) -> None:
    """As "TCP normalisation" does: an acknowledgment number without the ACK flag becomes 0."""
    if not tcp.flags & 0x10:
        tcp.ack = 0


def change_client_isn(packet: Any, tcp: Any, state: Dict[Any, Any]) -> None:
    """Gives the asking side another ISN; the SYN is enough, since no protected server answers it."""
    if tcp.flags & 0x12 == 0x02:
        tcp.seq = (tcp.seq + 0x01020304) % 2**32


def change_hint(packet: Any, tcp: Any, state: Dict[Any, Any]) -> None:
    """Gives SYNs an identification, or flow label, of its own."""
    if tcp.flags & 0x12 == 0x02:
        if "IP" in packet:
            packet.id ^= 0x5A5A
        else:
            packet.fl ^= 0x5A5A


def change_identification(packet: Any, tcp: Any, state: Dict[Any, Any]) -> None:
    """Gives SYN/ACKs an identification, or flow label, of its own."""
    if tcp.flags & 0x12 == 0x12:
        state["number"] = state.get("number", 4711) + 1
        if "IP" in packet:
            packet.id = state["number"]
        else:
            packet.fl = state["number"]


def clear_identification(packet: Any, tcp: Any, state: Dict[Any, Any]) -> None:
    """Gives SYN/ACKs the identification 0, or the flow label 0."""
    if tcp.flags & 0x12 == 0x12:
        if "IP" in packet:
            packet.id = 0
        else:
            packet.fl = 0


def randomise_isn(packet: Any, tcp: Any, state: Dict[Any, Any]) -> None:
    """Gives the answering side another ISN, and keeps both sides in step."""
    answer = (packet.src, tcp.sport, packet.dst, tcp.dport)
    question = (packet.dst, tcp.dport, packet.src, tcp.sport)
    if tcp.flags & 0x12 == 0x12 and answer not in state:
        state[answer] = int.from_bytes(os.urandom(4), "big")
    if answer in state:
        tcp.seq = (tcp.seq + state[answer]) % 2**32
    elif question in state and tcp.flags & 0x10:
        tcp.ack = (tcp.ack - state[question]) % 2**32


def judge_acknowledgments(packet: Any, tcp: Any, state: Dict[Any, Any]) -> Optional[bool]:
    """As a stateful firewall: drops what acknowledges more, or much less, than it has seen of the other side."""
    sender, receiver = (packet.src, tcp.sport, packet.dst, tcp.dport), (packet.dst, tcp.dport, packet.src, tcp.sport)
    end = (tcp.seq + len(tcp.payload) + bool(tcp.flags & 0x03)) % 2**32
    if tcp.flags & 0x02 or (end - state.get(sender, end)) % 2**32 < 2**31:
        state[sender] = end
    if tcp.flags & 0x10 and not tcp.flags & 0x02 and receiver in state:
        return 0 <= (state[receiver] - tcp.ack) % 2**32 <= 66000
    return None


Change = Callable[[Any, Any, Dict[Any, Any]], Optional[bool]]


def _judge(payload: bytes, change: Change, state: Dict[Any, Any]) -> Tuple[int, bytes]:
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    packet = IP(payload) if payload[0] >> 4 == 4 else IPv6(payload)
    if "TCP" not in packet:
        return ACCEPT, payload
    before = bytes(packet)
    if change(packet, packet["TCP"], state) is False:
        return DROP, payload
    if bytes(packet) == before:
        return ACCEPT, payload
    del packet["TCP"].chksum
    if "IP" in packet:
        del packet["IP"].chksum
    return ACCEPT, bytes(packet)


def main(change: Change) -> None:
    import scapy.layers.inet  # noqa: F401  (before "ready": it takes a while)
    import scapy.layers.inet6  # noqa: F401

    queue = KernelQueue(_QUEUE)
    print("ready", flush=True)
    state: Dict[Any, Any] = {}
    while True:
        packet = queue.receive()
        if packet:
            verdict, payload = _judge(packet.payload, change, state)
            queue.judge(packet.identifier, verdict, payload=payload)


if __name__ == "__main__":
    main(globals()[sys.argv[1]])
