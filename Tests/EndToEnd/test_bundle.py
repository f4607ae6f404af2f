"""Carrying a key to a second host: `keygen --bundle` on the server, `tcpknock add-server` on the client."""

import base64
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict

import pytest

from harness.daemons import keygen, program


HOST = "server.example.org"


def run(name: str, *flags: "str | Path", before: "tuple[str, ...]" = ()) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*before, program(name), *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=20,
    )


def listing(folder: Path) -> "Dict[str, tuple[int, int, bytes]]":
    """What is in a folder: modes, owners and content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            path.lstat().st_uid,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def changes_nothing(
    folder: Path, action: "Callable[[], subprocess.CompletedProcess[str]]", status: int, *parts: str
) -> None:
    before = listing(folder)
    result = action()
    said = f"status {result.returncode}\n{result.stdout}{result.stderr}"
    assert result.returncode == status, said
    assert result.stdout == "", said
    for part in parts:
        assert part in result.stderr, f"nothing about {part!r}: {said}"
    assert "Fatal error" not in result.stderr, said
    assert listing(folder) == before


class Hosts:
    """The folders of a server and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = folder / "server" / "server.toml"
        self.client = folder / "client" / "client.toml"
        self.bundle = folder / "carried"

    def keygen(
        self, name: str = "alice", *flags: "str | Path", before: "tuple[str, ...]" = ()
    ) -> "subprocess.CompletedProcess[str]":
        fixed: "list[str | Path]" = ["--bundle", name, "--config", self.server, "--output", self.bundle]
        host = [] if "--host" in flags else ["--host", HOST]
        return run("keygen", *fixed, *host, *flags, before=before)

    def add(
        self, *flags: "str | Path", before: "tuple[str, ...]" = ()
    ) -> "subprocess.CompletedProcess[str]":
        return run("tcpknock", "add-server", self.bundle, "--config", self.client, *flags, before=before)

    def write(self, path: Path, text: str, mode: int = 0o600) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def change(self, old: str, new: str) -> None:
        text = self.bundle.read_text()
        assert old in text
        self.bundle.write_text(text.replace(old, new, 1))


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path)


