"""A guest who sends in another's name, with a key of their own, disturbs nobody but themselves.

alice knocks by her host's daemon; mallory is a guest, too, on another host of the same network, and sends segments with
alice's address. (Alice's kernel is kept from answering what she did not ask for, as a host firewall does: else its RSTs end
mallory's handshakes at once.)
"""

import itertools
import json
import random
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from harness import topologies
from harness.echo import echo_server
from harness.firewall import firewall
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, WRONG, KnockClient, counted, counters, equip, keep_kernel_quiet, peer, protect
from harness.segments import segment, send
from harness.settings import Configured, Settings, keys
from harness.topologies import Network
from harness.waiting import eventually

LOCKOUT = 4

_ports = itertools.count(29_000)


class Place:
    """A server with two guests and a host for each."""

    def __init__(self, network: Network, folder: Path) -> None:
        assert network.other
        self.server, self.alice, self.mallory = network.server, network.client, network.other
        self.keys = keys(folder, "alice", "mallory")
        self.daemon = Configured(self.server, "server", folder, self.settings())
        equip(self.alice, self.keys["alice"])
        equip(self.mallory, self.keys["mallory"])
        for host in (self.alice, self.mallory):
            keep_kernel_quiet(host)
        echo_server(self.server, 22)

    def settings(self) -> Settings:
        guests = [{"name": name, "key_file": f"{name}.dat"} for name in ("alice", "mallory")]
        return {"lockout_seconds": LOCKOUT, "guest": guests}

    @contextmanager
    def spoofing(self, family: int, port: int) -> Iterator[KnockClient]:
        """A client of mallory that sends from alice's address and this port, and sees no answer."""
        address = self.alice.address(family)
        with peer(
            self.mallory, self.keys["mallory"], self.server.address(family), source=address, source_port=port, raw=True
        ) as client:
            yield client

    def lock_out_mallory_at_alice(self, family: int) -> None:
        """A wrong third ACK of mallory's in alice's name."""
        before = counters(self.daemon.daemon)
        with self.spoofing(family, next(_ports)) as client:
            client.send_syn()
            counted(self.daemon.daemon, "syn-ack-masked", before.get("syn-ack-masked", 0) + 1)
            client.send_ack(ack=WRONG)
            counted(self.daemon.daemon, "wrong-acknowledgment", before.get("wrong-acknowledgment", 0) + 1)

    def locks(self) -> Any:
        return json.loads(self.daemon.tool("locks", "--json").stdout)

    def marks(self, family: int, connection: socket.socket) -> List[str]:
        listed = self.server.run(
            ["conntrack", "-L", "-f", f"ipv{family}", "-p", "tcp", "--orig-port-src", str(connection.getsockname()[1])]
        ).stdout
        return [word for word in listed.split() if word.startswith("mark=")]


def abandon(client: KnockClient) -> None:
    """So that the connection is not ended in good order."""
    client.established = False


def finish(client: KnockClient) -> None:
    """The third ACK, and something to say."""
    client.send_ack()
    client.established = True
    assert client.exchange(b"hello") == b"hello"


