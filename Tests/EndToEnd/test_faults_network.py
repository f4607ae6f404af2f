"""Connections through the knock over networks that lose, repeat, reorder and cut in pieces, and clients that behave oddly."""

import select
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, List

import pytest

from harness.capture import Capture
from harness.clocks import FalseClock
from harness.crowd import Crowd, crowd_server
from harness.echo import echo_server
from harness.faults import disorder, lose, losses, quick_retransmissions, unreliable
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in, inside, listen
from harness.knock import (
    FAMILIES,
    assert_nobody_locked_out,
    counted,
    counters,
    equip,
    keep_kernel_quiet,
    knockpeer,
    peer,
    proto,
    protect,
    within_a_minute,
)
from harness.processes import Program
from harness.topologies import Network
from harness.waiting import PATIENCE, eventually


def crowds_succeed(network: Network, count: int, size: int, timeout: float) -> None:
    """So many connections for each family, all at once; all of them succeed."""
    crowds = [
        Crowd(network.client, network.server.address(family), count=count, size=size, timeout=timeout)
        for family in FAMILIES
    ]
    for crowd in crowds:
        result = crowd.result()
        assert (result.complete, result.failures) == (count, {})


def verified_but_not_more(server: Program, count: int) -> None:
    """So many connections were let in, and nobody was locked out."""
    counted(server, "acknowledgment-verified", count)
    verdicts = counters(server)
    assert verdicts["acknowledgment-verified"] == verdicts["syn-accepted"] == count, verdicts
    assert_nobody_locked_out(server)


# --- what is lost, late or twice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("percent", "count"), ((5, 100), (15, 100), (30, 200)))
def test_losses(routed: Network, percent: int, count: int, key_file: str) -> None:
    assert routed.router
    quick_retransmissions(routed.client, routed.server)
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    crowd_server(routed.server)
    lose(routed.router, percent / 100)

    crowds_succeed(routed, count, size=3000, timeout=120)

    # SYN, SYN/ACK, ACK, data, answer, and a FIN each way, at least; three quarters of what is to be expected of those.
    assert losses(routed.router) > 2 * count * 7 * percent / 100 * 0.75
    verified_but_not_more(server, 2 * count)


@pytest.mark.parametrize("mask", ("full", "windowed"))
def test_reordering(routed: Network, mask: str, key_file: str) -> None:
    assert routed.router
    server = protect(routed.server, key_file)
    equip(routed.client, key_file, isn_mask=mask)
    crowd_server(routed.server)
    box = unreliable(routed.router, "reorder", milliseconds=40)

    crowds_succeed(routed, 50, size=20_000, timeout=60)

    assert disorder(box) > 500
    verified_but_not_more(server, 100)


@pytest.mark.parametrize("milliseconds", (0, 50), ids=("at once", "late"))
@pytest.mark.parametrize("segment", ("SYN", "SYN/ACK", "ACK", "all"))
def test_what_comes_twice(routed: Network, segment: str, milliseconds: int, key_file: str) -> None:
    # Late means: when the handshake is over, and the connection perhaps too.
    assert routed.router
    server = protect(routed.server, key_file)
    client = equip(routed.client, key_file)
    crowd_server(routed.server)
    box = unreliable(routed.router, "repeat", segment, milliseconds)

    crowds_succeed(routed, 20, size=3000, timeout=60)

    eventually(lambda: disorder(box) >= 40, what="40 packets that come twice")
    verified_but_not_more(server, 40)
    if segment in ("SYN", "all"):
        # The last ones may still be on their way.
        again = ("syn-retransmitted", "syn-replayed")
        eventually(lambda: sum(counters(server).get(name, 0) for name in again) >= 40, what="all SYNs to come twice")
    if segment in ("SYN/ACK", "all"):
        counted(client, "syn-ack-proven", 80)