def good(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def checked(daemon: str, path: Path) -> str:
    return good(run(daemon, "--config", path, "--check"))


# --- the way through ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [HOST, "198.51.100.7", "2001:db8::7"])
def test_from_the_server_to_the_client(hosts: Hosts, host: str) -> None:
    said = good(hosts.keygen("alice", "--host", host, "--roaming"))
    fingerprint = said.split()[0]
    assert said.startswith(f"{fingerprint}  {hosts.bundle}\n") and "tcpknock add-server carried" in said
    key = hosts.server.parent / "guests" / "alice.dat"
    for path, mode in ((key, 0o600), (key.parent, 0o700), (hosts.bundle, 0o600), (hosts.server, 0o600)):
        assert path.stat().st_mode & 0o7777 == mode, path
    assert good(run("keygen", "--fingerprint", key)).split()[0] == fingerprint
    text = checked("tcpknock-server", hosts.server)
    assert f'name = "alice"\nkey_file = "{key}"\n' in text and "roaming = true" in text

    said = good(hosts.add())
    copy = hosts.client.parent / "keys" / f"{host}.dat"
    assert said.startswith(f"{fingerprint}  {copy}\n") and "tcpknock reload" in said
    assert copy.read_bytes() == key.read_bytes()
    for path, mode in ((copy, 0o600), (copy.parent, 0o700), (hosts.client, 0o600)):
        assert path.stat().st_mode & 0o7777 == mode, path
    text = checked("tcpknock-client", hosts.client)
    assert f'host = "{host}"\nports = [22]\nkey_file = "{copy}"\nnat_ip = "auto"\n' in text
    assert {path.name for path in hosts.folder.rglob("*") if path.is_file()} == {
        "alice.dat", "server.toml", "carried", "client.toml", copy.name,
    }  # fmt: skip


def test_the_bundle_is_toml_with_the_key_in_base64(hosts: Hosts) -> None:
    good(hosts.keygen())
    head, key = hosts.bundle.read_text().split('\nkey = """\n')
    assert base64.b64decode(key.removesuffix('"""\n')) == (hosts.server.parent / "guests" / "alice.dat").read_bytes()
    assert f'host = "{HOST}"' in head.splitlines() and "roaming = false" in head.splitlines()


def test_what_is_in_the_files_stays(hosts: Hosts) -> None:
    key = keygen(hosts.folder / "old")
    server = f'# mine\r\ntarget_ports=[22,443]   # two\n\n[[guest]]\nname="bob"\nkey_file="{key}"'
    client = f'# mine\n[[target]]\nhost="other"\nkey_file="{key}"\n# the end'
    hosts.write(hosts.server, server, 0o644)
    hosts.write(hosts.client, client, 0o400)
    os.chown(hosts.client, 0, 65534)
    good(hosts.keygen("alice", "--port", "443"))
    good(hosts.add())
    assert hosts.server.read_text().startswith(server.replace("\r\n", "\n")) and b"# mine\r\n" in hosts.server.read_bytes()
    assert hosts.client.read_text().startswith(client)
    assert hosts.server.stat().st_mode & 0o7777 == 0o644
    assert hosts.client.stat().st_mode & 0o7777 == 0o400 and hosts.client.stat().st_gid == 65534
    assert "ports = [443]" in checked("tcpknock-server", hosts.server)
    assert 'host = "server.example.org"\nports = [443]\n' in checked("tcpknock-client", hosts.client)


def test_a_configuration_behind_a_link(hosts: Hosts) -> None:
    hosts.write(hosts.folder / "real" / "s.toml", "no_time = true\n")
    hosts.server.parent.mkdir()
    hosts.server.symlink_to("../real/s.toml")
    good(hosts.keygen())
    assert hosts.server.is_symlink() and "alice" in (hosts.folder / "real" / "s.toml").read_text()
    assert f'key_file = "{hosts.server.parent}/guests/alice.dat"' in checked("tcpknock-server", hosts.server)


def test_many_guests_at_once(hosts: Hosts) -> None:
    names = [f"guest-{number}" for number in range(6)]
    with ThreadPoolExecutor(len(names)) as pool:
        for result in pool.map(lambda name: hosts.keygen(name, "--output", hosts.folder / name), names):
            good(result)
    text = checked("tcpknock-server", hosts.server)
    assert all(f'name = "{name}"' in text for name in names)


# Runs a script with an /etc of its own, which has nothing in it but a key at the default place.
_OWN_ETC = """
mount -t tmpfs none /etc && cp -p "$1" /etc/port_protector.dat || exit 99
shift
"$@" && cat /etc/tcpknock/*.toml
"""


def test_who_has_the_default_key_gets_in_as_before(tmp_path: Path) -> None:
    before = ("unshare", "-m", "sh", "-c", _OWN_ETC, "-", keygen(tmp_path / "key"))
    said = good(run("keygen", "--bundle", "alice", "--host", HOST, "--output", tmp_path / "b", before=before))
    assert '[[guest]]\nname = "default"\nkey_file = "/etc/port_protector.dat"\n\n[[guest]]\nname = "alice"\n' in said
    said = good(run("tcpknock", "add-server", tmp_path / "b", before=before))
    assert '\nkey_file = "/etc/port_protector.dat"\n' in said.split("[[target]]\n")[0]


# --- what is refused on the server --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--bundle", "a/b", "--host", HOST], "'a/b'"),
        (["--bundle", "..", "--host", HOST], "'..'"),
        (["--bundle", "", "--host", HOST], "name"),
        (["--bundle", "a b", "--host", HOST], "'a b'"),
        (["--bundle", "é", "--host", HOST], "'é'"),
        (["--bundle", "x" * 65, "--host", HOST], "64"),
        (["--bundle", "alice"], "--host"),
        (["--bundle", "alice", "--host", "a/b"], "'a/b'"),
        (["--bundle", "alice", "--host", "10.0.0.0/8"], "'10.0.0.0/8'"),
        (["--bundle", "alice", "--host", HOST, "--port", "0"], "'0'"),
        (["--bundle", "alice", "--host", HOST, "--port", "22", "--port", "22"], "twice"),
        (["--bundle", "alice", "--host", HOST, "--config", ""], "empty"),
        (["--bundle", "alice", "--host", HOST, "--force"], "--force"),
        (["--bundle", "alice", "--host", HOST, "path"], "path"),
        (["--host", HOST], "--bundle"),
        (["--roaming"], "--bundle"),
    ],
)
def test_wrong_flags(tmp_path: Path, flags: "list[str]", part: str) -> None:
    changes_nothing(tmp_path, lambda: run("keygen", *flags, before=("env", "--chdir", str(tmp_path))), os.EX_USAGE, part)


