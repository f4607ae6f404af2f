"""What the daemons may do once they have begun: hardly anything, and nobody may look into them."""

import errno
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from harness.daemons import control_socket, keygen, program, start_server, state_folder, status, tool
from harness.echo import echo_server
from harness.firewall import firewall
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import WITHOUT_FILTER, WRONG, counted, equip, keep_kernel_quiet, peer, protect, put_rules
from harness.processes import Program
from harness.roles import START, roles
from harness.topologies import Network
from harness.waiting import eventually

NET_ADMIN = 1 << 12  # linux/capability.h
# What the guard of the rules keeps, with CAP_NET_RAW and CAP_BPF.
GUARD = NET_ADMIN | 1 << 13 | 1 << 39
USER = "nobody"
USER_ID = pwd.getpwnam(USER).pw_uid
users = pytest.mark.parametrize("user", ("", USER))


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that another user finds a way to: pytest's own are root's alone."""
    folder = Path("/tmp") / f"tk-privileges-{os.getpid()}-{tmp_path.name}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def threads(pid: int) -> List[Dict[str, str]]:
    """/proc/PID/task/*/status of all threads."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append(dict(line.split(":\t", 1) for line in lines if ":\t" in line))
    return found


def assert_reduced(daemon: Program, user: str) -> None:
    wanted = pwd.getpwnam(user or "root")
    listed = threads(daemon.pid)
    assert len(listed) > 1, "the daemon has several threads"
    for thread in listed:
        for name, value in {"CapPrm": NET_ADMIN, "CapEff": NET_ADMIN, "CapInh": 0, "CapAmb": 0, "CapBnd": 0}.items():
            assert int(thread[name], 16) == value, f"{name} of {thread['Name']}: {thread[name]}"
        assert thread["NoNewPrivs"] == "1"
        assert set(thread["Uid"].split()) == {str(wanted.pw_uid)}
        assert set(thread["Gid"].split()) == {str(wanted.pw_gid)}
        if user:
            assert set(map(int, thread["Groups"].split())) == set(os.getgrouplist(user, wanted.pw_gid))
        # Not "CoreDumping", which says whether one is being written now.
        assert thread["CoreDumping"] == "0"
    assert int(listed[0]["VmLck"].split()[0]) > 0, "keys are locked"
    limits = Path(f"/proc/{daemon.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    # What is not dumpable belongs to root in /proc (proc(5)).
    assert os.stat(f"/proc/{daemon.pid}/mem").st_uid == 0


LOOK = """
import ctypes, os, sys
pid, user = int(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setgid(65534); os.setuid(user)
libc = ctypes.CDLL(None, use_errno=True)
try:
    open(f"/proc/{pid}/mem", "rb")
    print("memory opened")
except PermissionError:
    print("memory refused")
print("traced" if libc.ptrace(16, pid, 0, 0) == 0 else f"ptrace refused {ctypes.get_errno()}")
"""


def look(pid: int) -> str:
    """What another program of the daemon's user gets to see of it (PTRACE_ATTACH is 16)."""
    command = ["/usr/bin/python3", "-c", LOOK, str(pid), str(USER_ID)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


# --- what is left -------------------------------------------------------------------------------------------------


@roles
@users
def test_what_is_left(host: Host, key_file: str, role: str, user: str) -> None:
    daemon = START[role](host, key_file, more=["--user", user])
    assert_reduced(daemon, user)
    # Threads that begin later are no exception.
    for _ in range(3):
        assert status(host, role)
        assert_reduced(daemon, user)
    assert daemon.stop() == 0


@roles
def test_nobody_looks_into_it(host: Host, key_file: str, role: str) -> None:
    victim = subprocess.Popen(["/usr/bin/sleep", "60"], user=USER_ID, group=65_534, extra_groups=[])
    try:
        assert "memory opened" in look(victim.pid), "of another program of theirs they may"
    finally:
        victim.kill()
        victim.wait()
    daemon = START[role](host, key_file, more=["--user", USER])
    assert look(daemon.pid) == "memory refused\nptrace refused 1\n"


@roles
def test_a_group(host: Host, key_file: str, role: str) -> None:
    daemon = START[role](host, key_file, more=["--user", f"{USER}:daemon"])
    group = grp.getgrnam("daemon").gr_gid
    for thread in threads(daemon.pid):
        assert set(thread["Gid"].split()) == {str(group)}


@roles
def test_users_that_are_not(host: Host, key_file: str, role: str) -> None:
    for user, status_expected, text in (
        ("no-such-user", os.EX_NOUSER, "no user"),
        (f"{USER}:no-such-group", os.EX_NOUSER, "no group"),
        ("a b", 64, "is not a user, nor a user and a group"),
    ):
        command = [program(f"tcpknock-{role}"), "--config", "", "--control-socket", "", "--key-file", key_file]
        result = host.run([*command, "--user", user], check=False)
        assert result.returncode == status_expected, result.stderr
        assert text in result.stderr
        assert "ready" not in result.stdout


def test_as_somebody_else_from_the_start(host: Host, open_folder: Path) -> None:
    """As a service manager starts it that has given it the user and the capability already."""
    key = Path(keygen(open_folder / "key.dat"))
    os.chown(key, USER_ID, 65_534)
    for file in (program("tcpknock-server"),):
        if not os.access(file, os.X_OK) or any(not p.stat().st_mode & stat.S_IXOTH for p in Path(file).parents):
            pytest.skip("the programs are not where other users find them")
    command = ["setpriv", f"--reuid={USER_ID}", "--regid=65534", "--clear-groups", "--inh-caps=+net_admin",
               "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin"]  # fmt: skip
    server = [program("tcpknock-server"), "--config", "", "--control-socket", "", "--state-dir", ""]
    daemon = host.popen([*command, *server, "--key-file", str(key), *WITHOUT_FILTER])
    daemon.wait_for_line(r"\bready\b", 10, which="stdout")
    for thread in threads(daemon.pid):
        assert int(thread["CapEff"], 16) == int(thread["CapPrm"], 16) == NET_ADMIN
        assert int(thread["CapAmb"], 16) == int(thread["CapInh"], 16) == 0
        assert thread["NoNewPrivs"] == "1"


# --- and it is enough ---------------------------------------------------------------------------------------------


def own_key(folder: Path, name: str) -> str:
    key = keygen(folder / name)
    os.chown(key, USER_ID, 65_534)
    return key


@users
def test_all_goes_on(two_clients: Network, open_folder: Path, user: str) -> None:
    server, other = two_clients.server, two_clients.other
    assert other
    key = own_key(open_folder, "key.dat") if user else keygen(open_folder / "key.dat")
    hook = ["--on-admit", f"id -u >{open_folder}/hook; grep CapEff /proc/self/status >>{open_folder}/hook"]
    open_folder.chmod(0o777)
    more = ["--user", user, "--metrics-file", str(open_folder / "metrics"), *hook]
    daemon = protect(server, key, more=more)
    clients = [equip(client, key, more=["--user", user]) for client in (two_clients.client, other)]
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)

    # The handshake, and closing connections with a lockout.
    for address in (server.ipv4, server.ipv6):
        mine, others = connect(two_clients.client, address), connect(other, address)
        assert echoes(mine) and echoes(others)
        with peer(two_clients.client, key, address) as client:
            client.send_syn()
            assert client.receive_synack()
            client.send_ack(ack=client.rcv_nxt ^ WRONG)
        mine.settimeout(5)
        with pytest.raises(ConnectionResetError):
            mine.recv(1)
        assert echoes(others)
        daemon.wait_for_line(f"connections closed .*client={two_clients.client.address(4 if '.' in address else 6)} "
                             r"sockets=[12] tracked=[12]")  # fmt: skip
        tool(server, "server", "unlock", two_clients.client.address(4 if "." in address else 6))
        assert gets_in(two_clients.client, address)

    # Bytes are counted, the kernel's view of the queue is seen, the metrics are written.
    report = status(server, "server")
    assert report["queues"], report
    assert any(row.get("bytesReceived") for row in report["connections"]), report
    eventually(lambda: (open_folder / "metrics").exists(), 5, "metrics")

    # Hooks run as the daemon's user, without capabilities.
    eventually(lambda: len((open_folder / "hook").read_text().split()) >= 3, 5, "all of the hook")
    said = (open_folder / "hook").read_text().split()
    assert said[0] == str(USER_ID if user else 0)
    assert int(said[2], 16) == 0

    # A reload reads the keys again.
    assert "1 kept" in tool(server, "server", "reload").stdout
    daemon.send_signal(signal.SIGHUP)
    assert_reduced(daemon, user)
    assert gets_in(two_clients.client, server.ipv4)
    for ended in (daemon, *clients):
        assert ended.stop() == 0
        assert not any(" ERROR " in line for line in ended.lines()), ended.output


def test_state_of_another_user(two_clients: Network, open_folder: Path) -> None:
    key = own_key(open_folder, "key.dat")
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)
    # Begun by root, gone on with by somebody else, who leaves it to the next.
    for number, more in enumerate((["--user", USER], ["--user", USER])):
        daemon = start_server(server, key, more=[*WITHOUT_FILTER, *more])
        if number == 0:
            put_rules(server, "server")
        with peer(two_clients.client, key, server.ipv4, source_port=20_001 + number) as client:
            client.send_syn()
            counted(daemon, "syn-accepted")
        daemon.wait_for_line("ready")
        assert Path(state_folder(server)).stat().st_uid == USER_ID
        assert Path(state_folder(server), "server-100.state").stat().st_uid == USER_ID
        assert daemon.stop() == 0
        assert not any("state not written" in line for line in daemon.lines())
    daemon = start_server(server, key, more=[*WITHOUT_FILTER, "--user", USER])
    daemon.wait_for_line("state taken up .*used-codes=2")


def test_the_control_socket_of_another_user(host: Host, open_folder: Path) -> None:
    key = own_key(open_folder, "key.dat")
    folder = open_folder / "run"
    path = folder / "server.sock"
    daemon = start_server(host, key, more=[*WITHOUT_FILTER, "--user", USER, "--control-socket", str(path)])
    assert path.stat().st_uid == folder.stat().st_uid == USER_ID
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for user in (0, USER_ID):
        command = ["setpriv", f"--reuid={user}", "--clear-groups", program("tcpknock"), "status", "--socket", str(path)]
        if user and any(not parent.stat().st_mode & stat.S_IXOTH for parent in Path(program("tcpknock")).parents):
            continue
        assert "tcpknock-server" in subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
    assert daemon.stop() == 0
    assert not path.exists(), "it removes the socket in a folder of its own"


# --- files of root ------------------------------------------------------------------------------------------------


@roles
def test_a_reload_reads_what_is_roots(host: Host, open_folder: Path, role: str) -> None:
    """The folder and all in it are root's alone, and stay so."""
    folder = open_folder / "root"
    folder.mkdir(mode=0o700)
    config = folder / f"{role}.toml"
    table = {"server": "[[guest]]\nname", "client": "[[target]]\nhost"}[role]

    def configure(*names: str) -> None:
        config.write_text("".join(f'{table} = "{n}"\nkey_file = "{n}.dat"\n' for n in names))
        config.chmod(0o600)

    names = ["192.0.2.1", "192.0.2.2"]
    for name in names:
        keygen(folder / f"{name}.dat")
    configure(names[0])
    daemon = START[role](host, None, more=["--user", USER, "--config", str(config)])
    assert_reduced(daemon, USER)
    assert not any("a reload would fail" in line for line in daemon.lines()), daemon.output
    configure(*names)
    assert "configuration read again" in tool(host, role, "reload").stdout
    assert all(name in tool(host, role, "status", check=False).stdout for name in names)
    configure(names[1])
    assert "configuration read again" in tool(host, role, "reload").stdout
    assert daemon.stop() == 0


def test_a_reload_that_may_not_read(host: Host, open_folder: Path) -> None:
    """What belongs to a third user is neither the daemon's nor root's, who has no right to read everything there."""
    key = keygen(open_folder / "key.dat")
    daemon = start_server(host, key, more=[*WITHOUT_FILTER, "--user", USER])
    os.chown(key, USER_ID - 1, 65_534)
    result = tool(host, "server", "reload", check=False)
    assert result.returncode == os.EX_NOPERM
    assert f'user "{USER}"' in result.stderr and "Permission denied" in result.stderr
    assert daemon.alive
    os.chown(key, 0, 0)
    assert "1 kept" in tool(host, "server", "reload").stdout


def children(pid: int) -> List[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def opener(open_folder: Path) -> Iterator["tuple[Path, socket.socket, subprocess.Popen[bytes]]"]:
    """The child of a daemon that opens files, with this test in the place of the daemon, and the configuration."""
    keygen(open_folder / "key.dat")
    config = open_folder / "server.toml"
    config.write_text('key_file = "key.dat"\n')
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.settimeout(20)
    command = [program("tcpknock-server"), "--config", str(config), "--open-files"]
    with subprocess.Popen(command, stdin=its.fileno(), stdout=subprocess.DEVNULL) as process:
        its.close()
        yield config, mine, process
        mine.close()
        assert process.wait(20) == 0, "it ends with the daemon"


def ask(daemon: socket.socket, path: "os.PathLike[str]") -> "bytes | int":
    """What is in the file, or the number of the error."""
    daemon.send(os.fsencode(path))
    answer, files, _, _ = socket.recv_fds(daemon, 100, 4)
    if files:
        with os.fdopen(files[0], "rb") as file:
            return file.read()
    return int.from_bytes(answer, sys.byteorder)


def test_only_what_the_configuration_names_is_opened(
    open_folder: Path, opener: "tuple[Path, socket.socket, subprocess.Popen[bytes]]"
) -> None:
    config, daemon, process = opener
    key, other = open_folder / "key.dat", Path(keygen(open_folder / "other.dat"))
    assert ask(daemon, config) == config.read_bytes()
    assert ask(daemon, key) == key.read_bytes()
    for path in (other, Path("/etc/shadow"), open_folder / "root" / ".." / "key.dat", Path("/etc/passwd"), Path("x" * 5000)):
        assert ask(daemon, path) == errno.EACCES, path
    config.write_text('key_file = "other.dat"\n')
    assert ask(daemon, other) == errno.EACCES
    assert ask(daemon, config) == config.read_bytes()
    assert ask(daemon, other) == other.read_bytes() and ask(daemon, key) == errno.EACCES
    # It is root, with nothing that makes root mighty.
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(threads(process.pid)[0][name], 16) == 0
    os.chown(other, USER_ID, 65_534)
    assert ask(daemon, other) == errno.EACCES
    # One that somebody else has written names nothing.
    config.write_text('key_file = "key.dat"\n')
    os.chown(config, USER_ID, 65_534)
    config.chmod(0o644)
    ask(daemon, config)
    assert ask(daemon, key) == errno.EACCES


# --- children, and the user where none is named --------------------------------------------------------------------


@users
def test_what_is_left_to_children(host: Host, key_file: str, user: str) -> None:
    daemon = start_server(host, key_file, more=["--user", user])
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children(daemon.pid)}
    found = {word: pid for pid, words in commands.items() for word in words if word in ("guard", "--open-files")}
    rights = {name: threads(pid)[0] for name, pid in found.items()}
    assert set(rights) == ({"guard", "--open-files"} if user else {"guard"}) and len(rights) == len(commands)
    for name, thread in rights.items():
        kept = GUARD if name == "guard" else 0
        assert thread["NoNewPrivs"] == "1" and thread["Uid"].split()[0] == "0"
        assert [int(thread[cap], 16) for cap in ("CapPrm", "CapEff", "CapBnd")] == [kept] * 3, name
    assert daemon.stop() == 0
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found.values()), 5, "the end of the children")


def test_the_user_where_none_is_named(host: Host, open_folder: Path) -> None:
    key = keygen(open_folder / "key.dat")
    for more, user in (
        ([], USER),
        (["--user", "daemon"], "daemon"),
        (["--user", "root"], "root"),
        (["--default-user", "no-such-user"], "root"),
    ):
        daemon = start_server(host, key, more=[*WITHOUT_FILTER, "--state-dir", "", "--default-user", USER, *more])
        assert set(threads(daemon.pid)[0]["Uid"].split()) == {str(pwd.getpwnam(user).pw_uid)}
        assert daemon.stop() == 0


@users
def test_the_kernel_filter(direct: Network, open_folder: Path, pins: str, user: str) -> None:
    server = direct.server
    keys = [own_key(open_folder, f"{name}.dat") if user else keygen(open_folder / f"{name}.dat") for name in "abc"]
    config = open_folder / "server.toml"

    def configure(*names: str) -> None:
        config.write_text("".join(f'[[guest]]\nname = "{n}"\nkey_file = "{open_folder}/{n}.dat"\n' for n in names))
        config.chmod(0o644)

    configure("a")
    more = ["--user", user, "--config", str(config), "--kernel-filter", "on", "--pin-folder", pins]
    daemon = start_server(server, None, more=more)
    daemon.wait_for_line("kernel filter ready")
    firewall(server, "server", "up", "--pin-folder", pins, "--kernel-filter", "on")
    echo_server(server, 22)
    keep_kernel_quiet(direct.client)

    def answers(key: str) -> bool:
        with peer(direct.client, key, server.ipv4) as client:
            client.send_syn()
            return client.receive_synack(timeout=0.5) is not None

    def wrong() -> int:
        return int(status(server, "server")["kernelFilter"]["dropped"])

    assert answers(keys[0])
    assert wrong() == 0 and not answers(keys[1]) and wrong() == 1
    # Other keys after a reload, and the filter goes on with the clock.
    configure("a", "b")
    assert "1 guest added" in tool(server, "server", "reload").stdout
    assert answers(keys[1]) and not answers(keys[2]) and wrong() == 2
    configure("b")
    tool(server, "server", "reload")
    assert not answers(keys[0]) and wrong() == 3
    assert not any("switched off" in line or " ERROR " in line for line in daemon.lines()), daemon.output
    assert daemon.stop() == 0


def test_the_kernel_filter_without_a_hook(host: Host, open_folder: Path, pins: str) -> None:
    """As on kernels that have none: it goes on, also when the daemon may not look into its folder any more."""
    for name in ("tcpknock-server", "syn_code.bpf.o"):
        shutil.copy(Path(program("tcpknock-server")).parent / name, open_folder)
    command = [str(open_folder / "tcpknock-server"), "--config", "", "--control-socket", "", "--state-dir", ""]
    command += ["--key-file", keygen(open_folder / "key.dat"), "--user", USER, "--pin-folder", pins, "--kernel-filter", "on"]
    daemon = host.popen(command)
    daemon.wait_for_line("cannot be attached to the network itself, so it has no gate")
    daemon.wait_for_line(r"\bready\b", 10, which="stdout")
    # It tells the program the time each second.
    host.run(["sleep", "2.5"])
    assert daemon.stop() == 0
    assert not any(" ERROR " in line for line in daemon.lines()), daemon.output


@roles
def test_the_service_manager_is_told(host: Host, open_folder: Path, role: str) -> None:
    key = own_key(open_folder, "key.dat")
    path = str(open_folder / "notify")
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    os.chmod(path, 0o777)
    receiver.settimeout(10)
    command = [program(f"tcpknock-{role}"), "--config", "", "--control-socket", control_socket(host, role), "--user", USER,
               "--key-file", key]  # fmt: skip
    command += ["--state-dir", state_folder(host)] if role == "server" else []
    daemon = host.popen(command, env={"NOTIFY_SOCKET": path})
    assert receiver.recv(100) == b"READY=1"
    daemon.stop()
    assert receiver.recv(100) == b"STOPPING=1"
