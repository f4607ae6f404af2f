"""What a wrong third ACK brings upon its sender, and nobody else."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from harness.capture import Capture
from harness.echo import echo, echo_server
from harness.firewall import rule_counters
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import (
    EVERYWHERE,
    FAMILIES,
    MODES,
    WRONG,
    KnockClient,
    assert_nobody_locked_out,
    counted,
    counters,
    equip,
    keep_kernel_quiet,
    knockpeer,
    peer,
    protect,
    put_rules,
)
from harness.processes import Program
from harness.queues import queue_counters
from harness.segments import segment, send
from harness.topologies import Network
from harness.waiting import PATIENCE, eventually

LOCKOUT = 3


@pytest.fixture
def network(two_clients: Network, key_file: str) -> Network:
    """Two clients that knock, each by its own daemon, and an echo service that nobody protects yet."""
    for client in (two_clients.client, two_clients.other):
        assert client
        equip(client, key_file)
        keep_kernel_quiet(client)
    echo_server(two_clients.server, 22)
    return two_clients


def acknowledge_wrongly(client: KnockClient, wrong: int = WRONG) -> float:
    """A handshake with a wrong third ACK; returns when that was sent."""
    client.send_syn()
    assert client.receive_synack()
    now = time.monotonic()
    client.send_ack(ack=client.rcv_nxt ^ wrong)
    return now


def ip(packet: Any) -> Any:
    return packet["IP"] if "IP" in packet else packet["IPv6"]


# --- the one who did it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "mode"), ((4, "windowed"), (6, "full")))
def test_for_the_configured_time_and_no_longer(
    network: Network, family: int, mode: str, key_file: str, tmp_path: Path
) -> None:
    server = protect(network.server, key_file, lockout_seconds=LOCKOUT)
    address = network.server.address(family)
    assert network.other
    assert gets_in(network.client, address)
    with Capture(network.server, tmp_path) as capture:
        with peer(network.client, key_file, address, mode=mode) as client:
            begin = acknowledge_wrongly(client)

        # Tries all the time. The other client gets in all the time.
        last_refusal = begin
        while True:
            tried = time.monotonic()
            got_in = gets_in(network.client, address, timeout=0.1)
            assert gets_in(network.other, address)
            if got_in:
                break
            last_refusal = tried
            assert tried < begin + LOCKOUT + 2, f"still locked out\n{server.output}"
        end = time.monotonic()
        packets = capture.stop()

    assert last_refusal - begin > LOCKOUT - 0.5, "the lockout held until near its end"
    assert LOCKOUT - 0.1 < end - begin < LOCKOUT + 0.7, "and no longer"
    syns = [p for p in packets if p["TCP"].flags == "S" and ip(p).src == network.client.address(family)]
    assert len(syns) > 10, "the tries did arrive"
    assert "locked-out" in counters(server)
    server.wait_for_line(f"WARNING locked out: .*reason=wrong-acknowledgment .*{address}")


def test_the_first_try_after_it_gets_in(network: Network, key_file: str) -> None:
    # Nothing is sent during the lockout, which therefore ends by itself.
    server = protect(network.server, key_file, lockout_seconds=1)
    with peer(network.client, key_file, network.server.ipv4) as client:
        begin = acknowledge_wrongly(client)
    counted(server, "wrong-acknowledgment")
    eventually(lambda: time.monotonic() > begin + 1.05, 3, "the lockout to end")
    assert gets_in(network.client, network.server.ipv4, timeout=0.5)
    assert "locked-out" not in counters(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_open_connections_are_closed_within_a_second(network: Network, family: int, key_file: str) -> None:
    server = protect(network.server, key_file)
    address = network.server.address(family)
    assert network.other
    mine = [connect(network.client, address) for _ in range(5)]
    others = connect(network.other, address)
    assert all(map(echoes, [*mine, others]))
    with peer(network.client, key_file, address) as client:
        begin = acknowledge_wrongly(client)
        for connection in mine:
            with pytest.raises(ConnectionResetError):
                assert connection.recv(1) != b"", "the connection was closed, but not by a RST"
        assert time.monotonic() - begin < 1.0 * PATIENCE
    assert echoes(others)
    server.wait_for_line("connections closed .*sockets=[56] ")
    assert network.server.run(["ss", "-Htn", "state", "established", "sport = :22"]).stdout.count("\n") == 1


def test_open_connections_to_other_ports_stay(network: Network, key_file: str) -> None:
    echo_server(network.server, 2222)
    protect(network.server, key_file)
    unprotected = connect(network.client, network.server.ipv4, 2222)
    mine = connect(network.client, network.server.ipv4)
    with peer(network.client, key_file, network.server.ipv4) as client:
        acknowledge_wrongly(client)
        with pytest.raises(ConnectionResetError):
            mine.recv(1)
    assert echoes(unprotected)
    assert gets_in(network.client, network.server.ipv4, 2222)


def test_a_connection_to_another_protected_port_is_closed_too(network: Network, key_file: str) -> None:
    echo_server(network.server, 2222)
    protect(network.server, key_file, (22, 2222))
    put_rules(network.client, "client", (22,))
    with peer(network.client, key_file, network.server.ipv4, 2222) as client, \
            peer(network.client, key_file, network.server.ipv4, 22) as wrong:  # fmt: skip
        assert client.handshake()
        assert client.exchange(b"hello") == b"hello"
        acknowledge_wrongly(wrong)
        eventually(lambda: client.receive_data(0.05) == b"" and client.reset, 1, "a RST")


def test_the_other_family_of_the_same_host_is_another_address(network: Network, key_file: str) -> None:
    server = protect(network.server, key_file)
    with peer(network.client, key_file, network.server.ipv4) as client:
        acknowledge_wrongly(client)
    counted(server, "wrong-acknowledgment")
    assert not gets_in(network.client, network.server.ipv4, timeout=0.3)
    assert gets_in(network.client, network.server.ipv6)


@pytest.mark.parametrize("mode", MODES)
def test_the_masked_number_plus_one_is_named_in_the_log(network: Network, mode: str, key_file: str) -> None:
    # This is what an ordinary TCP would acknowledge: somebody who sent a right SYN but did not unmask.
    server = protect(network.server, key_file)
    with peer(network.client, key_file, network.server.ipv4, mode=mode) as client:
        client.send_syn()
        assert (synack := client.receive_synack())
        client.send_ack(ack=synack.seq + 1)
    server.wait_for_line(f"WARNING locked out: .*masked ISN.*reason=masked-acknowledgment .*{network.server.ipv4}")
    assert counters(server)["masked-acknowledgment"] == 1
    assert not gets_in(network.client, network.server.ipv4, timeout=0.3)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_open_handshakes_are_forgotten(network: Network, family: int, key_file: str, tmp_path: Path) -> None:
    server = protect(network.server, key_file, lockout_seconds=1)
    address = network.server.address(family)

    def half_open() -> int:
        return network.server.run(["ss", "-Htn", "state", "syn-recv"]).stdout.count("\n")

    with peer(network.client, key_file, address, source_port=20_001) as pending, \
            peer(network.client, key_file, address, source_port=20_002) as wrong:  # fmt: skip
        pending.send_syn()
        assert pending.receive_synack()
        assert half_open() == 1
        with Capture(network.server, tmp_path) as capture:
            begin = acknowledge_wrongly(wrong)
            counted(server, "wrong-acknowledgment")
            eventually(lambda: half_open() == 0, 1, "the kernel to forget the half-open connections")
            # A right third ACK opens nothing, neither during the lockout nor after it.
            pending.send_ack()
            assert not pending.confirm(0.2)
            eventually(lambda: time.monotonic() > begin + 1.1, 2, "the lockout to end")
            pending.send_ack()
            assert not pending.confirm(0.2)
            packets = capture.stop()
        assert len([packet for packet in packets if packet["TCP"].sport == 20_001]) == 4, "the ACKs did arrive"
        assert len([packet for packet in packets if packet["TCP"].sport == 22]) == 1, "the SYN/ACK of the wrong one"


def test_nobody_is_an_ipv4_address_over_ipv6(network: Network, key_file: str) -> None:
    """Both would be one address to who locks out."""
    server = protect(network.server, key_file)
    genuine, mapped = network.client.address(6), f"::ffff:{network.client.ipv4}"
    packets = [
        segment(source, network.server.address(6), sport=30_000 + number, dport=22, flags="S", seq=number, ack=1)
        for number, source in enumerate((mapped, genuine, mapped, genuine))
    ]
    send(network.client, packets)
    assert counted(server, "malformed", 2)["malformed"] == 2
    assert counted(server, "syn-with-wrong-code", 2)["syn-with-wrong-code"] == 2


# --- those who did not --------------------------------------------------------------------------------------------


def test_a_damaged_ack_locks_nobody_out(network: Network, key_file: str) -> None:
    server = protect(network.server, key_file)
    with peer(network.client, key_file, network.server.ipv4) as client:
        client.send_syn()
        assert client.receive_synack()
        client.send_ack(ack=client.rcv_nxt ^ WRONG, bad_checksum=True)
        counted(server, "segment-damaged")
        client.send_ack()
        client.established = True
        assert client.exchange(b"hello") == b"hello"
    assert_nobody_locked_out(server)


@pytest.mark.parametrize(("family", "mode"), ((4, "full"), (4, "windowed"), (6, "full"), (6, "windowed")))
def test_a_hundred_thousand_forged_acks(network: Network, family: int, mode: str, key_file: str) -> None:
    server = protect(network.server, key_file)
    address = network.server.address(family)
    count = 100_000
    with peer(network.client, key_file, address, mode=mode) as client:
        client.send_syn()
        assert client.receive_synack()
        forged = knockpeer.flood_acks(
            client.source, client.source_port, address, 22, count, exclude_seq=client.snd_nxt, link=client.link
        )
        assert forged == count
        client.send_ack()
        client.established = True
        data = b"x" * 10_000
        assert client.exchange(data) == data
    assert_nobody_locked_out(server)
    verdicts = counters(server)
    queue = queue_counters(network.server)[100]
    arrived = verdicts["segment-out-of-sequence"] + queue.dropped + queue.user_dropped
    assert arrived == count
    assert verdicts["segment-out-of-sequence"] > count // 2
    assert gets_in(network.client, address)


def test_forged_acks_during_real_handshakes(network: Network, key_file: str) -> None:
    # Forged towards all ports that the client could use, while it makes its connections.
    server = protect(network.server, key_file)
    address = network.server.ipv4
    network.client.sysctl({"net.ipv4.ip_local_port_range": "40000 40031"})
    with peer(network.client, key_file, address) as forger, ThreadPoolExecutor() as pool:
        stop: List[bool] = []

        def forge() -> int:
            sent = 0
            while not stop:
                for port in range(40_000, 40_032):
                    sent += knockpeer.flood_acks(forger.source, port, address, 22, 20, link=forger.link)
            return sent

        forging = pool.submit(forge)
        try:
            result = echo(network.client, address, 22, connections=20)
        finally:
            stop.append(True)
        assert result.failures == []
        assert forging.result(timeout=10) > 1000
    assert_nobody_locked_out(server)


# --- on a gateway -------------------------------------------------------------------------------------------------

STRANGER = {4: "10.83.1.77", 6: "fd83:1::77"}  # on the client's side of the router


@pytest.fixture(params=FAMILIES)
def gateway(request: pytest.FixtureRequest, routed: Network, key_file: str) -> Iterator["tuple[Network, int, Program]"]:
    assert routed.router
    server = protect(routed.router, key_file, lockout_seconds=2, places=EVERYWHERE)
    equip(routed.client, key_file)
    keep_kernel_quiet(routed.client)
    echo_server(routed.server, 22)
    yield routed, request.param, server


def test_forwarded_connections_are_cut(gateway: "tuple[Network, int, Program]", key_file: str) -> None:
    network, family, server = gateway
    address = network.server.address(family)
    assert echo(network.client, address, 22, connections=10, size=20_000).failures == []
    mine, idle = (connect(network.client, address, timeout=0.5) for _ in range(2))
    assert echoes(mine) and echoes(idle)
    with peer(network.client, key_file, address, source=STRANGER[family]) as stranger:
        assert stranger.handshake()
        with peer(network.client, key_file, address) as client:
            acknowledge_wrongly(client)
        server.wait_for_line("connections closed .*tracked=[1-9]")
        assert not echoes(mine)
        assert stranger.exchange(b"not me") == b"not me"
    # After the lockout such a connection stays cut, and a new one can be made.
    eventually(lambda: gets_in(network.client, address, timeout=0.2), 3, "the lockout to end")
    assert not echoes(idle)
    assert not echoes(mine)


def test_repeated_synacks_are_dropped(
    gateway: "tuple[Network, int, Program]", key_file: str, tmp_path: Path
) -> None:
    # The server's kernel, behind the gateway, knows of no lockout and repeats its SYN/ACKs after 1, 3, 7 ... seconds.
    network, family, server = gateway
    router = network.router
    assert router
    address = network.server.address(family)
    with peer(network.client, key_file, address, source_port=20_001) as pending, \
            peer(network.client, key_file, address, source_port=20_002) as wrong, \
            Capture(router, tmp_path) as capture, \
            Capture(router, tmp_path, interface="eth1") as behind:  # fmt: skip
        pending.send_syn()
        assert pending.receive_synack()
        acknowledge_wrongly(wrong)
        # Connection tracking knows nothing of the handshake any more, so the rules drop them already.
        eventually(lambda: sum(dropped(router, family)) >= 2, 6, "repeated SYN/ACKs to be dropped")
        # A right third ACK does not even reach the server.
        pending.send_ack()
        assert not pending.confirm(0.2)
        outside, behind_it = capture.stop(), behind.stop()
        assert (len(synacks(outside)), len(synacks(behind_it))) == (2, 4)
        assert [packet for packet in outside if packet["TCP"].flags == "A"] != []
        assert [packet.summary() for packet in behind_it if packet["TCP"].flags == "A"] == []


def dropped(router: Host, family: int) -> List[int]:
    """How many SYN/ACKs of no connection the rules have dropped."""
    counters = rule_counters(router, family, "nft")
    return [count for rule, count in counters.items() if "--ctstate INVALID -j DROP" in rule]


def synacks(packets: List[Any]) -> List[Any]:
    return [packet for packet in packets if packet["TCP"].flags == "SA"]


def test_a_gateway_is_as_silent(gateway: "tuple[Network, int, Program]", key_file: str) -> None:
    network, family, server = gateway
    address = network.server.address(family)
    with peer(network.client, key_file, address, source=STRANGER[family]) as stranger:
        code = stranger.code(isn=1)
        stranger.send_syn(isn=1, code=code ^ 1)
        counted(server, "syn-with-wrong-code")
        assert stranger.receive_segment(0.1) is None
        stranger.send_syn(isn=1, code=code)
        assert stranger.receive_synack()