def test_what_is_there_already_on_the_server(hosts: Hosts) -> None:
    good(hosts.keygen())
    changes_nothing(hosts.folder, lambda: hosts.keygen("alice"), os.EX_CANTCREAT, '"alice"', "nothing was changed")
    changes_nothing(hosts.folder, lambda: hosts.keygen("bob"), os.EX_CANTCREAT, str(hosts.bundle), "exists")
    hosts.bundle.unlink()
    keygen(hosts.server.parent / "guests" / "bob.dat")
    changes_nothing(hosts.folder, lambda: hosts.keygen("bob"), os.EX_CANTCREAT, "guests/bob.dat", "exists")
    (hosts.server.parent / "guests" / "carol.dat").symlink_to("/etc/passwd")
    changes_nothing(hosts.folder, lambda: hosts.keygen("carol"), os.EX_CANTCREAT, "guests/carol.dat", "exists")


@pytest.mark.parametrize(
    ("text", "mode", "parts"),
    [
        ("murk = 1\n", 0o600, ["1:1", "'mark'"]),
        ('on_admit = """\nopen', 0o600, ["no TOML"]),
        ('key_file = "k"\n', 0o600, ["1:1", "cannot go together with [[guest]]"]),
        ("guest = []\n", 0o600, ["no TOML"]),
        ("", 0o666, ["chmod go-w"]),
    ],
)
def test_configurations_that_nothing_can_be_added_to(hosts: Hosts, text: str, mode: int, parts: "list[str]") -> None:
    hosts.write(hosts.server, text, mode)
    changes_nothing(hosts.folder, hosts.keygen, os.EX_CONFIG, str(hosts.server), *parts)


def test_a_port_that_is_not_protected(hosts: Hosts) -> None:
    changes_nothing(hosts.folder, lambda: hosts.keygen("alice", "--port", "443"), os.EX_CONFIG, "443", "target_ports")


# --- what is refused on the client --------------------------------------------------------------------------------


@pytest.fixture
def carried(hosts: Hosts) -> Hosts:
    good(hosts.keygen())
    return hosts


