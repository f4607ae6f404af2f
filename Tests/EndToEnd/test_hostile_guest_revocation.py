"""A guest who has connection tracking believe that the connection is over keeps it no longer than anybody else."""

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Iterator, List

import pytest

from harness import topologies
from harness.echo import echo_server
from harness.knock import FAMILIES, keep_kernel_quiet, peer
from harness.settings import Configured, Settings, keys
from harness.topologies import Network
from harness.waiting import eventually
from knockpeer import KnockClient

# More than the daemon takes between two comparisons of its book with connection tracking.
COMPARED = 6


class Place:
    """A server with one guest, who sends segments by hand."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.key = keys(folder, "mallory")["mallory"]
        self.server = Configured(network.server, "server", folder, self.settings())
        keep_kernel_quiet(network.client)
        echo_server(network.server, 22)

    def settings(self) -> Settings:
        return {"guest": [{"name": "mallory", "key_file": "mallory.dat"}]}

    def tracked_as(self, client: KnockClient) -> str:
        listed = self.network.server.run(
            ["conntrack", "-L", "-f", f"ipv{client.family}", "-p", "tcp", "--orig-port-src", str(client.source_port)]
        ).stdout
        found = re.search(r"tcp +\d+ \d+ (\w+)", listed)
        return found[1] if found else ""

    def sockets(self, client: KnockClient) -> List[str]:
        command = ["ss", "-Htn", "state", "established", f"( dport = :{client.source_port} )"]
        return self.network.server.run(command).stdout.splitlines()

    def ends(self, client: KnockClient) -> List[str]:
        """What the audit says of the end of the connection."""
        pattern = rf"connection ended .*client=\S+:{client.source_port} "
        return [line for line in self.server.daemon.lines("stderr") if re.search(pattern, line)]

    def pretend_to_end(self, client: KnockClient) -> None:
        """One byte, and right behind it a RST with the sequence number before: the socket ignores that."""
        # The RST must overtake the acknowledgment of the byte, or connection tracking knows better.

        def is_taken_in() -> bool:
            before = client.snd_nxt
            client.send_ack(payload=b"x")
            client.send_rst(seq=before, ack=client.rcv_nxt)
            return self.tracked_as(client) == "CLOSE"

        eventually(is_taken_in, 5, "connection tracking to be taken in")
        assert self.sockets(client)


@pytest.fixture(scope="module")
def one_place(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with topologies.direct() as network:
        yield Place(network, tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(one_place: Place) -> Place:
    one_place.server.settings = {"kernel_filter": "off", **one_place.settings()}
    one_place.server.reload()
    return one_place


def connected(client: KnockClient) -> None:
    client.send_syn()
    assert client.receive_synack()
    client.send_ack()
    client.established = True
    assert client.exchange(b"hello") == b"hello"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pretended_end_is_none_and_does_not_survive_revocation(place: Place, family: int) -> None:
    with peer(place.network.client, place.key, place.network.server.address(family)) as client:
        connected(client)
        place.pretend_to_end(client)
        # The daemon compares its book in this time; the connection is still in it.
        with pytest.raises(AssertionError):
            eventually(lambda: place.ends(client), COMPARED, "an end that there is not")
        assert [row["guest"] for row in place.server.status()["connections"]] == ["mallory"]
        place.server.guest("mallory")["enabled"] = False
        place.server.reload()
        eventually(lambda: not place.sockets(client), 2, "the socket to be closed")
        [end] = eventually(lambda: place.ends(client), 2, "the end of the connection")
        assert "reason=revoked" in end


def test_a_pretended_end_does_not_survive_expiry(place: Place) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=COMPARED + 2)
    place.server.guest("mallory")["expires"] = soon
    place.server.reload()
    with peer(place.network.client, place.key, place.network.server.ipv4) as client:
        connected(client)
        place.pretend_to_end(client)
        eventually(lambda: not place.sockets(client), COMPARED + 8, "the socket to be closed")
        [end] = eventually(lambda: place.ends(client), 2, "the end of the connection")
        assert "reason=guest-expired" in end
