"""The daemons' beginning and end: what they say, whom they tell, and what becomes of connections."""

import json
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from harness.daemons import program, start_client, start_server
from harness.echo import echo_server
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in, inside
from harness.knock import FAMILIES, WRONG, assert_nobody_locked_out, equip, keep_kernel_quiet, peer, protect
from harness.processes import Program
from harness.queues import queue_counters
from harness.roles import QUEUE, START, roles
from harness.topologies import Network



# --- connections --------------------------------------------------------------------------------------------------


def test_the_server_daemon_is_killed(direct: Network, key_file: str) -> None:
    daemon = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    for family in FAMILIES:
        address = direct.server.address(family)
        established = connect(direct.client, address)
        assert echoes(established)
        daemon.kill()
        assert echoes(established), "established connections go on"
        assert not gets_in(direct.client, address, timeout=0.5), "new ones get nothing"
        assert echoes(established)
        daemon = start_server(direct.server, key_file)
        assert gets_in(direct.client, address), "after the restart they work"
        assert echoes(established)
        assert_nobody_locked_out(daemon)


def test_the_client_daemon_is_killed(two_clients: Network, key_file: str) -> None:
    assert two_clients.other
    server = protect(two_clients.server, key_file)
    daemon = equip(two_clients.client, key_file)
    echo_server(two_clients.server, 22)
    echo_server(two_clients.other, 22)
    for family in FAMILIES:
        address = two_clients.server.address(family)
        established = connect(two_clients.client, address)
        assert echoes(established)
        daemon.kill()
        assert echoes(established), "established connections go on"
        assert not gets_in(two_clients.client, address, timeout=0.5), "new ones get nothing"
        assert gets_in(two_clients.client, two_clients.other.address(family)), "but where nothing is protected"
        daemon = start_client(two_clients.client, key_file)
        assert gets_in(two_clients.client, address), "after the restart they work"
        assert echoes(established)
    assert_nobody_locked_out(server)


def test_a_connection_waits_for_the_server_daemon(direct: Network, key_file: str) -> None:
    # The kernel repeats a SYN that nobody answered, so a short restart costs a moment only.
    protect(direct.server, key_file).kill()
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    assert not gets_in(direct.client, direct.server.ipv4, timeout=0.2)
    with inside(direct.client):
        waiting = socket.socket()
    waiting.setblocking(False)
    assert waiting.connect_ex((direct.server.ipv4, 22)) != 0
    start_server(direct.server, key_file)
    assert select.select([], [waiting], [], 5)[1]
    assert waiting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    waiting.settimeout(5)
    assert echoes(waiting)


# --- what they say ------------------------------------------------------------------------------------------------


@roles
def test_standard_output_says_ready_and_nothing_else(host: Host, role: str, key_file: str) -> None:
    daemon = START[role](host, key_file)
    assert QUEUE[role] in queue_counters(host), "the queue is bound when it says so"
    daemon.wait_for_line("NOTICE ready .*key=([0-9a-f]{4}-){7}[0-9a-f]{4} .*ports=22 .*queue=", which="stderr")
    assert daemon.stop() == 0
    assert daemon.lines("stdout") == ["ready"]


@roles
@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT), ids=lambda number: number.name)
def test_ends_in_good_order(host: Host, role: str, number: signal.Signals, key_file: str) -> None:
    daemon = START[role](host, key_file)
    begin = time.monotonic()
    daemon.send_signal(number)
    assert daemon.wait(2) == 0
    assert time.monotonic() - begin < 1.0
    assert "NOTICE stopped" in daemon.lines("stderr")[-1]
    assert "NOTICE packets by reason" in daemon.lines("stderr")[-2]
    assert QUEUE[role] not in queue_counters(host)


@roles
def test_goes_on_after_a_hangup(host: Host, role: str, key_file: str) -> None:
    daemon = START[role](host, key_file)
    daemon.send_signal(signal.SIGHUP)
    daemon.wait_for_line("NOTICE configuration read again")
    assert QUEUE[role] in queue_counters(host)
    assert daemon.stop() == 0