HOSTILE = {
    "another key": ('key = """\n', 'key = """\nAAAA', os.EX_DATAERR, ["bundle"]),
    "another fingerprint": ('fingerprint = "', 'fingerprint = "0000-" #', os.EX_DATAERR, ["fingerprint"]),
    "a path": (f'"{HOST}"', '"../../../etc/cron.d/x"', os.EX_DATAERR, ["host"]),
    "a network": (f'"{HOST}"', '"0.0.0.0/0"', os.EX_DATAERR, ["host", "network"]),
    "a terminal": ('"alice"', '"\\u001b[2J"', os.EX_DATAERR, ["guest"]),
    "a command": ("version = 1", 'version = 1\non_admit = "reboot"', os.EX_DATAERR, ["unknown key 'on_admit'"]),
    "a later version": ("version = 1", "version = 2", os.EX_DATAERR, ["version"]),
    "no ports": ("[22]", "[]", os.EX_DATAERR, ["ports"]),
    "no TOML": ("version = 1", "version", os.EX_DATAERR, ["no TOML"]),
    "deep": ("version = 1", "version = " + "[" * 3000, os.EX_DATAERR, ["no TOML"]),
    "a long head": ("version = 1", "#" + "x" * 5000 + "\nversion = 1", os.EX_DATAERR, ["bundle"]),
    "too long": ('"""\n', '"""\n' + "A" * 100_000, os.EX_DATAERR, ["bundle"]),
    "something behind": (HOST, HOST, os.EX_DATAERR, ["bundle"]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_bundles(carried: Hosts, kind: str) -> None:
    old, new, status, parts = HOSTILE[kind]
    carried.change(old, new)
    if kind == "something behind":
        carried.bundle.write_text(carried.bundle.read_text() + 'host = "evil"\n')
    changes_nothing(carried.folder, carried.add, status, str(carried.bundle), *parts)


def test_one_changed_digit_of_the_key(carried: Hosts) -> None:
    text = carried.bundle.read_text()
    at = text.index('key = """\n') + 1000
    at += text[at] == "\n"
    carried.bundle.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    changes_nothing(carried.folder, carried.add, os.EX_DATAERR, "fingerprint", "changed on the way")


def test_bundles_that_cannot_be_read(carried: Hosts) -> None:
    carried.bundle.chmod(0o644)
    changes_nothing(carried.folder, carried.add, os.EX_NOPERM, "0644", "chmod 600")
    carried.bundle.chmod(0o600)
    real = carried.bundle.rename(carried.folder / "real")
    changes_nothing(carried.folder, carried.add, os.EX_NOINPUT, str(carried.bundle))
    carried.bundle.symlink_to(real)
    changes_nothing(carried.folder, carried.add, os.EX_DATAERR, "not a regular file")
    carried.bundle.unlink()
    os.mkfifo(carried.bundle, 0o600)
    changes_nothing(carried.folder, carried.add, os.EX_DATAERR, "not a regular file")
    carried.bundle.unlink()
    carried.bundle.mkdir(0o700)
    changes_nothing(carried.folder, carried.add, os.EX_DATAERR, "not a regular file")


def test_the_same_bundle_again_changes_nothing(carried: Hosts) -> None:
    good(carried.add())
    before = listing(carried.folder)
    again = carried.add()
    assert again.returncode == 0 and "was left as it is" in again.stderr
    assert listing(carried.folder) == before


def test_another_key_for_the_same_server(carried: Hosts) -> None:
    good(carried.add())
    carried.bundle.unlink()
    good(carried.keygen("alice2"))
    changes_nothing(carried.folder, carried.add, os.EX_CANTCREAT, f"keys/{HOST}.dat", "--force")
    config = carried.client.read_bytes()
    good(carried.add("--force"))
    new = (carried.server.parent / "guests" / "alice2.dat").read_bytes()
    assert (carried.client.parent / "keys" / f"{HOST}.dat").read_bytes() == new
    assert carried.client.read_bytes() == config


def test_a_target_with_a_key_elsewhere(carried: Hosts) -> None:
    key = Path(keygen(carried.folder / "elsewhere"))
    carried.write(carried.client, f'[[target]]\nhost = "{HOST}"\nkey_file = "{key}"\n')
    changes_nothing(carried.folder, carried.add, os.EX_CANTCREAT, str(key), "--force")
    good(carried.add("--force"))
    assert key.read_bytes() == (carried.server.parent / "guests" / "alice.dat").read_bytes()
    assert not (carried.client.parent / "keys").exists()


def test_a_target_with_some_of_the_ports(hosts: Hosts) -> None:
    hosts.write(hosts.server, "target_ports = [22, 443]\n")
    good(hosts.keygen())
    hosts.write(hosts.client, f'[[target]]\nhost = "{HOST}"\nkey_file = "k"\n')
    changes_nothing(hosts.folder, lambda: hosts.add("--force"), os.EX_CANTCREAT, "[22, 443]", "nothing was changed")


def test_a_link_in_the_place_of_the_key(carried: Hosts) -> None:
    (carried.client.parent / "keys").mkdir(parents=True)
    victim = carried.folder / "victim"
    victim.write_text("mine")
    (carried.client.parent / "keys" / f"{HOST}.dat").symlink_to(victim)
    changes_nothing(carried.folder, carried.add, os.EX_CANTCREAT, f"keys/{HOST}.dat")
    changes_nothing(carried.folder, lambda: carried.add("--force"), os.EX_CANTCREAT, "not a regular file")


# --- all or nothing -----------------------------------------------------------------------------------------------

# Runs a program while a small file system with a copy of a folder lies over another; 98: it has changed something.
_ON_SMALL_DISK = """
size=$1 folder=$2 source=$3
shift 3
state() { ( cd "$folder" && find . -exec ls -ldn --time-style=+ {} + && find . -type f -exec cksum {} + ); }
mount -t tmpfs -o size="$size" none "$folder" && cp -a "$source" "$folder" || exit 99
before=$(state)
"$@"
status=$?
[ "$before" = "$(state)" ] || exit 98
exit $status
"""


def on_small_disk(size: str, folder: Path, source: Path) -> "tuple[str, ...]":
    return ("unshare", "-m", "sh", "-c", _ON_SMALL_DISK, "-", size, str(folder), str(source))



@pytest.mark.parametrize("size", ["16k", "64k", "100k", "140k"])
def test_a_full_disk_on_the_server(hosts: Hosts, size: str) -> None:
    hosts.write(hosts.folder / "source" / "server.toml", "no_time = true\n")
    hosts.server.parent.mkdir()
    config = hosts.server.parent / "source" / "server.toml"
    before = on_small_disk(size, hosts.server.parent, hosts.folder / "source")
    bundle = hosts.server.parent / "carried"
    result = run("keygen", "--bundle", "alice", "--host", HOST, "--config", config, "--output", bundle, before=before)
    assert result.returncode == os.EX_IOERR and "No space left" in result.stderr, f"{result.returncode}\n{result.stderr}"


@pytest.mark.parametrize("size", ["16k", "64k"])
def test_a_full_disk_on_the_client(carried: Hosts, size: str) -> None:
    carried.write(carried.folder / "source" / "client.toml", "no_time = true\n")
    carried.client.parent.mkdir()
    config = carried.client.parent / "source" / "client.toml"
    before = on_small_disk(size, carried.client.parent, carried.folder / "source")
    result = run("tcpknock", "add-server", carried.bundle, "--config", config, before=before)
    assert result.returncode == os.EX_IOERR and "No space left" in result.stderr, f"{result.returncode}\n{result.stderr}"


_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && "$@"'


def test_folders_that_may_only_be_read(carried: Hosts) -> None:
    def read_only(folder: Path) -> "tuple[str, ...]":
        return ("unshare", "-m", "sh", "-c", _READ_ONLY, "-", str(folder))

    changes_nothing(
        carried.folder,
        lambda: carried.keygen("bob", "--output", carried.folder / "b", before=read_only(carried.server.parent)),
        os.EX_CANTCREAT,
        "Read-only file system",
    )
    elsewhere = carried.folder / "elsewhere"
    elsewhere.mkdir()
    changes_nothing(
        carried.folder,
        lambda: carried.keygen("bob", "--output", elsewhere / "b", before=read_only(elsewhere)),
        os.EX_CANTCREAT,
        "elsewhere/b",
        "Read-only file system",
    )
    carried.write(carried.client, "# mine\n")
    changes_nothing(
        carried.folder, lambda: carried.add(before=read_only(carried.client.parent)), os.EX_CANTCREAT, "Read-only"
    )
