"""Several guests of one server, each with a key, ports and networks of their own."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from harness import topologies
from harness.capture import Capture
from harness.daemons import keygen
from harness.echo import echo_server
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, counted, counters, equip, keep_kernel_quiet, peer
from harness.nonce_rewriter import rewrite_nonces
from harness.segments import send
from harness.settings import Configured, Settings, keys
from harness.topologies import Network
from harness.waiting import PATIENCE, eventually

PORTS = [22, 2222, 8022]
NAMES = ("alice", "bob", "carol", "dave")


class Party:
    """A server with guests, and each guest's own host with daemon and rules."""

    def __init__(self, hosts: Dict[str, Host], folder: Path) -> None:
        self.hosts, self.folder = hosts, folder
        self.keys = keys(folder, *NAMES)
        self.host = hosts["server"]
        echo_server(self.host, *PORTS)
        self.server = Configured(self.host, "server", folder, {"target_ports": PORTS, "guest": self.guests()})
        self.daemon = self.server.daemon
        for name in NAMES:
            equip(hosts[name], self.keys[name], PORTS)

    def guests(self) -> List[Settings]:
        """The guests as each test finds them."""
        alice = self.hosts["alice"]
        return [
            {"name": "alice", "key_file": "alice.dat", "ports": [22, 2222],
             "networks": [f"{alice.ipv4}/32", f"{alice.ipv6}/128"]},
            {"name": "bob", "key_file": "bob.dat", "ports": [8022]},
            {"name": "carol", "key_file": "carol.dat"},
            {"name": "dave", "key_file": "dave.dat", "enabled": False},
        ]  # fmt: skip

    def log(self, pattern: str) -> None:
        """Waits for a line since the test began."""
        self.daemon.wait_for_line(pattern, which="stderr", start=self.start)

    def begin(self) -> None:
        self.server.settings["guest"] = self.guests()
        self.server.reload()
        self.start = self.daemon.position

    def connect(self, name: str, port: int, family: int = 4) -> Any:
        connection = connect(self.hosts[name], self.host.address(family), port)
        assert echoes(connection)
        return connection

    def gets_in(self, name: str, port: int, family: int = 4) -> bool:
        return gets_in(self.hosts[name], self.host.address(family), port, timeout=0.3)

    def assert_refused(self, name: str, port: int, reason: str, guest: str, family: int = 4) -> None:
        """No answer, and a line in the log that says who and why."""
        start = self.daemon.position
        assert not self.gets_in(name, port, family)
        self.daemon.wait_for_line(
            f"WARNING refused: .*client=\\S*{self.hosts[name].address(family)}\\S* guest={guest} reason={reason}",
            start=start,
        )


@pytest.fixture(scope="module")
def one_party(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Party]:
    with topologies.switched("server", *NAMES) as hosts:
        yield Party(hosts, tmp_path_factory.mktemp("party"))


@pytest.fixture
def party(one_party: Party) -> Party:
    """One daemon for all tests, with the guests that it began with."""
    one_party.begin()
    return one_party


def assert_out(connection: Any, begin: float, within: float = 1.0) -> None:
    """The server ends the connection by a RST within so many seconds of `begin`, or PATIENCE times that."""
    within *= PATIENCE
    connection.settimeout(within + 5)
    with pytest.raises(ConnectionResetError):
        assert connection.recv(1) != b"", "closed, but not by a RST"
    assert time.monotonic() - begin < within


# --- who gets where -----------------------------------------------------------------------------------------------