def test_a_syn_comes_again_in_the_next_minute(routed: Network, key_file: str, tmp_path: Path) -> None:
    """The kernel's own retransmissions, over the border of a time slot by the client's clock."""
    assert routed.router
    ahead = (56 - time.time()) % 60
    clock = FalseClock(tmp_path, round(ahead if ahead < 30 else ahead - 60))
    server = protect(routed.server, key_file)
    equip(routed.client, key_file, env=clock.environment)
    listener = listen(routed.server)
    routed.router.run(["iptables", "-w", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--sport", "22", "-j", "DROP"])
    with Capture(routed.server, tmp_path) as capture:
        with inside(routed.client):
            client = socket.socket()
        client.setblocking(False)
        client.connect_ex((routed.server.ipv4, 22))

        def slots() -> List[int]:
            keys = proto.Keys.derive(proto.read_key(key_file))
            a = proto.address_bytes(routed.client.ipv4)
            syns = [packet["TCP"] for packet in capture.packets() if packet["TCP"].flags == "S"]
            now = proto.time_slot(time.time())
            return [
                slot for syn in syns for slot in range(now - 2, now + 3)
                if syn.ack == proto.syn_code(keys.k1, a, syn.seq, slot, "full")
            ]  # fmt: skip

        eventually(lambda: len(set(slots())) == 2, 15, "a SYN of the next minute")
        assert counters(server)["syn-retransmitted"] >= 1
        routed.router.run(["iptables", "-w", "-t", "raw", "-F", "PREROUTING"])
        assert select.select([], [client], [], 15)[1]
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    with listener.accept()[0] as accepted:
        client.setblocking(True)
        client.sendall(b"hello")
        assert accepted.recv(5) == b"hello"
    client.close()
    verified_but_not_more(server, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_codes_of_both_minutes_are_used_up(two_clients: Network, family: int, key_file: str) -> None:
    server = protect(two_clients.server, key_file)
    keep_kernel_quiet(two_clients.client)
    echo_server(two_clients.server, 22)
    address = two_clients.server.address(family)
    within_a_minute()
    with peer(two_clients.client, key_file, address, clock=lambda: time.time() - 60) as client:
        first = client.send_syn()
        assert client.receive_synack()
        client.clock = time.time
        second = client.send_syn()
        assert first != second
        counted(server, "syn-retransmitted")
        assert client.receive_synack()
        client.send_ack()
        client.established = True
        assert client.exchange(b"hello") == b"hello"
        for code in (first, second):
            with peer(two_clients.client, key_file, address) as thief:
                before = counters(server).get("syn-replayed", 0)
                thief.send_syn(isn=client.c, code=code)
                counted(server, "syn-replayed", before + 1)
                assert thief.receive_segment(0.1) is None
    verified_but_not_more(server, 1)


# --- many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_thousand_at_once(direct: Network, family: int, key_file: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    crowd_server(direct.server)
    result = Crowd(direct.client, direct.server.address(family), count=1000, timeout=60).result()
    print(f"all were open after {result.opened_within:.2f} s, and complete after {result.seconds:.2f} s")
    assert (result.complete, result.failures) == (1000, {})
    verified_but_not_more(server, 1000)


# --- the same addresses and ports again ---------------------------------------------------------------------------


def from_port(host: Host, address: str, port: int, timeout: float) -> socket.socket:
    """A connection from a port of the host's that may have been in use just now."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(host):
        client = socket.socket(kind)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.settimeout(timeout)
    client.bind(("::" if ":" in address else "0.0.0.0", port))
    try:
        client.connect((address, 22))
    except BaseException:
        client.close()
        raise
    return client


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_with_fixed_ports(routed: Network, family: int, key_file: str) -> None:
    """Clients that come from the same port each time, over a network that loses 30 % both ways: all get in."""
    assert routed.router
    quick_retransmissions(routed.client, routed.server)
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    echo_server(routed.server, 22)
    lose(routed.router, 0.3)
    address = routed.server.address(family)

    def come_ten_times(port: int) -> int:
        complete = 0
        for _ in range(10):
            with from_port(routed.client, address, port, 60) as client:
                complete += echoes(client)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return complete

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(come_ten_times, range(40_001, 40_021))) == 200
    verdicts = counters(server)
    assert verdicts["acknowledgment-verified"] >= 200
    assert "too-many-unanswered" not in verdicts
    assert_nobody_locked_out(server)


def test_answers_that_are_lost_for_a_while(routed: Network, key_file: str) -> None:
    """A client that tries from one port, again and again, gets in soon after its answers arrive again."""
    assert routed.router
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    echo_server(routed.server, 22)
    outage = ["PREROUTING", "-p", "tcp", "--sport", "22", "-j", "DROP"]
    routed.router.run(["iptables", "-w", "-t", "raw", "-A", *outage])
    for _ in range(40):
        with pytest.raises(TimeoutError):
            from_port(routed.client, routed.server.ipv4, 40_001, 0.1)
    routed.router.run(["iptables", "-w", "-t", "raw", "-D", *outage])
    # The server's kernel still waits for the first third ACK, and is told of the end by a RST.
    with from_port(routed.client, routed.server.ipv4, 40_001, 10) as client:
        assert echoes(client)
    assert "too-many-unanswered" not in counters(server)
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ended", ("by the server", "by a RST"))
def test_a_port_is_used_again(direct: Network, family: int, ended: str, key_file: str) -> None:
    server = protect(direct.server, key_file)
    daemon = equip(direct.client, key_file)
    listener = listen(direct.server)
    address = direct.server.address(family)

    for round_number in range(1, 4):
        client = from_port(direct.client, address, 40_001, 5)
        accepted = listener.accept()[0]
        if ended == "by the server":
            accepted.close()
            assert client.recv(1) == b""
            client.close()
            waits = ["ss", "-Htn", "state", "time-wait", "sport = :22"]
            eventually(lambda: direct.server.run(waits).stdout, what="the server's TIME_WAIT")
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with pytest.raises(ConnectionResetError):
                accepted.recv(1)
            accepted.close()
        counted(server, "acknowledgment-verified", round_number)

    # Who does not knock has nothing of it that the connection before was verified.
    daemon.stop()
    with pytest.raises(TimeoutError):
        from_port(direct.client, address, 40_001, 0.7)
    verified_but_not_more(server, 3)


# --- clients that reset, and clients that vanish ------------------------------------------------------------------

STAGES = ("SYN accepted", "SYN/ACK sent", "verified")


def at_stage(client: "knockpeer.KnockClient", stage: str, network: Network, server: Program, times: int = 1) -> None:
    """Brings a client of the second implementation to a stage of its handshake."""
    if stage == "SYN accepted":
        client.send_syn()
        counted(server, "syn-accepted", times)
        return
    client.send_syn()
    assert client.receive_synack()
    if stage == "verified":
        client.send_ack()
        counted(server, "acknowledgment-verified", times)


def keep_synacks(host: Host, keep: bool = True) -> None:
    """The host's SYN/ACKs end before they come to the daemon, or no longer."""
    for iptables in ("iptables", "ip6tables"):
        host.run([iptables, "-w", "-I" if keep else "-D", "OUTPUT", "-p", "tcp", "--sport", "22",
                  "--tcp-flags", "SYN,ACK", "SYN,ACK", "-j", "DROP"])  # fmt: skip


@pytest.fixture
def two_kinds(two_clients: Network, key_file: str) -> Iterator["tuple[Network, Program]"]:
    """A client without daemon for the second implementation, and one with; an echo service behind the knock."""
    assert two_clients.other
    server = protect(two_clients.server, key_file)
    keep_kernel_quiet(two_clients.client)
    equip(two_clients.other, key_file)
    echo_server(two_clients.server, 22)
    yield two_clients, server


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_reset_at_each_stage(
    two_kinds: "tuple[Network, Program]", stage: str, family: int, key_file: str
) -> None:
    network, server = two_kinds
    address = network.server.address(family)
    assert network.other
    bystander = connect(network.other, address)
    before = counted(server, "acknowledgment-verified")["acknowledgment-verified"]
    with peer(network.client, key_file, address) as client:
        if stage == "SYN accepted":
            keep_synacks(network.server)
        at_stage(client, stage, network, server, before + 1)
        client.send_rst()
        if stage == "SYN accepted":
            counted(server, "reset-before-syn-ack")
            keep_synacks(network.server, False)
        elif stage == "SYN/ACK sent":
            counted(server, "reset-of-handshake")
        sockets = ["ss", "-Htn", "state", "established", "state", "syn-recv", f"dport = :{client.source_port}"]
        eventually(lambda: not network.server.run(sockets).stdout, what="the kernel to have taken the RST")
        # What comes behind it opens nothing.
        client.send_ack(payload=b"hello", ack=None if client.synack else 1)
        assert not client.receive_data(0.1)
        assert not network.server.run(sockets).stdout
        # The same addresses and ports can begin anew.
        assert client.c is not None
        again = (client.c + 1_000_000) % 2**32
        # The segment behind the RST had connection tracking keep the entry of the old connection, so it may take a second
        # SYN, which a kernel sends after a second.
        eventually(lambda: (client.send_syn(isn=again), client.receive_synack(0.3))[1], 5, "a SYN/ACK")
        client.send_ack()
        client.established = True
        assert client.exchange(b"hello") == b"hello"
    assert echoes(bystander)
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("stage", STAGES)
def test_clients_that_vanish(two_kinds: "tuple[Network, Program]", stage: str, key_file: str) -> None:
    network, server = two_kinds
    assert network.other
    if stage == "SYN accepted":
        keep_synacks(network.server)
    before = counters(server)
    count = 100
    for family in FAMILIES:
        address = network.server.address(family)
        with peer(network.client, key_file, address) as client:
            for number in range(count):
                client.source_port = 20_000 + number
                client.send_syn(isn=number * 1_000_003 + family)
                if stage != "SYN accepted":
                    assert client.receive_synack()
                if stage == "verified":
                    client.send_ack()
    counted(server, "syn-accepted", before.get("syn-accepted", 0) + 2 * count)
    if stage == "SYN accepted":
        keep_synacks(network.server, False)
    if stage == "verified":
        counted(server, "acknowledgment-verified", 2 * count)
    for family in FAMILIES:
        assert gets_in(network.other, network.server.address(family))
    expected = 2 * count + 2 if stage == "verified" else 2
    counted(server, "acknowledgment-verified", expected)
    assert counters(server)["acknowledgment-verified"] == expected
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_service_behind_the_knock(two_clients: Network, family: int, key_file: str) -> None:
    """Who knocks is told at once that nobody listens; who does not is told nothing."""
    assert two_clients.other
    server = protect(two_clients.server, key_file)
    equip(two_clients.client, key_file)
    address = two_clients.server.address(family)
    begin = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect(two_clients.client, address)
    assert time.monotonic() - begin < 1 * PATIENCE
    assert not gets_in(two_clients.other, address, timeout=0.5)
    assert_nobody_locked_out(server)
    # The service comes back.
    echo_server(two_clients.server, 22)
    assert gets_in(two_clients.client, address)