@roles
@pytest.mark.parametrize("kind", ("path", "abstract"))
def test_tells_the_service_manager(host: Host, role: str, kind: str, key_file: str, tmp_path: Path) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"\0tcpknock-test-{tmp_path.name}"
    with inside(host), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(5)
        daemon = host.popen(
            [program(f"tcpknock-{role}"), "--key-file", key_file],
            env={"NOTIFY_SOCKET": name.replace("\0", "@")},
        )
        assert b"READY=1" in manager.recv(4096).split(b"\n")
        assert QUEUE[role] in queue_counters(host), "the queue is bound when it says so"
        daemon.send_signal(signal.SIGTERM)
        assert b"STOPPING=1" in manager.recv(4096).split(b"\n")
        assert daemon.wait(2) == 0


@roles
def test_a_service_manager_that_is_not_there_is_no_matter(host: Host, role: str, key_file: str, tmp_path: Path) -> None:
    daemon = host.popen(
        [program(f"tcpknock-{role}"), "--key-file", key_file], env={"NOTIFY_SOCKET": str(tmp_path / "nobody")}
    )
    daemon.wait_for_line("^ready$", which="stdout")
    assert daemon.stop() == 0


def test_each_line_of_a_json_log_is_an_object(two_clients: Network, key_file: str) -> None:
    server = protect(two_clients.server, key_file, log_format="json", log_level="debug")
    assert two_clients.other
    client = equip(
        two_clients.client, key_file, log_format="json", log_level="debug", servers=[two_clients.other.ipv4]
    )
    echo_server(two_clients.server, 22)
    echo_server(two_clients.other, 22)
    keep_kernel_quiet(two_clients.client)
    # A connection, a server without proof, a wrong code and a lockout, of both families where it matters.
    for family in FAMILIES:
        assert gets_in(two_clients.client, two_clients.server.address(family))
    assert not gets_in(two_clients.client, two_clients.other.ipv4, timeout=0.3)
    with peer(two_clients.client, key_file, two_clients.server.ipv6) as wrong:
        wrong.send_syn(code=1)
        wait_for_message(server, "dropped")
        wrong.send_syn()
        assert wrong.receive_synack()
        wrong.send_ack(ack=wrong.rcv_nxt ^ WRONG)
        wait_for_message(server, "connections closed")
    client.wait_for_line("SYN/ACK dropped")
    for daemon in (server, client):
        assert daemon.stop() == 0
        entries = [json.loads(line) for line in daemon.lines("stderr")]
        assert len(entries) >= 4
        for entry in entries:
            assert entry["level"] in ("debug", "info", "notice", "warning", "error")
            assert entry["message"] and all(isinstance(value, str) for value in entry.values())
            time.strptime(entry["time"][:19] + entry["time"][23:], "%Y-%m-%dT%H:%M:%SZ")
        assert [entry["message"] for entry in entries][-1] == "stopped"
    messages = " ".join(json.loads(line)["message"] for line in server.lines("stderr"))
    for part in ("ready", "handshake begun", "connection verified", "dropped", "locked out", "connections closed"):
        assert part in messages


def wait_for_message(daemon: Program, message: str) -> None:
    daemon.wait_for_line(f'"message":"{message}', which="stderr")


@roles
def test_the_log_level_holds_back(host: Host, role: str, key_file: str) -> None:
    daemon = START[role](host, key_file, log_level="error")
    daemon.send_signal(signal.SIGUSR1)
    assert daemon.stop() == 0
    assert daemon.lines("stderr") == []


@roles
def test_two_daemons_of_one_host_on_two_queues(host: Host, role: str, key_file: str, tmp_path: Path) -> None:
    daemons: "list[Any]" = [
        START[role](host, key_file, queue_num=number, more=["--control-socket", str(tmp_path / f"{number}.sock")])
        for number in (0, 65_535)
    ]
    assert set(queue_counters(host)) == {0, 65_535}
    assert [daemon.stop() for daemon in daemons] == [0, 0]
