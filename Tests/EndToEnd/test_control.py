"""The control socket and the tool that asks on it: who may, what it answers, and that it disturbs nothing."""

import json
import os
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, List

import pytest

from harness import topologies
from harness.daemons import control_socket, program, tool
from harness.daemons import status as status_of
from harness.echo import echo, echo_server
from harness.hosts import Host
from harness.inside import connect, echoes
from harness.knock import WRONG, keep_kernel_quiet, peer, protect
from harness.processes import Program
from harness.roles import START, roles
from harness.settings import Configured, keys
from harness.topologies import Network
from harness.waiting import eventually



class Pair:
    """A server and a client, and an echo service behind the knock."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.key = keys(folder, "key")["key"]
        self.daemons = {
            "server": Configured(network.server, "server", folder, {
                "guest": [{"name": "alice", "key_file": "key.dat"}], "lockout_seconds": 60,
                "metrics_file": str(folder / "server.prom"),
            }),
            "client": Configured(network.client, "client", folder, {
                "key_file": "key.dat", "metrics_file": str(folder / "client.prom"),
            }),
        }  # fmt: skip
        self.server, self.client = self.daemons["server"], self.daemons["client"]
        keep_kernel_quiet(network.client)
        echo_server(network.server, 22)

    def connect(self, family: int = 4) -> socket.socket:
        return connect(self.network.client, self.network.server.address(family))

    def get_locked_out(self) -> None:
        """From an address that nothing else uses."""
        with peer(self.network.client, self.key, self.network.server.ipv4, source="10.81.1.77") as stranger:
            stranger.send_syn()
            assert stranger.receive_synack()
            stranger.send_ack(ack=stranger.rcv_nxt ^ WRONG)
            self.server.daemon.wait_for_line("WARNING locked out: .*10.81.1.77")


@pytest.fixture(scope="module")
def pair(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with topologies.direct() as network:
        yield Pair(network, tmp_path_factory.mktemp("pair"))


# --- the socket ---------------------------------------------------------------------------------------------------


@roles
def test_the_socket_is_there_while_the_daemon_is(host: Host, role: str, key_file: str) -> None:
    path = control_socket(host, role)
    daemon = START[role](host, key_file)
    status = os.lstat(path)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert daemon.stop() == 0
    assert not os.path.lexists(path)


@roles
def test_a_stale_socket_is_replaced(host: Host, role: str, key_file: str) -> None:
    START[role](host, key_file).kill()
    assert os.path.lexists(control_socket(host, role)), "kill -9 leaves it behind"
    result = tool(host, role, "status", check=False)
    assert result.returncode == os.EX_UNAVAILABLE and "no daemon answers there" in result.stderr
    with START[role](host, key_file):
        assert status_of(host, role)["program"] == f"tcpknock-{role}"


@roles
def test_a_socket_in_use_is_not_taken(host: Host, role: str, key_file: str) -> None:
    START[role](host, key_file)
    second = host.popen([program(f"tcpknock-{role}"), "--key-file", key_file, "--queue-num", "7",
                         "--control-socket", control_socket(host, role)])  # fmt: skip
    assert second.wait(5) == os.EX_CANTCREAT
    assert f"control socket {control_socket(host, role)}: another daemon answers on it" in second.output
    assert status_of(host, role)["program"] == f"tcpknock-{role}"


def test_what_is_no_socket_is_not_removed(host: Host, key_file: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    daemon = host.popen([program("tcpknock-server"), "--state-dir", "", "--key-file", key_file,
                         "--control-socket", str(tmp_path / "precious")])  # fmt: skip
    assert daemon.wait(5) == os.EX_CANTCREAT
    assert str(tmp_path / "precious") in daemon.output
    assert (tmp_path / "precious").read_text() == "data"


def test_other_users_are_refused(pair: Pair) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    os.chmod(os.path.dirname(pair.server.socket_path), 0o755)
    result = pair.network.server.run(
        # The tool is where others may not look, so the shell opens it while it still may.
        ["sh", "-c", 'exec 3<"$1"; shift; exec "$@"', "sh", program("tcpknock"), *as_nobody,
         "/proc/self/fd/3", "status", "--socket", pair.server.socket_path],
        check=False,
    )  # fmt: skip
    assert result.returncode == os.EX_NOPERM, result
    assert "only root and the daemon's own user may ask" in result.stderr
    # A socket whose mode somebody has changed does not help either.
    os.chmod(pair.server.socket_path, 0o666)
    try:
        ask = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); "
               "s.sendall(b'text status\\n'); print(s.recv(100))")  # fmt: skip
        said = pair.network.server.run([*as_nobody, "/usr/bin/python3", "-c", ask, pair.server.socket_path], check=False)
        assert "b'ok" not in said.stdout
        pair.server.daemon.wait_for_line("WARNING control socket: a user who may not ask was turned away")
    finally:
        os.chmod(pair.server.socket_path, 0o600)


# --- questions and answers ----------------------------------------------------------------------------------------


@roles
def test_status(pair: Pair, role: str) -> None:
    with pair.connect() as connection:
        assert echoes(connection)
        daemon = pair.daemons[role]
        status = eventually(lambda: (now := daemon.status())["connections"] and now, 3, "the connection")
        assert status["program"] == f"tcpknock-{role}" and status["version"]
        assert status["queues"][0]["number"] == (100 if role == "server" else 200)
        assert status["queues"][0]["packets"] > 0
        assert status["packets"]["acknowledgment-verified" if role == "server" else "syn-ack-proven"] > 0
        assert (status["lockedOut"] is None) == (role == "client")
        text = daemon.tool("status").stdout
        first = "PROTECTED: port 22\n" if role == "server" else "tcpknock-client "
        assert text.startswith(first), "what people read first"
        port = connection.getsockname()[1]
        for part in (f"tcpknock-{role} ", "queue ", "handshakes remembered: ", "connections: ",
                     f"{pair.network.client.ipv4}:{port} > {pair.network.server.ipv4}:22", "packets by reason:"):  # fmt: skip
            assert part in text


def test_locks_and_unlock(pair: Pair) -> None:
    server = pair.server
    assert server.tool("locks").stdout == "nobody is locked out\n"
    assert json.loads(server.tool("locks", "--json").stdout) == []
    pair.get_locked_out()
    assert "10.81.1.77" in server.tool("locks").stdout
    [lock] = json.loads(server.tool("locks", "--json").stdout)
    assert lock["address"] == "10.81.1.77" and lock["reason"] == "wrong-acknowledgment"
    assert 0 < lock["secondsLeft"] <= 60
    assert server.tool("unlock", "10.81.1.77").stdout == "10.81.1.77 is let in again\n"
    assert server.tool("locks").stdout == "nobody is locked out\n"
    pair.get_locked_out()
    answer = json.loads(server.tool("unlock", "10.81.1.77", "--json").stdout)
    assert answer == {"address": "10.81.1.77", "message": "10.81.1.77 is let in again"}
    again = server.tool("unlock", "10.81.1.77", check=False)
    assert (again.returncode, again.stdout) == (65, "") and "10.81.1.77 is not locked out" in again.stderr


def test_what_the_client_cannot_do(pair: Pair) -> None:
    for arguments in (["locks"], ["unlock", "192.0.2.1"]):
        result = pair.client.tool(*arguments, check=False)
        assert result.returncode == os.EX_USAGE and "only the server locks anybody out" in result.stderr


@roles
def test_reload_says_what_it_did(pair: Pair, role: str) -> None:
    said = pair.daemons[role].tool("reload").stdout
    assert said.startswith(f"{pair.daemons[role].socket_path}: configuration read again: ")
    answer = json.loads(pair.daemons[role].tool("reload", "--json").stdout)
    assert answer["socket"] == pair.daemons[role].socket_path
    assert answer["message"].startswith("configuration read again: ")


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    (
        (["status", "--server", "--client"], 64, "--server and --client cannot go together"),
        (["status", "--socket", "/x", "--server"], 64, "--socket names the daemon already"),
        (["status", "--socket", "/nonexistent/x"], 69, "no daemon answers there; is it running?"),
        (["status", "--socket", "/" + "x" * 200], 69, "socket path"),
        (["unlock", "somebody"], 64, "somebody"),
        (["unlock"], 64, "address"),
        (["wach"], 64, "wach"),
        (["reasons", "no-such-reason"], 64, "no-such-reason"),
    ),
)
def test_wrong_questions_get_useful_answers(host: Host, arguments: List[str], status: int, part: str) -> None:
    result = host.run([program("tcpknock"), *arguments], check=False)
    assert (result.returncode, result.stdout) == (status, "")
    assert part in result.stderr


# --- watching -----------------------------------------------------------------------------------------------------


def watching(pair: Pair, role: str, *arguments: str) -> Program:
    """`tcpknock watch`, which sees what happens from now on."""
    daemon = pair.daemons[role]
    command = [program("tcpknock"), "watch", *arguments, "--socket", daemon.socket_path]
    watcher = daemon.host.popen(command)

    def sees() -> bool:
        with pair.connect() as connection:
            assert echoes(connection)
        return bool(watcher.lines("stdout"))

    eventually(sees, 5, "the first line")
    return watcher


@pytest.mark.parametrize("form", ("text", "json"))
@pytest.mark.parametrize(
    ("role", "stages"),
    (
        ("server", ["syn-accepted", "syn-ack-masked", "acknowledgment-verified"]),
        ("client", ["syn-coded", "syn-ack-proven"]),
    ),
)
def test_watch_shows_each_stage(pair: Pair, role: str, stages: List[str], form: str) -> None:
    with watching(pair, role, *(["--json"] if form == "json" else [])) as watcher, pair.connect(6) as connection:
        assert echoes(connection)
        port = f":{connection.getsockname()[1]}"
        last = f"{port}.*{stages[-1]}"
        watcher.wait_for_line(last, 5, "stdout")
        lines = [line for line in watcher.lines("stdout") if port in line]
        if form == "json":
            entries = [json.loads(line) for line in lines]
            assert [entry["reason"] for entry in entries][: len(stages)] == stages
            for entry in entries:
                assert entry["client"].endswith(port) and entry["server"].endswith(":22")
                assert entry["name"] == ("alice" if role == "server" else "any")
                assert entry["explanation"] and entry["time"]
        else:
            assert [stage for line in lines for stage in stages if f" {stage} " in line] == stages


def test_watch_shows_what_is_dropped(pair: Pair) -> None:
    with watching(pair, "server", "--json") as watcher:
        with peer(pair.network.client, pair.key, pair.network.server.ipv4, source="10.81.1.78") as stranger:
            stranger.send_syn(code=0x1234)
        line = watcher.wait_for_line("10.81.1.78.*syn-with-wrong-code", 5, "stdout").string
        assert json.loads(line)["name"] is None


def test_watch_ends_with_the_daemon(direct: Network, key_file: str) -> None:
    daemon = protect(direct.server, key_file)
    watcher = direct.server.popen([program("tcpknock"), "watch", "--socket", control_socket(direct.server, "server")])
    with peer(direct.client, key_file, direct.server.ipv4) as stranger:

        def sees() -> bool:
            stranger.send_syn(code=0x1234)
            return bool(watcher.lines("stdout"))

        eventually(sees, 5, "the first line")
    assert daemon.stop() == 0
    assert watcher.wait(3) == os.EX_UNAVAILABLE
    assert "the daemon has ended" in watcher.output


def test_more_than_eight_watch_no_longer(pair: Pair) -> None:
    watchers = []
    try:
        for _ in range(8):
            watchers.append(pair.server.connect())
            watchers[-1].sendall(b"json watch\n")
            assert watchers[-1].recv(3) == b"ok\n"
        assert pair.server.ask(b"json watch\n").startswith(b"error 75\ntoo many watch already")
        with pair.connect() as connection:
            assert echoes(connection)
        for watcher in watchers:
            assert b"syn-accepted" in watcher.recv(1 << 16)
    finally:
        for watcher in watchers:
            watcher.close()
    # Their places are free again.
    eventually(lambda: can_watch(pair), 5, "a place to watch from")


def can_watch(pair: Pair) -> bool:
    with pair.server.connect() as connection:
        connection.sendall(b"text watch\n")
        return connection.recv(2) == b"ok"


# --- people who mean no good, or do not know better ---------------------------------------------------------------


GARBAGE = (
    b"\n", b"\0\n", b"status\n", b"text\n", b"text  \n", b"xml status\n", b"text status now\n", b"text unlock\n",
    b"text unlock 300.1.1.1\n", b"text unlock ::1%lo\n", b"text unlock 192.0.2.1 192.0.2.2\n", b"\xff\xfe\xfd\n",
    b"text status" + b" " * 300 + b"\n", b"x" * 100_000, b"text stat\xc3us\n", b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip


def test_garbage_is_refused(pair: Pair) -> None:
    for line in GARBAGE:
        try:
            answer = pair.server.ask(line)
        except (BrokenPipeError, ConnectionResetError):
            continue  # Too long, so that it was not read to its end.
        assert answer == b"error 76\nthis daemon does not know the request\n", line
    assert pair.server.status()["program"] == "tcpknock-server"


def test_half_requests_and_slow_readers_disturb_nobody(pair: Pair) -> None:
    address = pair.network.server.ipv4
    before = echo(pair.network.client, address, 22, connections=20)
    assert before.failures == []
    idle = []
    try:
        # All places taken by those who say nothing, or read nothing; more of them in line.
        for number in range(12):
            connection = pair.server.connect()
            connection.setblocking(False)
            try:
                connection.sendall((b"", b"text sta", b"json status\n")[number % 3])
            except BlockingIOError:
                pass
            idle.append(connection)
        watcher = pair.server.connect()
        watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        idle.append(watcher)
        begin = time.monotonic()
        result = echo(pair.network.client, address, 22, connections=100, timeout=0.9)
        assert result.failures == []
        assert time.monotonic() - begin < 20
        # Each of them has five seconds; then it is somebody else's turn.
        assert pair.server.status()["program"] == "tcpknock-server"
    finally:
        for connection in idle:
            connection.close()


def test_who_watches_and_does_not_read(pair: Pair) -> None:
    with pair.server.connect() as sleeper, watching(pair, "server", "--json") as awake:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sleeper.sendall(b"json watch\n")
        sent = 0

        def wrong_codes() -> bool:
            nonlocal sent
            with peer(pair.network.client, pair.key, pair.network.server.ipv4, source="10.81.1.79") as stranger:
                for number in range(1000):
                    stranger.send_syn(isn=number, code=1 + number)
            sent += 1000
            return sent >= 4000

        eventually(wrong_codes, 20, "more than a socket holds")
        result = echo(pair.network.client, pair.network.server.ipv4, 22, connections=20, timeout=0.9)
        assert result.failures == []
        # Who reads sees what comes; who begins to read again is told that something is missing.
        with pair.connect() as connection:
            awake.wait_for_line(f":{connection.getsockname()[1]}.*acknowledgment-verified", 5, "stdout")
        received = bytearray()

        def told() -> bool:
            received.extend(sleeper.recv(1 << 20))
            with pair.connect():
                pass
            return b'{"missed":' in received

        eventually(told, 5, "a line about what is missing")
        whole = bytes(received).partition(b"\n")[2].rpartition(b"\n")[0].splitlines()
        for line in whole:
            json.loads(line)


def test_many_ask_at_once(pair: Pair) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(pair.server.ask, b"json status\n") for _ in range(200)]
        result = echo(pair.network.client, pair.network.server.ipv4, 22, connections=30, timeout=0.9)
        assert result.failures == []
        for answer in answers:
            first, _, rest = answer.result().partition(b"\n")
            assert first == b"ok" and json.loads(rest)["program"] == "tcpknock-server"


# --- metrics ------------------------------------------------------------------------------------------------------


@roles
def test_the_metrics_file(pair: Pair, role: str) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    path = pair.folder / f"{role}.prom"
    text = eventually(lambda: path.exists() and path.read_text(), 3, "the metrics file")
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert {"tcpknock_packets", "tcpknock_connections", "tcpknock_uptime_seconds", "tcpknock_info"} <= set(families)
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o444 == 0o444, "who collects it is somebody else"
    assert [entry for entry in os.listdir(pair.folder) if role in entry and "prom" in entry] == [f"{role}.prom"]


@roles
def test_the_metrics_file_goes_with_the_daemon(host: Host, role: str, key_file: str, tmp_path: Path) -> None:
    path = tmp_path / "m.prom"
    daemon = START[role](host, key_file, more=["--metrics-file", str(path)])
    eventually(path.exists, 3, "the metrics file")
    assert daemon.stop() == 0
    assert os.listdir(tmp_path) == []
