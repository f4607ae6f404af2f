"""Configuration files: what is wrong in them is told with its line, and flags override them."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

from harness.daemons import keygen, program
from harness.hosts import Host
from harness.queues import queue_counters
from harness.roles import daemons




@pytest.fixture(scope="module")
def host(as_root: None) -> Iterator[Host]:
    with Host("alone") as alone:
        yield alone


def run(daemon: str, *flags: "str | Path") -> "subprocess.CompletedProcess[str]":
    """A run of a daemon that ends by itself."""
    return subprocess.run(
        [program(daemon), *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=10,
    )


def refused(result: "subprocess.CompletedProcess[str]", status: int, *parts: str) -> None:
    said = f"status {result.returncode}\n{result.stdout}{result.stderr}"
    assert result.returncode == status, said
    assert result.stdout == "", said
    for part in parts:
        assert part in result.stderr, f"nothing about {part!r}: {said}"


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


WRONG = [
    ("queue_nun = 7\n", ["1:1: unknown key 'queue_nun'; did you mean 'queue_num'?"]),
    ("\n# x\ntarget_ports = [22, 0]\n", ["3:21: target_ports"]),
    ("no_time = true\nno_time = true\n", ["2:", "only once"]),
    ("key_file =\n", ["1:", "no TOML"]),
    ("murk = 1\nlog_level = 'loud'\n", ["1:1: unknown key 'murk'", "2:13: log_level"]),
]


@daemons
@pytest.mark.parametrize(("text", "parts"), WRONG)
@pytest.mark.parametrize("flags", [[], ["--check"], ["--firewall-flags"]])
def test_wrong_files(tmp_path: Path, daemon: str, text: str, parts: List[str], flags: List[str]) -> None:
    path = write(tmp_path, text)
    refused(run(daemon, "--config", path, *flags), os.EX_CONFIG, *(f"{path}:{part}" if ":" in part else part for part in parts))


@daemons
def test_files_that_cannot_be_trusted(tmp_path: Path, daemon: str) -> None:
    path = write(tmp_path, "", 0o620)
    refused(run(daemon, "--config", path), os.EX_CONFIG, str(path), "0620", "chmod go-w")
    path.chmod(0o600)
    os.chown(path, 65534, 65534)
    refused(run(daemon, "--config", path), os.EX_CONFIG, str(path), "65534")


@daemons
def test_a_file_that_is_not_there(tmp_path: Path, daemon: str) -> None:
    refused(run(daemon, "--config", tmp_path / "none"), os.EX_NOINPUT, str(tmp_path / "none"), "no such file")
    refused(run(daemon, "--config", tmp_path / "none", "--check"), os.EX_CONFIG, str(tmp_path / "none"), "no such file")


@daemons
def test_check_prints_a_file_that_means_the_same(tmp_path: Path, key_file: str, daemon: str) -> None:
    path = write(tmp_path, f'key_file = "{key_file}"\ntarget_ports = [22, 2222]\nlog_level = "debug"\n')
    first = run(daemon, "--config", path, "--check", "--queue-num", "7")
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert "target_ports = [22, 2222]  # file" in lines
    assert "queue_num = 7  # flag" in lines
    assert "no_time = false  # default" in lines
    again = run(daemon, "--config", write(tmp_path, first.stdout), "--check")
    assert again.returncode == 0, again.stderr
    without_comments = [[line.split("  # ")[0] for line in text.splitlines()[1:]] for text in (first.stdout, again.stdout)]
    assert without_comments[0] == without_comments[1]


def test_check_reads_all_keys(tmp_path: Path, key_file: str) -> None:
    guests = "".join(f'[[guest]]\nname = "{name}"\nkey_file = "{name}.dat"\n' for name in ("alice", "bob", "carol"))
    path = write(tmp_path, guests)
    keygen(tmp_path / "alice.dat")
    result = run("tcpknock-server", "--config", path, "--check")
    refused(result, os.EX_CONFIG, f"{tmp_path}/bob.dat: there is no such file", f"{tmp_path}/carol.dat: there is no such")
    keygen(tmp_path / "bob.dat")
    (tmp_path / "carol.dat").write_bytes((tmp_path / "alice.dat").read_bytes())
    (tmp_path / "carol.dat").chmod(0o600)
    result = run("tcpknock-server", "--config", path, "--check")
    refused(result, os.EX_CONFIG, 'guest "carol"', 'the same key as guest "alice"')
    (tmp_path / "carol.dat").unlink()
    keygen(tmp_path / "carol.dat")
    assert run("tcpknock-server", "--config", path, "--check").returncode == 0


def test_check_warns_of_who_has_expired(tmp_path: Path) -> None:
    keygen(tmp_path / "k")
    path = write(tmp_path, '[[guest]]\nname = "alice"\nkey_file = "k"\nexpires = 2001-01-01\n')
    result = run("tcpknock-server", "--config", path, "--check")
    assert result.returncode == 0
    assert f'warning: {path}:4:1: guest.expires: "alice" has expired' in result.stderr


@daemons
def test_no_file(key_file: str, daemon: str) -> None:
    result = run(daemon, "--config", "", "--check", "--key-file", key_file)
    assert result.returncode == 0 and "no configuration file" in result.stdout
    assert all(line.endswith(("# default", "# flag")) for line in result.stdout.splitlines()[1:])


def test_flags_that_do_not_go_with_the_file(tmp_path: Path, key_file: str) -> None:
    path = write(tmp_path, f'[[guest]]\nname = "alice"\nkey_file = "{key_file}"\nports = [22]\n')
    refused(run("tcpknock-server", "--config", path, "--key-file", key_file), os.EX_USAGE, "key_file", str(path))
    refused(run("tcpknock-server", "--config", path, "--target-port", "80"), os.EX_USAGE, "guest.ports: 22", str(path))


def test_flags_for_the_firewall(tmp_path: Path) -> None:
    path = write(tmp_path, "target_ports = [22, 443]\nmark = 0x4000\n")
    result = run("tcpknock-server", "--config", path, "--queue-num", "3:4", "--firewall-flags")
    assert result.stdout == "--target-port 22 --target-port 443 --mark 0x4000 --queue-num 3:4\n"
    path = write(tmp_path, '[[target]]\nhost = "a"\nkey_file = "k"\n[[target]]\nhost = "b"\nkey_file = "k"\nport = 23\n')
    result = run("tcpknock-client", "--config", path, "--firewall-flags")
    assert result.stdout == "--target-port 22 --target-port 23 --mark 0x1000 --queue-num 200\n"


@daemons
def test_a_daemon_does_what_the_file_says(host: Host, tmp_path: Path, key_file: str, daemon: str) -> None:
    path = write(tmp_path, f'key_file = "{key_file}"\nqueue_num = 55\ntarget_ports = [22, 443]\nlog_format = "json"\n')
    with host.popen([program(daemon), "--config", str(path)]) as running:
        running.wait_for_line(r"\bready\b", 10, which="stdout")
        running.wait_for_line(r'"message":"ready".*"ports":"22,443".*"queue":"55"', 5, which="stderr")
        assert queue_counters(host)[55].portid
        running.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    command = [program(daemon), "--config", str(path), "--queue-num", "56", "--log-format", "text"]
    with host.popen(command) as running:
        running.wait_for_line(r"NOTICE ready .*ports=22,443 queue=56", 10, which="stderr")
        assert 55 not in queue_counters(host) and queue_counters(host)[56].portid
