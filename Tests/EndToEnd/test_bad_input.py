"""Wrong input: a clear message that names what is wrong, a fitting exit status, and nothing changed."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence

import pytest

from harness.daemons import program, start_client, start_server
from harness.hosts import Host
from harness.processes import Program
from harness.queues import queue_counters
from harness.roles import DAEMONS, daemons




@pytest.fixture(scope="module")
def host(as_root: None) -> Iterator[Host]:
    with Host("alone") as alone:
        yield alone


def listing(folder: Path) -> Dict[str, "tuple[int, bytes]"]:
    """What is in a folder: modes and content."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def fails(
    host: Host, folder: Path, command: Sequence[str], status: int, *parts: str, as_nobody: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Runs the command, which must fail in that way and leave the folder and the host's queues as they were."""
    before = listing(folder), set(queue_counters(host))
    if as_nobody:
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
    result = host.run(["env", "--chdir", str(folder), *command], check=False, timeout=10)
    said = f"status {result.returncode}\n{result.stdout}{result.stderr}"
    assert result.returncode == status, said
    for part in parts:
        assert part in result.stderr, f"nothing about {part!r}: {said}"
    assert result.stdout == "", said
    assert "Fatal error" not in result.stderr and "Thread " not in result.stderr, said
    assert (listing(folder), set(queue_counters(host))) == before
    return result


# --- flags --------------------------------------------------------------------------------------------------------

BOTH_DAEMONS: "list[tuple[str, list[str]]]" = [
    ("--target-port 0", ["--target-port", "'0'", "1 to 65535"]),
    ("--target-port 70000", ["--target-port", "'70000'", "1 to 65535"]),
    ("--target-port 65536", ["--target-port", "'65536'"]),
    ("--target-port -1", ["--target-port"]),
    ("--target-port ssh", ["--target-port", "'ssh'"]),
    ("--target-port 22 --target-port 0", ["--target-port", "'0'"]),
    ("--target_port 0", ["port", "'0'"]),
    ("--target-port", ["--target-port"]),
    ("--queue-num 65536", ["--queue-num", "'65536'", "0 to 65535"]),
    ("--queue-num -1", ["--queue-num"]),
    ("--queue-num one", ["--queue-num", "'one'"]),
    ("--log-level loud", ["--log-level", "'loud'", "debug"]),
    ("--log-format xml", ["--log-format", "'xml'", "json"]),
    ("--unknown", ["--unknown"]),
    ("--unknown=1", ["--unknown"]),
    ("-x", ["-x"]),
    ("surplus", ["surplus"]),
    ("--key-file", ["--key-file"]),
]

FLAGS: "list[tuple[str, str, list[str]]]" = [
    *((daemon, flags, parts) for daemon in DAEMONS for flags, parts in BOTH_DAEMONS),
    ("tcpknock-server", "--mark 0", ["--mark", "'0'", "one bit"]),
    ("tcpknock-server", "--mark 0x3", ["--mark", "'0x3'", "one bit"]),
    ("tcpknock-server", "--mark 0x100000000", ["--mark", "'0x100000000'"]),
    ("tcpknock-server", "--mark red", ["--mark", "'red'"]),
    ("tcpknock-server", "--lockout-seconds 0", ["--lockout-seconds", "'0'"]),
    ("tcpknock-server", "--lockout-seconds -5", ["--lockout-seconds"]),
    ("tcpknock-server", "--lockout-seconds 86401", ["--lockout-seconds", "'86401'"]),
    ("tcpknock-server", "--lockout-seconds soon", ["--lockout-seconds", "'soon'"]),
    ("tcpknock-server", "--nat-ip 10.0.0.1", ["--nat-ip"]),
    ("tcpknock-client", "--nat-ip 10.0.0", ["--nat-ip", "'10.0.0'"]),
    ("tcpknock-client", "--nat-ip 10.0.0.256", ["--nat-ip", "'10.0.0.256'"]),
    ("tcpknock-client", "--nat-ip fd00:::1", ["--nat-ip", "'fd00:::1'"]),
    ("tcpknock-client", "--nat-ip example.org", ["--nat-ip", "'example.org'"]),
    ("tcpknock-client", "--nat-ip 10.0.0.1/24", ["--nat-ip", "'10.0.0.1/24'"]),
    ("tcpknock-client", "--nat-ip 10.0.0.1 --nat-ip 10.0.0.2", ["--nat-ip", "IPv4"]),
    ("tcpknock-client", "--nat-ip fd00::1 --nat_ip fd00::2", ["--nat-ip", "IPv6"]),
    ("tcpknock-client", "--isn-mask half", ["--isn-mask", "'half'", "windowed"]),
    ("tcpknock-client", "--server nowhere", ["--server", "'nowhere'"]),
    ("tcpknock-client", "--server 10.0.0.0/33", ["--server", "'10.0.0.0/33'"]),
    ("tcpknock-client", "--server fd00::/129", ["--server", "'fd00::/129'"]),
    ("tcpknock-client", "--server 10.0.0.0/", ["--server", "'10.0.0.0/'"]),
    ("tcpknock-client", "--server 10.0.0.0/8/8", ["--server", "'10.0.0.0/8/8'"]),
    ("tcpknock-client", "--mark 0x1001", ["--mark"]),
    ("tcpknock-client", "--lockout-seconds 5", ["--lockout-seconds"]),
    ("keygen", "--unknown", ["--unknown"]),
    ("keygen", "one two", ["two"]),
    ("keygen", "--force --fingerprint key", ["--force", "--fingerprint"]),
]


