"""The tool on its own: what it explains, where it looks for daemons, and what it says when it may not or cannot."""

import json
import os
import re
import subprocess
from typing import List, Sequence

import pytest

from harness.daemons import program
from harness.hosts import Host
from harness.knock import equip, protect
from harness.processes import Program
from harness.topologies import Network



def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [program("tcpknock"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


# --- reasons ------------------------------------------------------------------------------------------------------


def test_all_reasons_are_explained() -> None:
    lines = run("reasons").stdout.splitlines()
    explained = {name: text for name, text in (line.split(maxsplit=1) for line in lines)}
    assert len(explained) == len(lines) > 30
    # One below the other.
    assert len({line.index(explained[line.split()[0]]) for line in lines}) == 1
    assert all(re.fullmatch("[a-z-]+", name) for name in explained)
    assert json.loads(run("reasons", "--json").stdout) == explained


def test_the_reasons_that_are_asked_for() -> None:
    names = ["syn-accepted", "acknowledgment-verified"]
    assert sorted(json.loads(run("reasons", "--json", *names).stdout)) == sorted(names)
    assert run("reasons", names[0]).stdout.startswith("syn-accepted  ")


# --- where daemons are --------------------------------------------------------------------------------------------


def start_alone(host: Host, role: str, key_file: str) -> Program:
    """A daemon with its usual control socket, in a /run that nobody else has."""
    command = [program(f"tcpknock-{role}"), "--config", "", "--key-file", key_file]
    command += ["--state-dir", "", "--kernel-filter", "off"] if role == "server" else []
    text = 'mount -t tmpfs none /run && exec "$@"'
    daemon = host.popen(["unshare", "-m", "sh", "-c", text, "sh", *command])
    daemon.wait_for_line(r"\bready\b", 10, which="stdout")
    return daemon


def ask_beside(daemon: Program, host: Host, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the tool where it sees the daemon's /run."""
    command = ["nsenter", "-t", str(daemon.pid), "-m", program("tcpknock"), *arguments]
    return host.run(command, check=False)


@pytest.mark.parametrize("role", ("server", "client"))
def test_a_daemon_at_its_usual_place_is_found(host: Host, key_file: str, role: str) -> None:
    daemon = start_alone(host, role, key_file)
    for flags in ([], [f"--{role}"], ["--socket", f"/run/tcpknock/{role}.sock"]):
        assert f"tcpknock-{role} " in ask_beside(daemon, host, "status", *flags).stdout, flags
    other = "client" if role == "server" else "server"
    result = ask_beside(daemon, host, "status", f"--{other}")
    assert result.returncode == os.EX_UNAVAILABLE
    assert f"/run/tcpknock/{other}.sock: no daemon answers there" in result.stderr
    assert daemon.stop() == 0


def test_where_there_is_no_daemon(host: Host) -> None:
    for command in ("status", "watch", "reload"):
        script = 'mount -t tmpfs none /run && exec "$@"'
        result = host.run(["unshare", "-m", "sh", "-c", script, "sh", program("tcpknock"), command], check=False)
        assert result.returncode == os.EX_UNAVAILABLE
        assert "no daemon is running here: there is no socket in /run/tcpknock" in result.stderr


# --- a probe that cannot be made ----------------------------------------------------------------------------------


def probe(
    network: Network, key_file: str, *arguments: str, before: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    command = [*before, program("tcpknock"), "probe", "--config", "", "--key-file", key_file, "--json", *arguments]
    return network.client.run([*command, network.server.ipv4, "22"], check=False, timeout=60)


def test_a_probe_by_a_named_interface(direct: Network, key_file: str) -> None:
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    result = probe(direct, key_file, "--interface", "eth0", "--timeout", "1")
    # Nothing listens there, which only a right code is told.
    assert result.returncode == 1, result.stderr
    assert [reason["cause"] for reason in json.loads(result.stdout)["reasons"]] == ["service-down"]
    result = probe(direct, key_file, "--interface", "nowhere")
    assert (result.returncode, result.stdout) == (os.EX_OSERR, "") and "nowhere" in result.stderr


@pytest.mark.parametrize(
    ("flags", "part"),
    (
        (["--timeout", "0.4"], "from 0.5 to 60"),
        (["-4", "-6"], "exclude each other"),
        (["--queue-num", "65536"], "65536"),
    ),
)
def test_probes_that_cannot_be_meant(direct: Network, key_file: str, flags: List[str], part: str) -> None:
    result = probe(direct, key_file, *flags)
    assert (result.returncode, result.stdout) == (os.EX_USAGE, "") and part in result.stderr


def test_minutes_that_cannot_be_meant() -> None:
    result = run("trace", "--slots", "1441", "/dev/null")
    assert result.returncode == os.EX_USAGE and "from 0 to 1440" in result.stderr


def test_a_probe_needs_root(direct: Network, key_file: str) -> None:
    before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    result = probe(direct, key_file, before=before)
    assert (result.returncode, result.stdout) == (os.EX_NOPERM, "")
    assert "not permitted; run this as root" in result.stderr
