"""The commands that the server's daemon runs: what they are told, and that whatever they do delays no verdict."""

import os
import statistics
import time
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from harness import topologies
from harness.echo import echo, echo_server
from harness.inside import connect, echoes
from harness.knock import FAMILIES, WRONG, counted, counters, equip, keep_kernel_quiet, peer
from harness.settings import Configured, Settings, keys
from harness.topologies import Network
from harness.waiting import eventually

# Its own environment as it was when it began, in one file for each event; a file that is there is whole.
NOTE = 'cp /proc/$$/environ {0}/new.$$ && mv {0}/new.$$ {0}/{1}-$TCPKNOCK_EVENT.$TCPKNOCK_CLIENT_PORT.$$'


class Place:
    """A server and a client, and a folder in which hooks leave notes."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.key = keys(folder, "key")["key"]
        self.notes = folder / "notes"
        self.server = Configured(network.server, "server", folder, self.settings())
        equip(network.client, self.key)
        keep_kernel_quiet(network.client)
        echo_server(network.server, 22)

    def settings(self) -> Settings:
        guests = [{"name": "alice", "key_file": "key.dat"}]
        return {"kernel_filter": "off", "hook_seconds": 1, "hook_limit": 4, "lockout_seconds": 1, "guest": guests}

    def begin(self, notes: Path) -> None:
        self.notes = notes
        self.use()

    def use(self, guest: Settings = {}, **common: object) -> None:
        """Has the daemon run these hooks."""
        self.server.settings = {**self.settings(), **common}
        self.server.settings["guest"][0].update(guest)
        self.server.reload()
        self.start = self.server.daemon.position

    def note(self, who: str = "any") -> str:
        return NOTE.format(self.notes, who)

    def noted(self, name: str, timeout: float = 3.0) -> Dict[str, str]:
        """The environment in the one note for an event."""

        def found() -> List[Path]:
            return [path for path in self.notes.iterdir() if path.name.startswith(f"{name}.")]

        [path] = eventually(found, timeout, f"a note {name} in {os.listdir(self.notes)}")
        environment = dict(entry.split("=", 1) for entry in path.read_text().split("\0") if entry)
        path.unlink()
        return environment

    def connect(self, family: int = 4) -> "tuple[str, str]":
        """A connection that is over at once; its port, and when it was at the latest."""
        with connect(self.network.client, self.network.server.address(family)) as connection:
            assert echoes(connection)
            return str(connection.getsockname()[1]), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def ends(self, family: int, port: str) -> Dict[str, str]:
        """What all hooks are told of a connection's ends."""
        return {
            "TCPKNOCK_CLIENT_ADDRESS": self.network.client.address(family), "TCPKNOCK_CLIENT_PORT": port,
            "TCPKNOCK_SERVER_ADDRESS": self.network.server.address(family), "TCPKNOCK_SERVER_PORT": "22",
            "TCPKNOCK_FAMILY": str(family),
        }  # fmt: skip

    def log(self, pattern: str) -> None:
        self.server.daemon.wait_for_line(pattern, which="stderr", start=self.start)


