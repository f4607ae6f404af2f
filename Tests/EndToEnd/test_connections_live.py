"""A verified connection lives as long as its socket, whatever connection tracking forgets."""

import os
import socket
from pathlib import Path
from typing import Iterator

import pytest

from harness import topologies
from harness.echo import echo_server
from harness.inside import connect, echoes, listen, receive
from harness.knock import FAMILIES, equip
from harness.settings import Configured, keys
from harness.topologies import Network
from harness.waiting import eventually

TRACKING = "net.netfilter.nf_conntrack_tcp_timeout_"
SHORT = 2


class Place:
    """A server and a client; at port 22 an echo service, at port 2222 whatever a test does."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        key = keys(folder, "key")["key"]
        ports = [22, 2222]
        guests = [{"name": "alice", "key_file": "key.dat"}]
        self.server = Configured(network.server, "server", folder, {"target_ports": ports, "guest": guests})
        equip(network.client, key, ports)
        echo_server(network.server, 22)
        names = ("established", "fin_wait", "close_wait", "last_ack", "max_retrans", "unacknowledged")
        network.server.sysctl({TRACKING + name: SHORT for name in names})

    def tracked(self, connection: socket.socket) -> bool:
        """Whether the server tracks the connection as a verified one."""
        family = 6 if connection.family == socket.AF_INET6 else 4
        port = str(connection.getsockname()[1])
        command = ["conntrack", "-L", "-f", f"ipv{family}", "-p", "tcp", "--orig-port-src", port]
        return "mark=4096" in self.network.server.run(command).stdout

    def given_back(self, connection: socket.socket) -> None:
        """Waits until connection tracking has the connection again, for longer than it would keep it."""
        port = str(connection.getsockname()[1])
        family = "6" if connection.family == socket.AF_INET6 else "4"

        def seconds() -> bool:
            command = ["conntrack", "-L", "-f", f"ipv{family}", "-p", "tcp", "--orig-port-src", port]
            words = self.network.server.run(command).stdout.split()
            return len(words) > 2 and int(words[2]) > 60

        eventually(seconds, SHORT + 8, "the connection to be given back")
        assert self.tracked(connection)


@pytest.fixture(scope="module")
def place(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with topologies.direct() as network:
        yield Place(network, tmp_path_factory.mktemp("place"))


@pytest.mark.parametrize("family", FAMILIES)
def test_idle_for_longer_than_it_is_tracked(place: Place, family: int) -> None:
    with connect(place.network.client, place.network.server.address(family)) as connection:
        assert echoes(connection)
        place.given_back(connection)
        assert echoes(connection, os.urandom(200_000))
        # Given back as often as it takes.
        place.given_back(connection)
        assert echoes(connection)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_closed_for_longer_than_it_is_tracked(place: Place, family: int) -> None:
    with listen(place.network.server, 2222) as listener:
        with connect(place.network.client, place.network.server.address(family), 2222) as connection:
            accepted, _ = listener.accept()
            with accepted:
                connection.shutdown(socket.SHUT_WR)
                assert receive(accepted, 1) == b""
                place.given_back(connection)
                accepted.sendall(b"x" * 200_000)
                assert receive(connection, 200_000) == b"x" * 200_000


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sender", ("client", "server"))
def test_an_outage_with_data_on_its_way(place: Place, family: int, sender: str) -> None:
    """Also where the server sends on its own: its retransmissions make an entry the wrong way round."""
    server = place.network.server
    with listen(server, 2222) as listener:
        with connect(place.network.client, server.address(family), 2222) as connection:
            accepted, _ = listener.accept()
            with accepted:
                connection.settimeout(20)
                accepted.settimeout(20)
                one, other = (connection, accepted) if sender == "client" else (accepted, connection)
                iptables = "iptables" if family == 4 else "ip6tables"
                rules = [[iptables, "-w", "-t", "raw", "{}", "PREROUTING", "-p", "tcp", "-j", "DROP"]]
                for rule in rules:
                    for host in (server, place.network.client):
                        host.run([word.format("-I") for word in rule])
                one.sendall(b"y" * 50_000)
                place.given_back(connection)
                for rule in rules:
                    for host in (server, place.network.client):
                        host.run([word.format("-D") for word in rule])
                assert receive(other, 50_000) == b"y" * 50_000


@pytest.mark.parametrize("family", FAMILIES)
def test_all_tracked_connections_are_flushed(place: Place, family: int) -> None:
    with connect(place.network.client, place.network.server.address(family)) as connection:
        assert echoes(connection)
        place.network.server.run(["conntrack", "-F"])
        eventually(lambda: place.tracked(connection), 8, "the connection to be given back")
        assert echoes(connection, os.urandom(100_000))