def test_each_reaches_the_own_ports_and_no_other(party: Party) -> None:
    for family in FAMILIES:
        assert [port for port in PORTS if party.gets_in("alice", port, family)] == [22, 2222]
        assert [port for port in PORTS if party.gets_in("bob", port, family)] == [8022]
        assert [port for port in PORTS if party.gets_in("carol", port, family)] == PORTS
        assert [port for port in PORTS if party.gets_in("dave", port, family)] == []
        party.assert_refused("alice", 8022, "guest-at-other-port", "alice", family)
        party.assert_refused("bob", 22, "guest-at-other-port", "bob", family)
    log = "\n".join(party.daemon.lines("stderr", party.start))
    assert "guest=dave" not in log, "the key of a guest who is not enabled is not even looked at"
    assert counters(party.daemon)["syn-with-wrong-code"] >= 6
    for guest in ("alice", "bob", "carol"):
        assert f"INFO connection verified client={party.hosts[guest].ipv4}:" in log
        assert f"guest={guest} server={party.host.ipv4}:" in log


@pytest.mark.parametrize("family", FAMILIES)
def test_the_key_of_a_guest_from_another_network(party: Party, family: int) -> None:
    address = party.host.address(family)
    with peer(party.hosts["bob"], party.keys["alice"], address) as thief:
        thief.send_syn()
        assert thief.receive_synack(0.2) is None
    party.log(
        "WARNING refused: .*guest=alice reason=guest-from-other-network")
    assert party.gets_in("alice", 22, family)


def test_status_tells_guests_and_their_connections(party: Party) -> None:
    held = [party.connect("alice", 22), party.connect("bob", 8022, 6)]
    ports = [connection.getsockname()[1] for connection in held]

    def known() -> Any:
        status = party.server.status()
        # Those of earlier tests are there until the kernel forgets them.
        mine = {entry["guest"]: entry for entry in status["connections"] if int(entry["client"].split(":")[-1]) in ports}
        return (status, mine) if len(mine) == 2 else None

    status, connections = eventually(known, 3, "both connections")
    assert [guest["name"] for guest in status["guests"]] == ["alice", "bob", "carol"]
    scopes = {guest["name"]: guest["scope"] for guest in status["guests"]}
    assert scopes["alice"] == (
        f"ports 22, 2222, from {party.hosts['alice'].ipv4}/32, {party.hosts['alice'].ipv6}/128"
    )
    assert scopes["carol"] == "ports 22, 2222, 8022"
    assert connections["alice"]["client"] == f"{party.hosts['alice'].ipv4}:{ports[0]}"
    assert connections["bob"]["server"] == f"[{party.host.ipv6}]:8022"
    text = party.server.tool("status").stdout
    for line in ("guests:", "connections: ", f"{party.hosts['alice'].ipv4}:{ports[0]} > {party.host.ipv4}:22", "bob"):
        assert line in text


# --- who no longer does -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ("removed", "disabled"))
def test_a_revoked_guest_is_out_within_a_second(party: Party, way: str) -> None:
    mine = [party.connect("alice", 22), party.connect("alice", 2222, 6)]
    others = [party.connect("bob", 8022), party.connect("carol", 22, 6)]
    if way == "removed":
        party.server.settings["guest"] = party.server.settings["guest"][1:]
    else:
        party.server.guest("alice")["enabled"] = False
    begin = party.server.reload()
    for connection in mine:
        assert_out(connection, begin)
    assert all(map(echoes, others))
    for host, connection in zip((party.hosts["alice"].ipv4, party.hosts["alice"].ipv6), mine):
        port = connection.getsockname()[1]
        party.log(f"INFO connection ended .*client=\\S*{host}\\S*:{port} guest=alice reason=revoked")
    party.log("NOTICE connections closed .*reason=revoked")
    assert not party.gets_in("alice", 22)
    assert party.gets_in("bob", 8022)
    # And back again, without touching the others.
    if way == "removed":
        party.server.settings["guest"].insert(0, {"name": "alice", "key_file": "alice.dat"})
    else:
        party.server.guest("alice")["enabled"] = True
    party.server.reload()
    assert party.gets_in("alice", 22)
    assert all(map(echoes, others))