@pytest.mark.parametrize(("name", "flags", "parts"), FLAGS, ids=lambda value: value if isinstance(value, str) else "")
def test_flags(host: Host, tmp_path: Path, key_file: str, name: str, flags: str, parts: List[str]) -> None:
    command = [program(name), *flags.split()]
    if name in DAEMONS and not flags.startswith("--key-file"):
        command[1:1] = ["--key-file", key_file]
    fails(host, tmp_path, command, os.EX_USAGE, *parts)


def test_an_empty_path_is_no_default(host: Host, tmp_path: Path) -> None:
    fails(host, tmp_path, [program("keygen"), ""], os.EX_USAGE, "empty")


# --- key files ----------------------------------------------------------------------------------------------------


@dataclass
class BadKey:
    """How to make a key file that is none, and what is said of it."""

    make: Callable[[Path], None]
    status: int
    parts: List[str] = field(default_factory=list)


def _file(mode: int, content: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content)
        path.chmod(mode)

    return make


_GOOD = os.urandom(65_536)
BAD_KEYS = {
    "missing": BadKey(lambda path: None, os.EX_NOINPUT, ["no such file"]),
    "empty": BadKey(_file(0o600, b""), os.EX_DATAERR, ["0 bytes", "65536"]),
    "short": BadKey(_file(0o600, _GOOD[:-1]), os.EX_DATAERR, ["65535 bytes", "65536"]),
    "long": BadKey(_file(0o600, _GOOD + b"\n"), os.EX_DATAERR, ["65537 bytes", "65536"]),
    "zeroes": BadKey(_file(0o600, bytes(65_536)), os.EX_DATAERR, ["all its bytes are the same"]),
    "ones": BadKey(_file(0o600, b"\1" * 65_536), os.EX_DATAERR, ["all its bytes are the same"]),
    "world-readable": BadKey(_file(0o604, _GOOD), os.EX_NOPERM, ["0604", "chmod 600"]),
    "world-writable": BadKey(_file(0o602, _GOOD), os.EX_NOPERM, ["0602"]),
    "group-readable": BadKey(_file(0o640, _GOOD), os.EX_NOPERM, ["0640"]),
    "group-writable": BadKey(_file(0o620, _GOOD), os.EX_NOPERM, ["0620"]),
    "folder": BadKey(lambda path: path.mkdir(mode=0o700), os.EX_DATAERR, ["not a regular file"]),
    "pipe": BadKey(lambda path: os.mkfifo(path, 0o600), os.EX_DATAERR, ["not a regular file"]),
    "device": BadKey(lambda path: path.symlink_to("/dev/zero"), os.EX_DATAERR, ["not a regular file"]),
    "dangling link": BadKey(lambda path: path.symlink_to("nowhere"), os.EX_NOINPUT, ["no such file"]),
}


@pytest.mark.parametrize("name", (*DAEMONS, "keygen"))
@pytest.mark.parametrize("kind", BAD_KEYS)
def test_key_files(host: Host, tmp_path: Path, kind: str, name: str) -> None:
    bad = BAD_KEYS[kind]
    path = tmp_path / "the.key"
    bad.make(path)
    flag = "--fingerprint" if name == "keygen" else "--key-file"
    fails(host, tmp_path, [program(name), flag, str(path)], bad.status, str(path), *bad.parts)


@daemons
def test_a_key_file_of_somebody_else(host: Host, tmp_path: Path, key_file: str, daemon: str) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    mine = tmp_path / "the.key"
    shutil.copy(key_file, mine)
    os.chown(mine, nobody, -1)
    for more in ([], ["--check"]):
        status = os.EX_NOPERM if not more else os.EX_CONFIG
        command = [program(daemon), "--key-file", str(mine), *more]
        fails(host, tmp_path, command, status, str(mine), f"user {nobody}", "chown root")
    # The daemon's own user may have it, and what is said to cure does.
    command = [program(daemon), "--key-file", str(mine), "--check"]
    assert host.run([*command, "--user", "nobody"]).returncode == 0
    host.run(["chown", "root", str(mine)])
    assert host.run(command).returncode == 0