@pytest.fixture(scope="module")
def one_place(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with topologies.two_clients() as network:
        yield Place(network, tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(one_place: Place) -> Iterator[Place]:
    one_place.daemon.settings = {"kernel_filter": "off", **one_place.settings()}
    one_place.daemon.reload()
    yield one_place
    for host in (one_place.alice, one_place.mallory):
        for family in FAMILIES:
            one_place.daemon.tool("unlock", host.address(family), check=False)


# --- locking others out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_ack_in_another_guests_name_locks_out_the_sender_alone(place: Place, family: int) -> None:
    address = place.server.address(family)
    mine = [connect(place.alice, address) for _ in range(3)]
    place.lock_out_mallory_at_alice(family)
    # Nothing of alice's ends, and more begins, all the time.
    end = time.monotonic() + LOCKOUT / 2
    while time.monotonic() < end:
        assert all(map(echoes, mine))
        assert gets_in(place.alice, address)
        time.sleep(0.02)
    # What is locked out is mallory, at alice's address.
    [lock] = place.locks()
    assert (lock["address"], lock["guest"]) == (place.alice.address(family), "mallory")
    with place.spoofing(family, next(_ports)) as client:
        client.send_syn()
        counted(place.daemon.daemon, "locked-out")
    # At mallory's own address nothing is locked.
    assert gets_in(place.mallory, address)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_ack_ends_what_its_guest_has_open_there_and_nothing_else(place: Place, family: int) -> None:
    address = place.server.address(family)
    # mallory and alice behind one address: alice's own host has both keys.
    with peer(place.alice, place.keys["mallory"], address) as mallory:
        assert mallory.handshake()
        assert mallory.exchange(b"hello") == b"hello"
        start = place.daemon.daemon.position
        alices, elsewhere = connect(place.alice, address), connect(place.mallory, address)
        place.lock_out_mallory_at_alice(family)
        eventually(lambda: mallory.receive_data(0.05) == b"" and mallory.reset, 2, "a RST")
        assert echoes(alices) and echoes(elsewhere)
    line = place.daemon.daemon.wait_for_line("connections closed .*guest=mallory", start=start)
    assert "count=1" in line.string
    place.daemon.daemon.wait_for_line(
        "connection ended .*guest=mallory .*reason=wrong-acknowledgment", start=start
    )


def test_whole_addresses_where_that_is_wanted(place: Place) -> None:
    place.daemon.settings["lockout_scope"] = "address"
    place.daemon.reload()
    mine = connect(place.alice, place.server.ipv4)
    place.lock_out_mallory_at_alice(4)
    eventually(lambda: not echoes(mine), 2, "alice to be cut off")
    assert not gets_in(place.alice, place.server.ipv4, timeout=0.5)
    [lock] = place.locks()
    assert (lock["address"], lock["guest"]) == (place.alice.ipv4, None)


# --- cutting others off -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_syn_on_another_guests_connection_changes_nothing_of_it(place: Place, family: int) -> None:
    mine = connect(place.alice, place.server.address(family))
    assert echoes(mine)
    marks = place.marks(family, mine)
    assert marks == ["mark=4096"]
    before = counters(place.daemon.daemon).get("syn-accepted", 0)
    with place.spoofing(family, mine.getsockname()[1]) as client:
        for number in range(5):
            client.send_syn(isn=random.getrandbits(32))
            counted(place.daemon.daemon, "syn-accepted", before + number + 1)
            assert echoes(mine)
            client.send_ack(ack=WRONG)
            client.send_ack(ack=WRONG, payload=b"not alice's")
            client.send_rst(seq=(client.c or 0) + 1)
    assert echoes(mine, b"x" * 100_000)
    assert place.marks(family, mine) == marks


@pytest.mark.parametrize("family", FAMILIES)
def test_a_syn_between_the_ends_of_another_guests_handshake(place: Place, family: int) -> None:
    # A handshake by hand, so that mallory's SYNs come in between, at each step of it.
    with peer(place.alice, place.keys["alice"], place.server.address(family)) as alice:
        with place.spoofing(family, alice.source_port) as mallory:
            count = counters(place.daemon.daemon).get("syn-accepted", 0)
            mallory.send_syn(isn=1)
            counted(place.daemon.daemon, "syn-accepted", count + 1)
            # The kernel has mallory's SYN; alice's host answers what it did not ask for with a RST, as kernels do.
            answer = alice.receive_segment(2)
            assert answer and answer.ack == 2
            alice.send_rst(seq=2)
            alice.send_syn()
            assert alice.receive_synack()
            mallory.send_syn(isn=3)
            counted(place.daemon.daemon, "syn-accepted", count + 3)
            alice.send_syn()
            finish(alice)


def test_a_host_that_has_lost_its_connection_gets_in_again_from_the_same_port(place: Place) -> None:
    port = 20_777
    with peer(place.alice, place.keys["alice"], place.server.ipv4, source_port=port) as before:
        assert before.handshake()
        assert before.exchange(b"hello") == b"hello"
        abandon(before)
    # Nothing told the server. A kernel answers the challenge ACK to its SYN by a RST, and repeats the SYN.
    with peer(place.alice, place.keys["alice"], place.server.ipv4, source_port=port) as after:
        after.send_syn()
        challenge = after.receive_segment(2)
        assert challenge
        after.send_rst(seq=challenge.ack)
        after.send_syn()
        assert after.receive_synack()
        finish(after)


def test_the_same_where_the_server_has_lost_it_too(place: Place) -> None:
    # The entry of connection tracking outlives both sockets: another connection must not inherit its mark.
    port = 20_778
    with peer(place.alice, place.keys["alice"], place.server.ipv4, source_port=port) as before:
        assert before.handshake()
        assert before.exchange(b"hello") == b"hello"
        place.server.run(["iptables", "-w", "-t", "raw", "-I", "OUTPUT", "-p", "tcp", "--dport", str(port),
                          "--tcp-flags", "RST", "RST", "-j", "DROP"])  # fmt: skip
        place.server.run(["ss", "-K", "dport", "=", str(port)])
        abandon(before)
    with peer(place.alice, place.keys["alice"], place.server.ipv4, source_port=port) as after:
        after.send_syn()
        counted(place.daemon.daemon, "syn-ack-on-verified")
        assert eventually(lambda: (after.send_syn(), after.receive_synack(0.3))[1], 5, "a SYN/ACK to a repeated SYN")
        # Unverified: what is not the right third ACK comes to be judged.
        count = counters(place.daemon.daemon).get("acknowledgment-verified", 0)
        finish(after)
        counted(place.daemon.daemon, "acknowledgment-verified", count + 1)


# --- RSTs that the daemon sends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_refusals_by_rst_do_not_touch_a_connection(two_clients: Network, family: int, key_file: str) -> None:
    alice, mallory, server = two_clients.client, two_clients.other, two_clients.server
    assert mallory
    echo_server(server, 22)
    daemon = protect(server, key_file, more=["--on-failure", "reset"])
    firewall(server, "server", "up", "--on-failure", "reset", "--kernel-filter", "off")
    equip(alice, key_file)
    mine = connect(alice, server.address(family))
    # A stranger is refused by a RST, as from a closed port.
    with pytest.raises(ConnectionRefusedError):
        connect(mallory, server.address(family))
    # The same in alice's name: on her connection, and with its own numbers.
    port = mine.getsockname()[1]
    for flags, seq, ack in (("S", 1, 0), ("S", 2, 77), ("SF", 3, 0)):
        forged = dict(sport=port, dport=22, flags=flags, seq=seq, ack=ack)
        send(mallory, [segment(alice.address(family), server.address(family), **forged)] * 10)
        assert echoes(mine, b"x" * 100_000)
    eventually(lambda: counters(daemon).get("syn-with-wrong-code", 0) >= 10, 5, "the SYNs to be judged")
    listed = server.run(["conntrack", "-L", "-f", f"ipv{family}", "-p", "tcp", "--orig-port-src", str(port)])
    assert " ESTABLISHED " in listed.stdout and " mark=4096 " in listed.stdout
