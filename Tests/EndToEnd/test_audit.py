"""What the logs say of each connection when it has ended."""

import json
import os
import re
import shutil
import socket
import struct
from datetime import datetime, timezone
from pathlib import Path
from typing import Dict, Iterator, Optional

import pytest

from harness import topologies
from harness.daemons import state_folder
from harness.echo import echo_server
from harness.inside import connect, echoes, inside, receive
from harness.knock import FAMILIES, WRONG, keep_kernel_quiet, peer
from harness.settings import Configured, Settings, keys
from harness.topologies import Network
from harness.waiting import eventually

# The kernel is asked every five seconds for connections that ended but are still tracked.
SOON = 8


class Pair:
    """A server and a client, both with a log in JSON."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.key = keys(folder, "key")["key"]
        self.server = Configured(network.server, "server", folder, self.settings())
        self.client = Configured(network.client, "client", folder, {"key_file": "key.dat", "log_format": "json"})
        keep_kernel_quiet(network.client)
        echo_server(network.server, 22)

    def settings(self) -> Settings:
        guests = [{"name": "alice", "key_file": "key.dat"}]
        return {"kernel_filter": "off", "log_format": "json", "lockout_seconds": 1, "guest": guests}

    def connect(self, family: int = 4) -> "tuple[socket.socket, str]":
        connection = connect(self.network.client, self.network.server.address(family))
        address, port = connection.getsockname()[:2]
        assert echoes(connection)
        return connection, f"{address}:{port}" if family == 4 else f"[{address}]:{port}"

    def ended(self, daemon: Configured, client: str, timeout: float = SOON) -> Dict[str, str]:
        """The line about the end of a connection of the client, which is there once."""
        pattern = f'"message":"connection ended".*"client":"{re.escape(client)}"'
        entry: Dict[str, str] = json.loads(daemon.daemon.wait_for_line(pattern, timeout, "stderr").string)
        assert len([line for line in daemon.daemon.lines("stderr") if re.search(pattern, line)]) == 1
        assert (entry.pop("level"), entry.pop("message"), entry.pop("client")) == ("info", "connection ended", client)
        assert entry.pop("time")
        return entry


@pytest.fixture(scope="module")
def one_pair(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with topologies.direct() as network:
        yield Pair(network, tmp_path_factory.mktemp("pair"))


@pytest.fixture
def pair(one_pair: Pair) -> Pair:
    one_pair.server.settings = one_pair.settings()
    one_pair.server.reload()
    return one_pair


def server_of(pair: Pair, family: int) -> str:
    address = pair.network.server.address(family)
    return f"{address}:22" if family == 4 else f"[{address}]:22"


def test_bytes_are_counted_from_the_start(pair: Pair) -> None:
    setting = pair.network.server.run(["sysctl", "-n", "net.netfilter.nf_conntrack_acct"]).stdout
    assert setting == "1\n"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_connection_that_ends_by_itself(pair: Pair, family: int) -> None:
    connection, client = pair.connect(family)
    assert echoes(connection, os.urandom(100_000))
    connection.close()
    header = 52 if family == 4 else 72
    for daemon, party in ((pair.server, {"guest": "alice"}), (pair.client, {"target": "any"})):
        entry = pair.ended(daemon, client)
        assert int(entry.pop("seconds")) <= SOON
        if daemon is pair.server:
            for name in ("bytes-received", "bytes-sent"):
                # With IP and TCP headers, of acknowledgments too.
                assert 100_000 + 3 * header < int(entry.pop(name)) < 150_000
        else:
            # Whether bytes are counted is not the client's to say.
            entry = {name: value for name, value in entry.items() if not name.startswith("bytes-")}
        assert entry == {"server": server_of(pair, family), **party}


def test_both_directions_are_told_apart(pair: Pair) -> None:
    # The echo is not read: much more is received than sent.
    connection, client = pair.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    sent = 0
    try:
        while sent < 20_000_000:
            sent += connection.send(b"x" * 65536)
    except BlockingIOError:
        pass
    connection.close()
    entry = pair.ended(pair.server, client)
    assert int(entry["bytes-received"]) > int(entry["bytes-sent"]) > 0


def test_a_reset(pair: Pair) -> None:
    connection, client = pair.connect()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    entry = pair.ended(pair.server, client)
    assert entry["guest"] == "alice" and "reason" not in entry


def test_seconds(pair: Pair) -> None:
    connection, client = pair.connect()
    connection.settimeout(2.2)
    with pytest.raises(TimeoutError):
        receive(connection, 1)
    connection.close()
    assert 2 <= int(pair.ended(pair.server, client)["seconds"]) <= 2 + SOON


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("change", "reason"),
    (
        ({"enabled": False}, "revoked"),
        ({"networks": ["192.0.2.0/24"]}, "guest-from-other-network"),
        ({"expires": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "guest-expired"),
    ),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_reason_why_a_guest_is_one_no_longer(pair: Pair, family: int, change: Settings, reason: str) -> None:
    connection, client = pair.connect(family)
    pair.server.guest("alice").update(change)
    pair.server.reload()
    entry = pair.ended(pair.server, client, timeout=2)
    assert (entry["guest"], entry["reason"]) == ("alice", reason)
    assert int(entry["bytes-received"]) > 0 and int(entry["bytes-sent"]) > 0
    with pytest.raises(ConnectionResetError):
        connection.recv(1)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reason_when_its_client_is_locked_out(pair: Pair, family: int) -> None:
    connection, client = pair.connect(family)
    address = pair.network.client.address(family)
    with peer(pair.network.client, pair.key, pair.network.server.address(family)) as wrong:
        wrong.send_syn()
        assert wrong.receive_synack()
        wrong.send_ack(ack=wrong.rcv_nxt ^ WRONG)
        entry = pair.ended(pair.server, client, timeout=2)
    assert (entry["guest"], entry["reason"]) == ("alice", "wrong-acknowledgment")
    pair.server.tool("unlock", address, check=False)
    connection.close()


def test_a_connection_from_before_the_daemon(pair: Pair) -> None:
    """Whose it is outlives the daemon, and be it told to end in the very moment."""
    connection, client = pair.connect()
    assert pair.server.daemon.stop() == 0
    pair.server.start()
    assert echoes(connection)
    [entry] = [entry for entry in pair.server.status()["connections"] if entry["client"] == client]
    assert entry["guest"] == "alice" and entry["server"] == server_of(pair, 4)
    connection.close()
    assert pair.ended(pair.server, client)["guest"] == "alice"


def test_a_connection_that_nothing_is_known_of(pair: Pair) -> None:
    connection, client = pair.connect()
    assert pair.server.daemon.stop() == 0
    shutil.rmtree(state_folder(pair.network.server))
    pair.server.start()
    assert echoes(connection)
    [entry] = [entry for entry in pair.server.status()["connections"] if entry["client"] == client]
    assert entry["guest"] is None and entry["server"] == server_of(pair, 4)
    assert "(unknown)" in pair.server.tool("status").stdout
    connection.close()
    assert "guest" not in pair.ended(pair.server, client)


def test_the_same_port_again_and_again(pair: Pair) -> None:
    # The end of the one and the beginning of the next may be told in either order.
    count, port = 100, 45_000
    pattern = f'"message":"connection ended".*"client":"{pair.network.client.ipv4}:{port}"'

    def ended() -> int:
        return sum(re.search(pattern, line) is not None for line in pair.server.daemon.lines("stderr"))

    for number in range(count):
        with inside(pair.network.client):
            connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.settimeout(5)
        connection.bind((pair.network.client.ipv4, port))
        connection.connect((pair.network.server.ipv4, 22))
        assert echoes(connection)
        if number < count - 1:
            connection.close()
    eventually(lambda: ended() >= count - 1, SOON, "the ends of all but the last")
    assert ended() == count - 1
    clients = [entry["client"] for entry in pair.server.status()["connections"]]
    assert f"{pair.network.client.ipv4}:{port}" in clients, "the last one is still known, so it can be ended"
    connection.close()


def test_a_line_for_people(direct: Network, tmp_path: Path) -> None:
    keys(tmp_path, "key")
    direct.server.run(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0"])
    server = Configured(
        direct.server, "server", tmp_path,
        {"guest": [{"name": "alice", "key_file": "key.dat"}], "count_bytes": False},
    )  # fmt: skip
    Configured(direct.client, "client", tmp_path, {"key_file": "key.dat"})
    echo_server(direct.server, 22)
    with connect(direct.client, direct.server.ipv4) as connection:
        port = connection.getsockname()[1]
        assert echoes(connection)
    line: Optional[str] = server.daemon.wait_for_line("connection ended", SOON).string
    assert re.search(
        rf"Z INFO connection ended client={direct.client.ipv4}:{port} guest=alice seconds=\d "
        rf"server={direct.server.ipv4}:22$", line or "")  # fmt: skip
    assert direct.server.run(["sysctl", "-n", "net.netfilter.nf_conntrack_acct"]).stdout == "0\n"