@daemons
def test_a_configuration_that_cannot_be_seen_is_not_taken_for_none(host: Host, tmp_path: Path, daemon: str) -> None:
    # In a mount namespace of its own, so that the folder of this host is as it was.
    script = f"mount -t tmpfs -o mode=0700 none /etc/tcpknock && exec setpriv --reuid=nobody --clear-groups {program(daemon)} --check"
    made = not os.path.isdir("/etc/tcpknock")
    os.makedirs("/etc/tcpknock", exist_ok=True)
    try:
        result = host.run(["unshare", "--mount", "sh", "-c", script], check=False)
    finally:
        if made:
            os.rmdir("/etc/tcpknock")
    assert result.returncode == os.EX_CONFIG
    assert "/etc/tcpknock" in result.stderr and "run this as root" in result.stderr
    assert "key file" not in result.stderr


@daemons
def test_the_default_key_file(host: Host, tmp_path: Path, daemon: str) -> None:
    if os.path.exists("/etc/port_protector.dat"):
        pytest.skip("this machine has a key of its own")
    fails(host, tmp_path, [program(daemon)], os.EX_NOINPUT, "/etc/port_protector.dat")


def test_keygen_leaves_what_is_there(host: Host, tmp_path: Path) -> None:
    for kind in ("short", "world-readable", "folder", "pipe", "dangling link"):
        path = tmp_path / kind
        BAD_KEYS[kind].make(path)
        fails(host, tmp_path, [program("keygen"), str(path)], os.EX_CANTCREAT, str(path), "exists")
    for kind in ("folder", "pipe"):
        fails(host, tmp_path, [program("keygen"), "--force", str(tmp_path / kind)], os.EX_DATAERR, "not a regular file")


def test_keygen_in_a_folder_that_is_not_there(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "the.key"
    result = fails(host, tmp_path, [program("keygen"), str(path)], os.EX_CANTCREAT, str(path))
    assert "make one with 'keygen" not in result.stderr, "this is not the advice that helps here"


def test_keygen_below_a_file(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    fails(host, tmp_path, [program("keygen"), str(tmp_path / "file" / "the.key")], os.EX_CANTCREAT, "file/the.key")


def test_keygen_on_a_full_disk(host: Host, tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=16k none "$1" && "$0" "$1/the.key"; status=$?; ls -A "$1"; exit $status'
    result = host.run(["unshare", "-m", "sh", "-c", script, program("keygen"), str(tmp_path)], check=False)
    assert result.returncode not in (0, 1), result.stderr
    assert "the.key" in result.stderr and "No space left" in result.stderr
    assert result.stdout == "", "nothing is left behind"


# --- the queue ----------------------------------------------------------------------------------------------------


@daemons
def test_a_queue_that_somebody_else_has(host: Host, tmp_path: Path, key_file: str, daemon: str) -> None:
    for start in (start_server, start_client):
        holder: Program = start(host, key_file, queue_num=77)
        command = [program(daemon), "--key-file", key_file, "--queue-num", "77"]
        fails(host, tmp_path, command, os.EX_UNAVAILABLE, "queue 77", "another process", str(holder.pid), "--queue-num")
        assert holder.alive and queue_counters(host)[77].portid
        assert holder.stop() == 0


# --- not root -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def for_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of the user nobody, with the programs and a key of its own."""
    folder = Path("/tmp") / f"tcpknock-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        for name in (*DAEMONS, "keygen"):
            shutil.copy(program(name), folder / name)
            (folder / name).chmod(0o755)
        BAD_KEYS["world-readable"].make(folder / "key")
        (folder / "key").chmod(0o600)
        shutil.chown(folder / "key", 65534, 65534)
        yield folder
    finally:
        shutil.rmtree(folder)


@daemons
def test_not_root(host: Host, for_nobody: Path, tmp_path: Path, daemon: str) -> None:
    command = [str(for_nobody / daemon), "--key-file", str(for_nobody / "key")]
    fails(host, tmp_path, command, os.EX_NOPERM, "not permitted", "root", as_nobody=True)


@daemons
def test_root_without_the_capability(
    host: Host, for_nobody: Path, tmp_path: Path, key_file: str, daemon: str
) -> None:
    command = ["setpriv", "--bounding-set", "-net_admin", str(for_nobody / daemon), "--key-file", key_file]
    fails(host, tmp_path, command, os.EX_NOPERM, "CAP_NET_ADMIN")


@pytest.mark.parametrize("name", (*DAEMONS, "keygen"))
def test_the_key_of_another_user(host: Host, for_nobody: Path, tmp_path: Path, name: str) -> None:
    key = for_nobody / "root-key"
    BAD_KEYS["world-readable"].make(key)
    key.chmod(0o600)
    flag = "--fingerprint" if name == "keygen" else "--key-file"
    command = [str(for_nobody / name), flag, str(key)]
    fails(host, tmp_path, command, os.EX_NOPERM, str(key), "ermission denied", as_nobody=True)


def test_keygen_where_one_may_not_write(host: Host, for_nobody: Path) -> None:
    path = for_nobody / "the.key"
    command = [str(for_nobody / "keygen"), str(path)]
    fails(host, for_nobody, command, os.EX_NOPERM, str(path), "ermission denied", as_nobody=True)