def test_nobody_slips_through_while_revoked(party: Party) -> None:
    # Handshakes are at every stage when the guest is taken out.
    address = party.host.ipv4
    held: List[Any] = []
    stop: List[bool] = []

    def keep_connecting() -> None:
        while not stop:
            try:
                held.append(connect(party.hosts["alice"], address, 22, timeout=0.2))
            except OSError:
                pass

    others = party.connect("bob", 8022)
    with ThreadPoolExecutor() as pool:
        threads = [pool.submit(keep_connecting) for _ in range(3)]
        try:
            eventually(lambda: len(held) > 30, 5, "some connections")
            party.server.guest("alice")["enabled"] = False
            party.server.reload()
        finally:
            stop.append(True)
        for thread in threads:
            thread.result()
    for connection in held:
        connection.settimeout(0.3)
        # By a RST, unless the client had not sent its third ACK, or nothing came of it: then there is no connection.
        try:
            assert connection.recv(1) == b"", "nothing is sent without being asked"
            raise AssertionError("closed, but not by a RST")
        except ConnectionResetError:
            pass
        except TimeoutError:
            assert not echoes(connection), "it is still served"
    assert echoes(others)

    def left() -> "list[Any]":
        return [entry for entry in party.server.status()["connections"] if entry["guest"] == "alice"]

    eventually(lambda: not left(), 3, "none of them to be in the status")
    assert party.host.run(["ss", "-Htn", "state", "established", f"dst {party.hosts['alice'].ipv4}"]).stdout == ""


def test_a_connection_ends_when_the_guest_expires(party: Party) -> None:
    end = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=4)
    party.server.guest("alice")["expires"] = end
    party.server.reload()
    mine, others = party.connect("alice", 22), party.connect("carol", 22)
    left = end.timestamp() - time.time()
    assert left > 0.5, "too slow to see it before its end"
    mine.settimeout(left - 0.2)
    with pytest.raises(TimeoutError):
        mine.recv(1)
    assert_out(mine, time.monotonic(), 2.0)
    assert time.time() >= end.timestamp()
    assert echoes(others)
    party.assert_refused("alice", 22, "guest-expired", "alice")
    party.log("connections closed .*reason=guest-expired")


@pytest.mark.parametrize(
    ("change", "reason"),
    (({"ports": [2222]}, "guest-at-other-port"), ({"networks": ["fd85:1::/64"]}, "guest-from-other-network")),
    ids=("ports", "networks"),
)
def test_a_guest_who_may_do_less(party: Party, change: Dict[str, Any], reason: str) -> None:
    going, staying = party.connect("alice", 22), party.connect("alice", 2222, 6)
    party.server.guest("alice").update(change)
    begin = party.server.reload()
    assert_out(going, begin)
    assert echoes(staying)
    party.log(f"connections closed .*reason={reason}")
    party.assert_refused("alice", 22, reason, "alice")
    assert party.gets_in("alice", 2222, 6)


def test_a_guest_with_another_key(party: Party, tmp_path: Path) -> None:
    mine, others = party.connect("alice", 22), party.connect("carol", 22)
    keygen(tmp_path / "alice.dat")
    party.server.guest("alice")["key_file"] = str(tmp_path / "alice.dat")
    begin = party.server.reload()
    assert_out(mine, begin)
    assert echoes(others)
    # Her daemon still has the old key; the new one is good at once.
    assert not party.gets_in("alice", 22)
    keep_kernel_quiet(party.hosts["alice"])
    with peer(party.hosts["alice"], str(tmp_path / "alice.dat"), party.host.ipv4) as alice:
        assert alice.handshake()
        assert alice.exchange(b"hello") == b"hello"


def test_the_same_guest_again_keeps_connections(party: Party) -> None:
    held = [party.connect("alice", 22), party.connect("bob", 8022), party.connect("carol", 22, 6)]
    for _ in range(3):
        party.server.reload()
    assert all(map(echoes, held))
    assert "connections closed" not in "\n".join(party.daemon.lines("stderr", party.start))


