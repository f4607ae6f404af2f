"""A SYN from the wire, sent again by somebody who has seen it, gets no answer."""

from pathlib import Path

import pytest

from harness.capture import Capture
from harness.echo import echo_server
from harness.hosts import Host
from harness.inside import connect, echoes, inside
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
from harness.processes import Program
from harness.topologies import Network


class Recorded:
    """An open connection of the client, and the SYN that began it, as it was on the wire."""

    def __init__(self, network: Network, family: int, server: Program, folder: Path) -> None:
        self.network, self.server, self.folder = network, server, folder
        self.address = network.server.address(family)
        with Capture(network.server, folder) as capture:
            self.connection = connect(network.client, self.address)
            assert echoes(self.connection)
            packet = capture.wait_for(lambda packet: packet["TCP"].flags == "S")
        self.syn = packet["IP"] if family == 4 else packet["IPv6"]

    def assert_no_answer(self, host: Host, reason: str, times: int = 1, source: str = "", **tcp: int) -> None:
        """Sends the SYN again from a host, with other fields if given: it is dropped for the reason, in silence."""
        syn = self.syn.copy()
        syn.src = source or syn.src
        for name, value in tcp.items():
            setattr(syn["TCP"], name, value)
        del syn["TCP"].chksum
        if "IP" in syn:
            del syn["IP"].chksum
        before = counters(self.server).get(reason, 0)
        with Capture(self.network.server, self.folder) as capture:
            with inside(host):
                link = knockpeer.Link(self.address, syn.src)
            for _ in range(times):
                link.send(bytes(syn))
            link.close()
            counted(self.server, reason, before + times)
            half_open = self.network.server.run(["ss", "-Htn", "state", "syn-recv"]).stdout
            packets = capture.stop()
        assert half_open == ""
        port = syn["TCP"].dport
        assert len([packet for packet in packets if packet["TCP"].dport == port]) >= times
        assert [packet.summary() for packet in packets if packet["TCP"].sport == port] == []


@pytest.fixture(params=FAMILIES)
def recorded(request: pytest.FixtureRequest, two_clients: Network, key_file: str, tmp_path: Path) -> Recorded:
    server = protect(two_clients.server, key_file)
    equip(two_clients.client, key_file)
    echo_server(two_clients.server, 22)
    return Recorded(two_clients, request.param, server, tmp_path)


def test_from_the_same_address_and_port(recorded: Recorded) -> None:
    client = recorded.network.client
    recorded.assert_no_answer(client, "syn-replayed")
    # The connection that it belonged to is not disturbed.
    assert echoes(recorded.connection)
    recorded.connection.close()
    recorded.assert_no_answer(client, "syn-replayed")
    assert_nobody_locked_out(recorded.server)


def test_from_the_same_address_and_another_port(recorded: Recorded) -> None:
    client = recorded.network.client
    keep_kernel_quiet(client)
    for port in (20_001, 30_000, 65_535, 1):
        recorded.assert_no_answer(client, "syn-replayed", sport=port)
    assert echoes(recorded.connection)
    assert_nobody_locked_out(recorded.server)


def test_from_another_address(recorded: Recorded) -> None:
    other = recorded.network.other
    assert other
    family = 4 if "IP" in recorded.syn else 6
    source = other.address(family)
    recorded.assert_no_answer(other, "syn-with-wrong-code", source=source)
    recorded.assert_no_answer(other, "syn-with-wrong-code", source=source, sport=20_001)
    assert_nobody_locked_out(recorded.server)


def test_to_another_protected_port(two_clients: Network, key_file: str, tmp_path: Path) -> None:
    server = protect(two_clients.server, key_file, (22, 2222))
    equip(two_clients.client, key_file, (22, 2222))
    echo_server(two_clients.server, 22, 2222)
    recorded = Recorded(two_clients, 4, server, tmp_path)
    recorded.assert_no_answer(two_clients.client, "syn-replayed", dport=2222)


def test_many_times(recorded: Recorded) -> None:
    recorded.assert_no_answer(recorded.network.client, "syn-replayed", times=2000)
    assert echoes(recorded.connection)
    # And the client still gets in.
    assert echoes(connect(recorded.network.client, recorded.address))


@pytest.mark.parametrize("family", FAMILIES)
def test_while_the_handshake_is_pending(two_clients: Network, family: int, key_file: str) -> None:
    server = protect(two_clients.server, key_file)
    keep_kernel_quiet(two_clients.client)
    echo_server(two_clients.server, 22)
    address = two_clients.server.address(family)
    with peer(two_clients.client, key_file, address, source_port=20_001) as client:
        code = client.send_syn()
        first = client.receive_synack()
        assert first and client.c is not None
        with peer(two_clients.client, key_file, address, source_port=20_002) as thief:
            thief.send_syn(isn=client.c, code=code)
            counted(server, "syn-replayed")
            assert thief.receive_segment(0.1) is None
        # Its own retransmission is answered.
        client.send_syn(code=code)
        second = client.receive_synack()
        assert second and second.seq == first.seq
        counted(server, "syn-retransmitted")
        client.send_ack()
        client.established = True
        assert client.exchange(b"hello") == b"hello"
