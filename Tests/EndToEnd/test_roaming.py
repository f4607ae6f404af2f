"""Codes that are bound to no address, for who does not know the own one: behind a NAT, or behind another each day."""

from pathlib import Path
from typing import Iterator

import pytest

from harness import topologies
from harness.capture import Capture
from harness.echo import echo, echo_server
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, assert_nobody_locked_out, counted, counters
from harness.segments import send
from harness.settings import Configured, Settings, keys
from harness.topologies import TwoWays


class Journey:
    """A guest on the way, and the one who stays at home."""

    def __init__(self, network: TwoWays, folder: Path) -> None:
        self.network = network
        keys(folder, "alice")
        self.server = Configured(network.server, "server", folder, self.of_server())
        self.client = Configured(network.client, "client", folder, {"key_file": "alice.dat", "nat_ip": "auto"})
        echo_server(network.server, 22)

    def of_server(self) -> Settings:
        guests = [{"name": "alice", "key_file": "alice.dat", "roaming": True}]
        return {"kernel_filter": "off", "guest": guests}

    def gets_in(self, family: int) -> bool:
        return gets_in(self.network.client, self.network.server.address(family), timeout=0.4)


@pytest.fixture(scope="module")
def one_journey(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with topologies.two_ways() as network:
        yield Journey(network, tmp_path_factory.mktemp("journey"))


@pytest.fixture
def journey(one_journey: Journey) -> Journey:
    one_journey.network.leave_by(one_journey.network.client, 0)
    one_journey.server.settings = one_journey.of_server()
    one_journey.server.reload()
    one_journey.client.settings["nat_ip"] = "auto"
    one_journey.client.reload()
    return one_journey


@pytest.mark.parametrize("family", FAMILIES)
def test_from_one_network_and_from_another(journey: Journey, family: int) -> None:
    network = journey.network
    address = network.server.address(family)
    for number in (0, 1):
        network.leave_by(network.client, number)
        start = journey.server.daemon.position
        result = echo(network.client, address, 22, connections=20, size=200_000)
        assert (result.complete, result.failures) == (20, [])
        journey.server.daemon.wait_for_line(
            f"connection verified client=\\S*{network.seen_as(number, family)}\\S* guest=alice", start=start)
    assert_nobody_locked_out(journey.server.daemon)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_neighbour_behind_the_same_nat(journey: Journey, family: int, tmp_path: Path) -> None:
    network = journey.network
    kind = "IP" if family == 4 else "IPv6"
    address = network.server.address(family)
    with Capture(network.client, tmp_path) as capture:
        mine = connect(network.client, address)
        assert echoes(mine)
        syn = capture.wait_for(lambda packet: packet["TCP"].flags == "S")[kind]
    for port in (syn["TCP"].sport, 20_001):
        copy = syn.copy()
        copy.src = network.neighbour.address(family)
        copy["TCP"].sport = port
        if family == 4:
            del copy.chksum
        del copy["TCP"].chksum
        before = counters(journey.server.daemon).get("syn-replayed", 0)
        seen_as = network.seen_as(0, family)
        with Capture(network.server, tmp_path, f"tcp and host {seen_as}") as capture:
            send(network.neighbour, [copy] * 3)
            counted(journey.server.daemon, "syn-replayed", before + 3)
            packets = capture.stop()
        assert len([packet for packet in packets if packet["TCP"].flags == "S"]) == 3, "it came as the same address"
        assert [packet.summary() for packet in packets if packet["TCP"].sport == 22] == []
    assert echoes(mine)
    assert_nobody_locked_out(journey.server.daemon)


@pytest.mark.parametrize("family", FAMILIES)
def test_who_may_not_roam_does_not_get_in_so(journey: Journey, family: int) -> None:
    journey.server.settings["guest"][0]["roaming"] = False
    journey.server.reload()
    before = counters(journey.server.daemon).get("syn-with-wrong-code", 0)
    assert not journey.gets_in(family)
    counted(journey.server.daemon, "syn-with-wrong-code", before + 1)
    # With the address it does.
    journey.client.settings["nat_ip"] = journey.network.seen_as(0, family)
    journey.client.reload()
    assert journey.gets_in(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_who_may_roam_need_not(journey: Journey, family: int) -> None:
    journey.client.settings["nat_ip"] = [journey.network.seen_as(0, 4), journey.network.seen_as(0, 6)]
    journey.client.reload()
    assert journey.gets_in(family)
    journey.network.leave_by(journey.network.client, 1)
    assert not journey.gets_in(family), "the address is another one now"
    assert "roaming" in journey.server.tool("status").stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_a_roaming_guest_from_one_network_only(journey: Journey, family: int) -> None:
    prefix = f"{journey.network.seen_as(1, family)}/{32 if family == 4 else 128}"
    journey.server.settings["guest"][0]["networks"] = [prefix]
    journey.server.reload()
    start = journey.server.daemon.position
    assert not journey.gets_in(family)
    journey.server.daemon.wait_for_line("refused: .*guest=alice reason=guest-from-other-network", start=start)
    journey.network.leave_by(journey.network.client, 1)
    assert journey.gets_in(family)