# --- who only knocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_guest_who_only_knocks(party: Party, family: int, tmp_path: Path) -> None:
    notes = tmp_path / "knocks"
    party.server.guest("dave").update(
        enabled=True, ports=[], on_admit=f'echo "$TCPKNOCK_EVENT $TCPKNOCK_GUEST $TCPKNOCK_CLIENT_ADDRESS" >>{notes}'
    )
    party.server.reload()
    dave, address = party.hosts["dave"], party.host.address(family)

    def knocks() -> int:
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    kind = "IP" if family == 4 else "IPv6"
    with Capture(party.host, tmp_path, f"host {dave.address(family)} and tcp") as capture:
        assert not gets_in(dave, address, 8022, timeout=0.3)
        eventually(lambda: knocks() == 1, 3, "the hook")
        syn = capture.wait_for(lambda packet: packet["TCP"].flags == "S")[kind]
        before = counters(party.daemon).get("syn-replayed", 0)
        send(dave, [syn] * 3)
        counted(party.daemon, "syn-replayed", before + 3)
        # What a replay would have run, would have been run before what the next knock runs.
        assert not gets_in(dave, address, 22, timeout=0.3)
        eventually(lambda: knocks() > 1, 3, "the hook")
        packets = capture.stop()
    answers = [packet for packet in packets if packet[kind].dst == dave.address(family)]
    assert [packet.summary() for packet in answers] == []
    assert notes.read_text() == f"knock dave {dave.address(family)}\n" * 2
    party.log("INFO knocked .*guest=dave")
    assert "only knocks" in party.server.tool("status").stdout


# --- more than all keys are tried for -----------------------------------------------------------------------------

COUNT = 20


class Crowd:
    """A server with twenty guests at an address each, so that one client can be all of them."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.names = [f"guest{number}" for number in range(COUNT)]
        keys(folder, *self.names)
        self.addresses = [f"10.83.2.{100 + number}" if number % 2 else f"fd83:2::{100 + number}"
                          for number in range(COUNT)]  # fmt: skip
        for address in self.addresses:
            ipv6 = ":" in address
            network.server.add_address("eth0", **{"ipv6" if ipv6 else "ipv4": f"{address}/{64 if ipv6 else 24}"})
        echo_server(network.server, 22)
        self.server = Configured(
            network.server, "server", folder,
            {"guest": [{"name": name, "key_file": f"{name}.dat"} for name in self.names]},
        )  # fmt: skip
        targets = [{"host": address, "key_file": f"{name}.dat"} for name, address in zip(self.names, self.addresses)]
        self.client = Configured(network.client, "client", folder, {"target": targets})

    def reach(self) -> "list[str]":
        """The guests who get in."""
        with ThreadPoolExecutor(COUNT) as pool:
            tries = [pool.submit(gets_in, self.network.client, address, timeout=0.8) for address in self.addresses]
            return [name for name, one in zip(self.names, tries) if one.result()]


def test_twenty_guests(routed: Network, tmp_path: Path) -> None:
    crowd = Crowd(routed, tmp_path)
    assert crowd.reach() == crowd.names
    for name in crowd.names:
        crowd.server.daemon.wait_for_line(f"connection verified .*guest={name} ")
    # Without the hint nobody is found, unless all keys are tried.
    crowd.client.settings["no_hint"] = True
    crowd.client.reload()
    assert crowd.reach() == []
    crowd.server.settings["guest_search"] = "all"
    crowd.server.reload()
    assert crowd.reach() == crowd.names
    # A box that makes hints meaningless is the same; the proof of the server is on SYN/ACKs, which it leaves alone.
    del crowd.client.settings["no_hint"]
    crowd.client.reload()
    with ExitStack() as stack:
        assert routed.router
        stack.enter_context(rewrite_nonces(routed.router, "-p tcp --dport 22 --tcp-flags SYN,ACK SYN"))
        assert crowd.reach() == crowd.names
        crowd.server.settings["guest_search"] = "auto"
        crowd.server.reload()
        assert crowd.reach() == []