@pytest.fixture(scope="module")
def one_place(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with topologies.direct() as network:
        yield Place(network, tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(one_place: Place, tmp_path: Path) -> Place:
    one_place.begin(tmp_path)
    return one_place


# --- what they are told -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_environment_of_on_admit(place: Place, family: int) -> None:
    place.use(on_admit=place.note())
    port, latest = place.connect(family)
    environment = place.noted("any-admit")
    assert environment.pop("TCPKNOCK_TIME") <= latest
    assert environment.pop("PATH")
    assert environment == {
        **place.ends(family, port), "TCPKNOCK_EVENT": "admit", "TCPKNOCK_GUEST": "alice",
        "TCPKNOCK_REASON": "acknowledgment-verified",
    }  # fmt: skip


def test_the_environment_of_on_close(place: Place) -> None:
    place.use(on_close=place.note())
    with connect(place.network.client, place.network.server.ipv4) as connection:
        port = str(connection.getsockname()[1])
        assert echoes(connection, os.urandom(50_000))
    # Those of earlier connections may come too.
    environment = place.noted(f"any-close.{port}", timeout=8)
    assert environment.pop("TCPKNOCK_TIME") and environment.pop("PATH")
    assert int(environment.pop("TCPKNOCK_SECONDS")) < 8
    for name in ("TCPKNOCK_BYTES_RECEIVED", "TCPKNOCK_BYTES_SENT"):
        assert 50_000 < int(environment.pop(name)) < 75_000
    assert environment == {**place.ends(4, port), "TCPKNOCK_EVENT": "close", "TCPKNOCK_GUEST": "alice"}


def test_on_close_of_who_is_revoked(place: Place) -> None:
    place.use({"on_close": place.note()})
    connection = connect(place.network.client, place.network.server.ipv6)
    assert echoes(connection)
    # The hook is that of a guest who is one no longer.
    place.server.settings["guest"] = [{"name": "bob", "key_file": "bob.dat"}]
    keys(place.notes, "bob")
    place.server.settings["guest"][0]["key_file"] = str(place.notes / "bob.dat")
    place.server.reload()
    environment = place.noted(f"any-close.{connection.getsockname()[1]}")
    assert (environment["TCPKNOCK_GUEST"], environment["TCPKNOCK_REASON"]) == ("alice", "revoked")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_environment_of_on_lockout(place: Place, family: int) -> None:
    place.use(on_lockout=place.note())
    with peer(place.network.client, place.key, place.network.server.address(family)) as client:
        client.send_syn()
        assert client.receive_synack()
        client.send_ack(ack=client.rcv_nxt ^ WRONG)
        environment = place.noted("any-lockout")
    assert environment.pop("TCPKNOCK_TIME") and environment.pop("PATH")
    assert environment == {
        **place.ends(family, str(client.source_port)), "TCPKNOCK_EVENT": "lockout", "TCPKNOCK_GUEST": "alice",
        "TCPKNOCK_REASON": "wrong-acknowledgment", "TCPKNOCK_SECONDS": "1",
    }  # fmt: skip
    place.server.tool("unlock", place.network.client.address(family), check=False)


def test_on_lockout_after_wrong_codes(place: Place) -> None:
    place.use({"on_lockout": place.note("alice")}, on_lockout=place.note(), lockout_after_wrong_codes=1)
    with peer(place.network.client, place.key, place.network.server.ipv4, source="10.81.1.70") as stranger:
        stranger.send_syn(code=0x1234)
        environment = place.noted("any-lockout")
    assert environment["TCPKNOCK_REASON"] == "too-many-wrong-codes"
    assert environment["TCPKNOCK_CLIENT_ADDRESS"] == "10.81.1.70"
    assert "TCPKNOCK_GUEST" not in environment, "nobody knows whose it was"


def test_the_guests_own_hook_goes_before_the_common_one(place: Place) -> None:
    place.use({"on_admit": place.note("own")}, on_admit=place.note("common"))
    place.connect()
    place.noted("own-admit")
    place.use(on_admit=place.note("common"))
    place.connect()
    place.noted("common-admit")
    assert os.listdir(place.notes) == []


def test_nothing_hostile_reaches_a_shell(place: Place) -> None:
    # All that a name may have in it. (Names with spaces are refused; nothing else that hooks are told is text.)
    name = "$(touch${IFS}pwned)`touch${IFS}pwned`;touch${IFS}pwned;'\"\\&|x=%n"
    place.use({"name": name}, on_admit=f"cd {place.notes}; echo $TCPKNOCK_GUEST; {place.note()}")
    place.connect()
    assert place.noted("any-admit")["TCPKNOCK_GUEST"] == name
    assert os.listdir(place.notes) == []
    assert not Path("/pwned").exists()


# --- what they do -------------------------------------------------------------------------------------------------


def test_one_that_fails_is_in_the_log(place: Place) -> None:
    place.use(on_admit="echo this went wrong >&2; echo and more >&2; exit 3")
    place.connect()
    place.log(r'WARNING hook ended with status 3 guest=alice hook=admit program=/bin/sh stderr="this went wrong"')
    place.use(on_admit=["/nonexistent/program"])
    place.connect()
    place.log("WARNING hook could not be started: .* guest=alice hook=admit program=/nonexistent/program")
    place.use(on_admit="kill -9 $$")
    place.connect()
    place.log("WARNING hook was ended by signal 9")


def test_one_that_hangs_is_ended(place: Place) -> None:
    place.use(on_admit=f"trap '' TERM; echo $$ >{place.notes}/pid; while :; do sleep 1; done")
    begin = time.monotonic()
    place.connect()
    process = int(eventually(lambda: (place.notes / "pid").exists() and (place.notes / "pid").read_text() or "", 3, "its id"))
    assert echo(place.network.client, place.network.server.ipv4, 22, connections=5).failures == []
    place.log("WARNING hook was ended since it took longer than 1 s .*hook=admit")
    assert time.monotonic() - begin < 8
    eventually(lambda: not os.path.exists(f"/proc/{process}"), 3, "it to be gone")


def latencies(place: Place, count: int) -> List[float]:
    found = []
    for _ in range(count):
        begin = time.monotonic()
        connect(place.network.client, place.network.server.ipv4, timeout=0.9).close()
        found.append(time.monotonic() - begin)
    return found


def test_a_thousand_at_once_delay_nothing(place: Place) -> None:
    before = counters(place.server.daemon).get("acknowledgment-verified", 0)
    latencies(place, 20)
    without = latencies(place, 200)
    place.use(on_admit=["/bin/sleep", "60"])
    # None fails: each of them within less than what a lost SYN would cost.
    during = latencies(place, 1000)
    counted(place.server.daemon, "acknowledgment-verified", before + 1220)
    ratio = statistics.median(during) / statistics.median(without)
    assert ratio < 3, f"{statistics.median(during)} s instead of {statistics.median(without)} s"
    place.log("WARNING hooks not run: too many are waiting count=[1-9]")
    running = place.network.server.run(["pgrep", "-c", "-P", str(place.server.daemon.pid), "-x", "sleep"], check=False)
    assert 0 <= int(running.stdout) <= 4, "no more than hook_limit"
    # Told to end, the daemon forgets what waits and ends what runs.
    begin = time.monotonic()
    assert place.server.daemon.stop(timeout=5) == 0
    assert time.monotonic() - begin < 4
    assert "hooks not run: the daemon ends" in place.server.daemon.output
    place.server.start()
