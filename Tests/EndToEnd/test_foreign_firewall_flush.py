"""Another program flushes the tables: the daemon, or the guard alone, says so and puts the rules back; `down` is obeyed."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from harness.daemons import program, start_server, tool
from harness.echo import HeldConnection, echo_server
from harness.firewall import BACKENDS, firewall, script
from harness.hosts import Host
from harness.knock import FAMILIES, WITHOUT_FILTER, equip, protect, put_rules
from harness.processes import Program
from harness.topologies import Network
from harness.waiting import eventually

FLUSHES = {
    "nft": {
        "nft flush ruleset": [["nft", "flush", "ruleset"]],
        "iptables -F": [[f"{name}-nft", "-t", "raw", "-F"] for name in ("iptables", "ip6tables")],
        "one rule": [["ip6tables-nft", "-t", "mangle", "-D", "TCPKNOCK-SRV-IN", "1"]],
    },
    "legacy": {
        "iptables -F": [
            [f"{name}-legacy", "-t", table, "-F"] for name in ("iptables", "ip6tables") for table in ("raw", "mangle")
        ],
        "one rule": [["ip6tables-legacy", "-t", "mangle", "-D", "TCPKNOCK-SRV-IN", "1"]],
    },
}
CASES = [(backend, flush) for backend in BACKENDS for flush in FLUSHES[backend]]


def is_up(host: Host) -> bool:
    return firewall(host, "server", "status", check=False).returncode == 0


# --- the daemon ---------------------------------------------------------------------------------------------------


def first_line(host: Host) -> str:
    """What `tcpknock status` says first; its exit status is 0 only where that is PROTECTED."""
    result = tool(host, "server", "status", check=False)
    line = result.stdout.splitlines()[0]
    assert result.returncode == (0 if line.startswith("PROTECTED: ") else 1), result
    return line


def report(host: Host) -> Dict[str, Any]:
    result = tool(host, "server", "status", "--json", check=False)
    found = json.loads(result.stdout)
    assert result.returncode == (0 if found["protected"] else 1)
    return {key: found[key] for key in ("protected", "unprotected_ports")}


def metric(file: Path, name: str) -> float:
    line = re.search(rf"^tcpknock_{name}{{.*}} (\d+)$", file.read_text(), re.MULTILINE)
    return float(line[1]) if line else -1


def guards(host: Host) -> List[str]:
    """The command lines of guards that run on a host."""
    found = []
    for pid in host.processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "guard" in command:
            found.append(" ".join(command))
    return found


@pytest.mark.parametrize(("backend", "flush"), CASES, ids=[f"{backend}-{flush}" for backend, flush in CASES])
def test_the_daemon_has_rules_put_back_that_somebody_takes_away(
    direct: Network, key_file: str, tmp_path: Path, backend: str, flush: str
) -> None:
    server = direct.server
    echo_server(server, 22)
    metrics = tmp_path / "metrics"
    daemon = start_server(server, key_file, more=[*WITHOUT_FILTER, "--metrics-file", str(metrics)])
    firewall(server, "server", "up", "--iptables", backend, *WITHOUT_FILTER)
    equip(direct.client, key_file)
    assert first_line(server) == "PROTECTED: port 22"
    assert report(server) == {"protected": True, "unprotected_ports": []}
    with HeldConnection(direct.client, server.ipv4, 22) as connection:
        assert connection.echo()
        # What `up` changed has been looked at.
        server.run(["sleep", "1"])
        start = daemon.position
        begin = time.monotonic()
        for command in FLUSHES[backend][flush]:
            server.run(command)
        # (Who looks may wait until they are back: one at a time looks at rules, or changes them.)
        lost = daemon.wait_for_line(
            " ERROR firewall rules are missing that nobody took down: NOT PROTECTED: port 22: (.*); run .*server.sh up"
            ".*; they are being put back", 10, start=start)  # fmt: skip
        assert lost[1] == ("there are no rules for it" if "ruleset" in flush else "some rules are missing or were changed")
        assert time.monotonic() - begin < 8, "a second, where nothing else keeps the host busy"
        daemon.wait_for_line("NOTICE the firewall rules are back", 20, start=start)
        daemon.wait_for_line("NOTICE PROTECTED: port 22", 20, start=start)
        assert is_up(server) and first_line(server) == "PROTECTED: port 22" and connection.echo()
        for family in FAMILIES:
            with HeldConnection(direct.client, server.address(family), 22) as new:
                assert new.echo()
    wanted = (1, 0)
    eventually(
        lambda: (metric(metrics, "rules_lost_total"), metric(metrics, "unprotected_ports")) == wanted, 40, "the metrics")


def test_the_daemon_only_tells_where_that_is_wanted(direct: Network, key_file: str, tmp_path: Path) -> None:
    server = direct.server
    metrics = tmp_path / "metrics"
    daemon = protect(server, key_file, (22, 443), more=["--rules-guard", "tell", "--metrics-file", str(metrics)])
    assert first_line(server) == "PROTECTED: ports 22, 443"
    server.run(["iptables-nft", "-t", "mangle", "-D", "PREROUTING", "-p", "tcp", "--dport", "443", "-j", "TCPKNOCK-SRV-IN"])
    daemon.wait_for_line("ERROR .*nobody took down: NOT PROTECTED: port 443: some rules .*--target-port 443", 10)
    assert first_line(server).startswith("NOT PROTECTED: port 443: some rules are missing or were changed; run ")
    assert report(server) == {"protected": False, "unprotected_ports": [443]}
    server.run(["nft", "flush", "ruleset"])
    daemon.wait_for_line("WARNING NOT PROTECTED: ports 22, 443: there are no rules for them", 10)
    assert report(server) == {"protected": False, "unprotected_ports": [22, 443]}
    eventually(lambda: metric(metrics, "unprotected_ports") == 2, 20, "the metrics")
    assert metric(metrics, "rules_lost_total") == 1
    assert firewall(server, "server", "status", check=False).returncode == 3, "nobody puts them back"
    assert "put back" not in daemon.output
    # The cure that it names is one.
    cure = first_line(server).split("; run ")[1]
    server.run(cure.split())
    assert first_line(server) == "PROTECTED: ports 22, 443"


def test_a_daemon_that_does_not_look_claims_nothing(direct: Network, key_file: str) -> None:
    protect(direct.server, key_file, more=["--rules-guard", "off"])
    assert first_line(direct.server) == 'NOT KNOWN whether protected: rules_guard is "off", so nobody looks'
    assert report(direct.server) == {"protected": None, "unprotected_ports": None}
    assert guards(direct.server) == []


def test_rules_that_nobody_put_in_are_not_put_in(direct: Network, key_file: str) -> None:
    server = direct.server
    daemon = start_server(server, key_file, more=WITHOUT_FILTER)
    daemon.wait_for_line("WARNING NOT PROTECTED: port 22: there are no rules for it; run .*server.sh up --target-port 22 ", 10)
    server.run(["nft", "add", "table", "ip", "mangle"])
    server.run(["nft", "flush", "ruleset"])
    server.run(["sleep", "2"])
    assert first_line(server).startswith("NOT PROTECTED: port 22: there are no rules for it")
    assert firewall(server, "server", "status", check=False).returncode == 3
    # And not those that somebody took down.
    put_rules(server, "server")
    assert first_line(server) == "PROTECTED: port 22"
    firewall(server, "server", "down")
    assert first_line(server).startswith("NOT PROTECTED: port 22: there are no rules for it")
    server.run(["sleep", "2"])
    assert firewall(server, "server", "status", check=False).returncode == 3
    assert " ERROR " not in daemon.output


def test_a_daemon_that_starts_after_the_loss_has_them_put_back(direct: Network, key_file: str) -> None:
    server = direct.server
    put_rules(server, "server")
    server.run(["nft", "flush", "ruleset"])
    daemon = start_server(server, key_file, more=[*WITHOUT_FILTER, "--user", "nobody"])
    daemon.wait_for_line("ERROR firewall rules are missing that nobody took down", 10)
    daemon.wait_for_line("rules are back", 20)
    assert is_up(server) and first_line(server) == "PROTECTED: port 22"


@pytest.mark.parametrize("end", ("SIGTERM", "SIGKILL"))
def test_the_guard_ends_with_the_daemon(host: Host, key_file: str, end: str) -> None:
    daemon = start_server(host, key_file, more=[*WITHOUT_FILTER, "--user", "nobody"])
    assert first_line(host).startswith("NOT PROTECTED: ")
    assert len(guards(host)) == 1
    if end == "SIGTERM":
        assert daemon.stop() == 0
        # It waits for it, but not for long.
        eventually(lambda: guards(host) == [], 10, "the guard to end")
        assert " ERROR " not in daemon.output
    else:
        daemon.kill()
        eventually(lambda: guards(host) == [], 10, "the guard to end")


def test_a_guard_that_has_ended_is_told(host: Host, key_file: str) -> None:
    daemon = start_server(host, key_file, more=WITHOUT_FILTER)
    assert first_line(host).startswith("NOT PROTECTED: ")
    (pid,) = [pid for pid in host.processes() if b"guard" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(pid, signal.SIGKILL)
    daemon.wait_for_line("ERROR it is not known whether the ports are protected: the guard of the rules has ended", 10)
    assert first_line(host).startswith("NOT KNOWN whether protected: the guard of the rules has ended")


def test_each_daemon_looks_after_its_own_rules(direct: Network, key_file: str, tmp_path: Path) -> None:
    """Two on one host, whose rules have names; the queue says whose they are."""
    server = direct.server
    other = tmp_path / "other.sock"
    start_server(server, key_file, more=WITHOUT_FILTER)
    more = [*WITHOUT_FILTER, "--control-socket", str(other), "--state-dir", ""]
    daemon = start_server(server, key_file, queue_num=7, target_ports=(2222,), more=more)
    put_rules(server, "server")
    assert first_line(server) == "PROTECTED: port 22"

    def of_other() -> str:
        command = [program("tcpknock"), "status", "--socket", str(other)]
        return server.run(command, check=False).stdout.splitlines()[0]

    assert of_other().startswith("NOT PROTECTED: port 2222: there are no rules for it")
    firewall(server, "server", "up", "--instance", "two", "--target-port", 2222, "--queue-num", 7, *WITHOUT_FILTER)
    assert of_other() == "PROTECTED: port 2222"
    assert "nobody took down" not in daemon.output, "those of the other are not its business"
    start = daemon.position
    server.run(["nft", "flush", "ruleset"])
    daemon.wait_for_line("rules are back", 20, start=start)
    assert of_other() == "PROTECTED: port 2222"
    eventually(lambda: first_line(server) == "PROTECTED: port 22", 20, "the rules of the first")
    assert firewall(server, "server", "status", "--instance", "two").returncode == 0


def test_a_confirmation_is_left_to_its_watcher_by_the_daemon(direct: Network, key_file: str) -> None:
    server = direct.server
    daemon = start_server(server, key_file, more=WITHOUT_FILTER)
    firewall(server, "server", "up", *WITHOUT_FILTER, "--confirm", 6)
    assert first_line(server) == "PROTECTED: port 22"
    start = daemon.position
    server.run(["nft", "flush", "ruleset"])
    daemon.wait_for_line("WARNING NOT PROTECTED", 10, start=start)
    eventually(
        lambda: "nothing waits" in firewall(server, "server", "confirm", check=False).stderr, 20, "the watcher to act"
    )
    server.run(["sleep", "1"])
    assert firewall(server, "server", "status", check=False).returncode == 3
    assert "put back" not in daemon.output


# --- the guard alone ----------------------------------------------------------------------------------------------


@pytest.fixture
def guard(direct: Network) -> Iterator[Program]:
    with direct.server.popen([script("server"), "guard"]) as program:
        program.wait_for_line("ready", 35, which="stdout")
        yield program


@pytest.mark.parametrize(("backend", "flush"), CASES, ids=[f"{backend}-{flush}" for backend, flush in CASES])
def test_rules_that_somebody_takes_away_come_back(
    direct: Network, guard: Program, key_file: str, backend: str, flush: str
) -> None:
    server = direct.server
    echo_server(server, 22)
    protect(server, key_file, more=["--rules-guard", "off"])
    firewall(server, "server", "down")
    flags = ["--iptables", backend, "--kernel-filter", "off", "--queue-num", "100"]
    firewall(server, "server", "up", *flags, "--keep-established")
    equip(direct.client, key_file)
    with HeldConnection(direct.client, server.ipv4, 22) as connection:
        assert connection.echo()
        # Until the guard has seen them whole, and looks only at what has changed.
        server.run(["sleep", "2.5"])
        for command in FLUSHES[backend][flush]:
            server.run(command)
        assert not is_up(server)
        guard.wait_for_line("rules are missing", 30, which="stderr")
        guard.wait_for_line("rules are back", 40, which="stderr")
        assert is_up(server) and connection.echo()
        for family in FAMILIES:
            with HeldConnection(direct.client, server.address(family), 22) as new:
                assert new.echo()


def test_down_is_obeyed(direct: Network, guard: Program) -> None:
    firewall(direct.server, "server", "up", "--kernel-filter", "off")
    firewall(direct.server, "server", "down")
    # Long enough for two looks: until rules that are taken away behind it have come back.
    firewall(direct.server, "server", "up", "--kernel-filter", "off", "--queue-num", 7)
    direct.server.run(["nft", "flush", "ruleset"])
    guard.wait_for_line("rules are back", 40, which="stderr")
    firewall(direct.server, "server", "down")
    start = guard.position
    direct.server.run(["sleep", "2.5"])
    assert firewall(direct.server, "server", "status", check=False).returncode == 3
    assert "missing" not in "\n".join(guard.lines()[start:]), guard.output


def test_a_confirmation_that_is_waited_for_is_left_to_its_watcher(direct: Network, guard: Program) -> None:
    firewall(direct.server, "server", "up", "--kernel-filter", "off", "--confirm", 3)
    direct.server.run(["nft", "flush", "ruleset"])
    eventually(
        lambda: "nothing waits" in firewall(direct.server, "server", "confirm", check=False).stderr, 10, "the watcher"
    )
    assert firewall(direct.server, "server", "status", check=False).returncode == 3
