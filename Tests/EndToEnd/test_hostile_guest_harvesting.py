"""A guest who collects masked ISNs of one 4-tuple, by handshakes that it aborts, is held to a rate, and nobody else is."""

import os
import random
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from harness import topologies
from harness.echo import echo_server
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, KnockClient, assert_nobody_locked_out, counters, equip, keep_kernel_quiet, peer
from harness.settings import Configured, keys
from harness.topologies import Network
from harness.waiting import eventually

AT_ONCE, SECONDS = 16, 10
"""So many SYN/ACKs may be left unanswered between the same ends, and one more after each of these periods."""


class Place:
    """A server with two guests; mallory's host has no daemon."""

    def __init__(self, network: Network, folder: Path, kernel_filter: str) -> None:
        assert network.other
        self.server, self.alice, self.mallory = network.server, network.client, network.other
        self.keys = keys(folder, "alice", "mallory")
        guests = [{"name": name, "key_file": f"{name}.dat"} for name in self.keys]
        self.daemon = Configured(self.server, "server", folder, {"guest": guests, "kernel_filter": kernel_filter})
        equip(self.alice, self.keys["alice"])
        keep_kernel_quiet(self.mallory)
        echo_server(self.server, 22)


@pytest.fixture(params=("off", "auto"), ids=("by the daemon", "with the kernel filter"))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("makes network namespaces, so it must run as root")
    with topologies.two_clients() as network:
        yield Place(network, tmp_path, request.param)


def harvest(mallory: KnockClient, seconds: float) -> List[int]:
    """Begins and aborts handshakes for so long; the different ISNs on the wire."""
    isns, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        mallory.send_syn(isn=random.getrandbits(32))
        answer = mallory.receive_synack(0.05)
        if answer:
            isns.append(answer.seq)
            mallory.send_rst()
    assert len(set(isns)) == len(isns)
    return isns


@pytest.mark.parametrize("family", FAMILIES)
def test_a_harvest_is_held_to_a_rate(place: Place, family: int) -> None:
    address, log = place.server.address(family), place.daemon.daemon
    mine = connect(place.alice, address)
    with peer(place.mallory, place.keys["mallory"], address, source_port=20_500) as mallory:
        begin = time.monotonic()
        isns = harvest(mallory, 6)
        most = AT_ONCE + (time.monotonic() - begin) / SECONDS + 1
        assert AT_ONCE <= len(isns) <= most
        assert counters(log)["too-many-unanswered"] > 20
        assert place.daemon.status()["packets"]["too-many-unanswered"] > 20
        log.wait_for_line("refused: .*guest=mallory.*reason=too-many-unanswered", 5, "stderr")
        # It is about these ends alone.
        assert echoes(mine) and gets_in(place.alice, address)
        with peer(place.mallory, place.keys["mallory"], address, source_port=20_501) as another:
            assert another.handshake() and another.exchange(b"hello") == b"hello"
        # And not for long: the very next SYN that has waited for its turn.
        isn = random.getrandbits(32)
        eventually(lambda: (mallory.send_syn(isn=isn), mallory.receive_synack(0.5))[1], SECONDS + 5, "a SYN/ACK")
        mallory.send_ack()
        mallory.established = True
        assert mallory.exchange(b"hello") == b"hello"
    assert_nobody_locked_out(log)
