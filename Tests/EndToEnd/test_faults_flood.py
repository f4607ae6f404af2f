"""A mixed hostile flood: nobody gets in by it, it costs no memory, and who knocks gets in meanwhile.

`make soak` sends ten million packets; the ordinary run 200,000. TCPKNOCK_SOAK says how many.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import List


from harness.capture import Capture
from harness.echo import echo, echo_server
from harness.hostile import hostile_flood
from harness.inside import connect, echoes
from harness.knock import (
    FAMILIES,
    assert_nobody_locked_out,
    counted,
    counters,
    equip,
    keep_kernel_quiet,
    knockpeer,
    peer,
    protect,
)
from harness.processes import Program, resident_kilobytes
from harness.queues import queue_counters
from harness.topologies import Network

PACKETS = int(os.environ.get("TCPKNOCK_SOAK", "200000"))
#: So many times during the flood, a connection of each family.
TIMES = 25
LIMIT_KILOBYTES = 1024


def used_syns(network: Network, family: int, folder: Path) -> List[str]:
    """SYNs of connections that were made, and have ended."""
    with Capture(network.server, folder) as capture:
        assert echo(network.client, network.server.address(family), 22, connections=8).failures == []
        capture.wait_for(lambda _: len([p for p in capture.packets() if p["TCP"].flags == "S"]) >= 8)
        packets = capture.stop()
    layer = "IP" if family == 4 else "IPv6"
    return [bytes(packet[layer]).hex() for packet in packets if packet["TCP"].flags == "S"]


def third_ack(client: "knockpeer.KnockClient") -> str:
    """The right answer to the SYN/ACK that the client has just got; it is not sent."""
    assert client.receive_synack()
    source, destination = client._packed
    segment = knockpeer.build_tcp(
        source, destination, client.source_port, client.port, client.snd_nxt, client.rcv_nxt, knockpeer.ACK
    )
    return knockpeer.build_ip(source, destination, segment).hex()


def connect_meanwhile(network: Network, flood: Program, count: int) -> "list[float]":
    """Connects every so many packets of the flood, and returns how long it took in seconds."""
    seconds = []
    for step in range(1, TIMES + 1):
        flood.wait_for_line(rf"^sent {step * (count // TIMES)}$", 600)
        for family in FAMILIES:
            begin = time.monotonic()
            with connect(network.client, network.server.address(family), timeout=20) as connection:
                assert echoes(connection)
            seconds.append(time.monotonic() - begin)
    flood.wait_for_line("^done$", 60)
    return seconds


def test_a_mixed_hostile_flood(two_clients: Network, key_file: str, tmp_path: Path) -> None:
    network = two_clients
    assert network.other
    server = protect(network.server, key_file)
    equip(network.client, key_file)
    keep_kernel_quiet(network.other)
    echo_server(network.server, 22)

    with ExitStack() as stack:
        known, under_way = [], []
        for family in FAMILIES:
            address = network.server.address(family)
            acks = []
            for _ in range(4):
                client = stack.enter_context(peer(network.other, key_file, address))
                client.send_syn()
                acks.append(third_ack(client))
                under_way.append(client)
            packed = client._packed[1].hex()
            known.append({"server": packed, "port": 22, "syns": used_syns(network, family, tmp_path), "acks": acks})

        warm_up = 20_000
        connect_meanwhile(network, hostile_flood(network.other, network.server, known, warm_up, 1, TIMES), warm_up)
        verdicts, memory, queue = counters(server), resident_kilobytes(server.pid), queue_counters(network.server)[100]
        begin = time.monotonic()

        seconds = connect_meanwhile(
            network, hostile_flood(network.other, network.server, known, PACKETS, 2, TIMES), PACKETS
        )

        duration = time.monotonic() - begin
        if PACKETS <= 1_000_000:  # else they have expired
            for client in under_way:
                client.send_ack()
                client.established = True
                assert client.exchange(b"hello") == b"hello", "who was forged still gets in"
                verdicts["acknowledgment-verified"] += 1

    counted(server, "acknowledgment-verified", verdicts["acknowledgment-verified"] + 2 * TIMES)
    after = counters(server)
    growth = resident_kilobytes(server.pid) - memory
    now = queue_counters(network.server)[100]
    overflowed = now.dropped + now.user_dropped - queue.dropped - queue.user_dropped
    judged = sum(after.values()) - sum(verdicts.values())
    print(
        f"{PACKETS} packets in {duration:.1f} s: {judged} judged, {overflowed} found the queue full, the rules dropped "
        f"the rest; {len(seconds)} connections, the slowest in {max(seconds) * 1000:.0f} ms; resident memory "
        f"{memory} kB, then {growth:+} kB; "
        + ", ".join(f"{name} {after[name] - verdicts.get(name, 0)}" for name in sorted(after))
    )
    assert judged > PACKETS // 10, "the daemon had something to do"
    admitted = after["acknowledgment-verified"] - verdicts["acknowledgment-verified"]
    assert (admitted, after["syn-accepted"] - verdicts["syn-accepted"]) == (2 * TIMES, 2 * TIMES), "zero admitted"
    assert growth <= LIMIT_KILOBYTES
    assert_nobody_locked_out(server)
