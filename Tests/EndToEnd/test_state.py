"""What outlives the server's daemon: lockouts, used codes, and whose the open connections are."""

import hashlib
import os
import shutil
import signal
import stat
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from harness.clocks import FalseClock
from harness.daemons import keygen, program, start_server, state_folder, status, tool
from harness.echo import echo_server
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import (
    FAMILIES,
    WITHOUT_FILTER,
    WRONG,
    counted,
    counters,
    equip,
    keep_kernel_quiet,
    peer,
    protect,
)
from harness.processes import Program, resident_kilobytes
from harness.topologies import Network
from harness.waiting import eventually

ENDINGS = ("SIGTERM", "SIGKILL")
TAKEN_UP = r"NOTICE state taken up connections=(\d+) lockouts=(\d+) used-codes=(\d+)"
#: The bytes of the state file's head, of a checksum, and of records by their first byte; for used codes, of one
#: (Sources/Server/State/StateFormat.swift, StateRecord.swift).
HEAD, CHECKSUM = 60, 16
PARTY, RETIRED, LOCKOUT, OPENED, ENDED, COMPLETE, USED_CODES, SLOTS, PARTY_LOCKOUT = 1, *range(3, 11)
RECORDS = {PARTY: 109, 2: 41, RETIRED: 9, LOCKOUT: 34, OPENED: 57, ENDED: 37, COMPLETE: 1, USED_CODES: 32, SLOTS: 25,
           PARTY_LOCKOUT: 38}  # fmt: skip
CANTCREAT, NOPERM = 73, 77


def end(daemon: Program, ending: str) -> None:
    if ending == "SIGKILL":
        daemon.kill()
    else:
        assert daemon.stop() == 0


def restart(host: Host, key_file: "str | None", **options: Any) -> Program:
    more = [*WITHOUT_FILTER, *options.pop("more", [])]
    return start_server(host, key_file, more=more, **options)


def taken_up(daemon: Program) -> List[int]:
    """How many connections, lockouts and used codes a daemon has taken up."""
    return [int(number) for number in daemon.wait_for_line(TAKEN_UP).groups()]


def lock_out(network: Network, key_file: str, address: str) -> None:
    with peer(network.client, key_file, address) as client:
        client.send_syn()
        assert client.receive_synack()
        client.send_ack(ack=client.rcv_nxt ^ WRONG)


def files(host: Host) -> List[str]:
    return sorted(os.listdir(state_folder(host)))


def used_codes(path: Path) -> "set[bytes]":
    """`A` and `C` of the used codes in a state file."""
    data, position = path.read_bytes(), HEAD + CHECKSUM
    found = set()
    while position + 2 <= len(data):
        kind, count = data[position : position + 2]
        if kind == USED_CODES:
            for start in range(position + 2, position + 2 + 32 * count, 32):
                found.add(data[start : start + 20])
            position += 2 + 32 * count + CHECKSUM
        else:
            position += RECORDS[kind] + CHECKSUM
    return {code for code in found if len(code) == 20}


def checked(data: bytes, before: bytes = b"") -> bytes:
    """Bytes with their checksum."""
    return data + hashlib.blake2b(before + data, digest_size=CHECKSUM).digest()


def write_state(path: Path, records: List[bytes]) -> None:
    """A state file of this boot."""
    boot = bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    data = checked(struct.pack("!8sI16s16sqQ", b"TCPKNOCK", 1, boot, os.urandom(16), int(time.time()), 1))
    for record in [*records, bytes([COMPLETE])]:
        data += checked(record, data[-CHECKSUM:])
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)


# --- lockouts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_lockout(two_clients: Network, key_file: str, family: int, ending: str) -> None:
    server, address = two_clients.server, two_clients.server.address(family)
    assert two_clients.other
    for client in (two_clients.client, two_clients.other):
        equip(client, key_file)
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)
    daemon = protect(server, key_file)
    lock_out(two_clients, key_file, address)
    daemon.wait_for_line("WARNING locked out")
    end(daemon, ending)

    daemon = restart(server, key_file)
    assert taken_up(daemon)[1] == 1
    locks = tool(server, "server", "locks").stdout
    assert two_clients.client.address(family) in locks and "wrong-acknowledgment" in locks
    assert not gets_in(two_clients.client, address, timeout=0.5)
    counted(daemon, "locked-out")
    assert gets_in(two_clients.other, address)

    # One that somebody has ended is ended for the next daemon, too.
    tool(server, "server", "unlock", two_clients.client.address(family))
    assert gets_in(two_clients.client, address)
    end(daemon, ending)
    daemon = restart(server, key_file)
    assert taken_up(daemon)[1] == 0
    assert gets_in(two_clients.client, address)


def test_a_lockout_ends_when_it_would_have_ended(two_clients: Network, key_file: str) -> None:
    server = two_clients.server
    equip(two_clients.client, key_file)
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)
    daemon = protect(server, key_file, lockout_seconds=4)
    lock_out(two_clients, key_file, server.ipv4)
    daemon.wait_for_line("WARNING locked out")
    daemon.kill()
    daemon = restart(server, key_file, lockout_seconds=4)
    assert taken_up(daemon)[1] == 1
    eventually(lambda: gets_in(two_clients.client, server.ipv4, timeout=0.3), 6, "the lockout to end")


# --- used codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("family", "no_time"), ((4, False), (6, False), (4, True)))
def test_a_used_code(two_clients: Network, key_file: str, family: int, no_time: bool, ending: str) -> None:
    server, address = two_clients.server, two_clients.server.address(family)
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)
    daemon = protect(server, key_file, no_time=no_time)
    with peer(two_clients.client, key_file, address, source_port=20_001, time_enabled=not no_time) as client:
        code = client.send_syn()
        assert client.receive_synack()
        isn = client.c
        assert isn is not None
        client.send_ack()
        client.established = True
        assert client.exchange(b"hello") == b"hello"
    daemon.wait_for_line("INFO connection verified")

    # More than once: what was taken up is handed on.
    for port in (20_002, 20_003, 20_004):
        end(daemon, ending)
        daemon = restart(server, key_file, no_time=no_time)
        assert taken_up(daemon)[2] == 1
        with peer(two_clients.client, key_file, address, source_port=port, time_enabled=not no_time) as thief:
            thief.send_syn(isn=isn, code=code)
            counted(daemon, "syn-replayed")
            assert thief.receive_segment(0.1) is None
    with peer(two_clients.client, key_file, address, source_port=20_009, time_enabled=not no_time) as client:
        client.send_syn()
        assert client.receive_synack(), "a new one is good"


def test_a_used_code_of_a_handshake_that_did_not_end(two_clients: Network, key_file: str) -> None:
    """The file has it within the delay with which events are announced, not only when a connection is verified."""
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)
    daemon = protect(server, key_file, log_level="debug")
    with peer(two_clients.client, key_file, server.ipv4, source_port=20_001) as client:
        code = client.send_syn()
        assert client.receive_synack()
        daemon.wait_for_line("handshake begun")
        daemon.kill()
        daemon = restart(server, key_file)
        with peer(two_clients.client, key_file, server.ipv4, source_port=20_002) as thief:
            thief.send_syn(isn=client.c, code=code)
            counted(daemon, "syn-replayed")


def test_many_used_codes(two_clients: Network, key_file: str) -> None:
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    daemon = protect(server, key_file)
    path = Path(state_folder(server), "server-100.state")
    sent: List["tuple[int, int]"] = []
    with peer(two_clients.client, key_file, server.ipv4, source_port=20_001) as client:
        for isn in range(1000, 1000 + 7 * 300, 7):
            sent.append((isn, client.send_syn(isn=isn)))
        counted(daemon, "syn-accepted", len(sent))
        # Those codes of which nothing was logged are in the file after a second at the latest.
        eventually(lambda: len(used_codes(path)) == len(sent), 3, "the codes to be written")
        daemon.kill()
        daemon = restart(server, key_file)
        assert taken_up(daemon)[2] == len(sent)
        for isn, code in sent:
            client.send_syn(isn=isn, code=code)
        assert "syn-accepted" not in counted(daemon, "syn-replayed", len(sent))


def test_thousands_of_codes_a_second(two_clients: Network, key_file: str) -> None:
    """Memory and the state file grow with them, and all of them outlive the daemon."""
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    daemon = protect(server, key_file)
    path = Path(state_folder(server), "server-100.state")
    # Once, so that what is needed for a SYN at all is in memory.
    with peer(two_clients.client, key_file, server.ipv4, source_port=20_001) as client:
        client.send_syn()
        counted(daemon, "syn-accepted")
        before, begin, count = resident_kilobytes(daemon.pid), time.monotonic(), 60_000
        for isn in range(count):
            client.send_syn(isn=1 + isn * 11)
        seconds = time.monotonic() - begin
        eventually(lambda: sum(counters(daemon).values()) > count, 10, "all SYNs to be judged")
    verdicts = counters(daemon)
    assert set(verdicts) <= {"syn-accepted", "syn-retransmitted", "syn-ack-masked"}, verdicts
    accepted = verdicts["syn-accepted"]
    # The kernel loses some of so many SYNs at a time where there is not enough processor for both hosts.
    assert accepted > count * 0.9
    codes = status(server, "server")["usedCodes"]
    assert codes == {"taken": accepted, "capacity": 2_621_440}
    growth = resident_kilobytes(daemon.pid) - before
    print(f"{accepted} codes in {seconds:.1f} s: {growth} kB more, {path.stat().st_size >> 10} kB in the file")
    # 40 bytes for a code, those of the handshake beside it, and what waits to be written.
    assert growth < 16 * 1024
    eventually(lambda: len(used_codes(path)) == accepted, 5, "all to be in the file")
    daemon.kill()
    daemon = restart(server, key_file)
    assert taken_up(daemon)[2] == accepted
    assert status(server, "server")["usedCodes"]["taken"] == accepted


def minute(number: int) -> bytes:
    return number.to_bytes(8, "big")


@pytest.mark.parametrize("older", (False, True), ids=("slots", "of before"))
def test_minutes_of_a_clock_that_was_ahead(
    two_clients: Network, key_file: str, tmp_path: Path, older: bool
) -> None:
    """Minutes whose used codes are forgotten are refused, and no others; a file of before has only the last of them."""
    server, slot = two_clients.server, int(time.time()) // 60
    spans = ((slot - 90, slot - 20), (slot + 55, slot + 65))
    records = [bytes([SLOTS]) + minute(first) + minute(last) + bytes(8) for first, last in spans]
    if older:
        records = [bytes([RETIRED]) + minute(slot + 65)]
    write_state(Path(state_folder(server), "server-100.state"), records)
    clock = FalseClock(tmp_path)
    keep_kernel_quiet(two_clients.client)
    daemon = protect(server, key_file, env=clock.environment)
    assert taken_up(daemon) == [0, 0, 0]
    for seconds, works in ((0, True), (3600, False), (0, True), (-3000, False), (0, True), (7200, True)):
        clock.set(seconds)
        works = works and not (older and seconds < 7200)
        before = counters(daemon)
        with peer(two_clients.client, key_file, server.ipv4, clock=lambda: time.time() + seconds) as client:
            client.send_syn()
            name = "syn-accepted" if works else "syn-of-retired-slot"
            counted(daemon, name, before.get(name, 0) + 1)


def test_without_a_folder_nothing_is_kept(two_clients: Network, key_file: str) -> None:
    """So that the tests above show something."""
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    daemon = protect(server, key_file, more=["--state-dir", ""])
    with peer(two_clients.client, key_file, server.ipv4, source_port=20_001) as client:
        code = client.send_syn()
        counted(daemon, "syn-accepted")
        daemon.kill()
        daemon = restart(server, key_file, more=["--state-dir", ""])
        client.send_syn(code=code)
        counted(daemon, "syn-accepted")
    assert not os.path.exists(state_folder(server))


# --- connections --------------------------------------------------------------------------------------------------


def guests(folder: Path, names: List[str], target: Host) -> str:
    text = ""
    for name in names:
        key = folder / f"{name}.dat"
        if not key.exists():
            keygen(key)
        text += f'[[guest]]\nname = "{name}"\nkey_file = "{key}"\n'
    path = folder / f"{target.role}.toml"
    path.write_text(text)
    return str(path)


def owners(server: Host) -> Dict[int, str]:
    """The guests of the open connections, by the client's port."""
    rows = status(server, "server")["connections"]
    return {int(str(row["client"]).rsplit(":", 1)[1]): row.get("guest") for row in rows}


@pytest.mark.parametrize("ending", ENDINGS)
def test_whose_a_connection_is(two_clients: Network, tmp_path: Path, ending: str) -> None:
    server, address = two_clients.server, two_clients.server.ipv4
    assert two_clients.other
    config = guests(tmp_path, ["alice", "bob"], server)
    daemon = protect(server, None, more=["--config", config])
    equip(two_clients.client, str(tmp_path / "alice.dat"))
    equip(two_clients.other, str(tmp_path / "bob.dat"))
    echo_server(server, 22)
    alice, bob = connect(two_clients.client, address), connect(two_clients.other, address)
    gone = connect(two_clients.client, address)
    assert echoes(alice) and echoes(bob) and echoes(gone)
    port = gone.getsockname()[1]
    expected = {alice.getsockname()[1]: "alice", bob.getsockname()[1]: "bob", port: "alice"}
    eventually(lambda: owners(server) == expected, 5, "all connections to be known")
    before = {row["client"]: row for row in status(server, "server")["connections"]}
    end(daemon, ending)
    gone.close()

    daemon = restart(server, None, more=["--config", config])
    assert taken_up(daemon)[0] == 3
    # The end of one that ended meanwhile is told, with its guest.
    daemon.wait_for_line(f"connection ended .*client={two_clients.client.ipv4}:{port} .*guest=alice", 10)
    after = {row["client"]: row for row in status(server, "server")["connections"]}
    assert owners(server) == {alice.getsockname()[1]: "alice", bob.getsockname()[1]: "bob"}
    for client, row in after.items():
        assert row["seconds"] >= before[client]["seconds"]
    assert echoes(alice) and echoes(bob)
    end(daemon, ending)

    # Who is a guest no longer is cut off by the next daemon, and nobody else.
    daemon = restart(server, None, more=["--config", guests(tmp_path, ["bob"], server)])
    daemon.wait_for_line("connections closed .*count=1 .*reason=revoked")
    alice.settimeout(5)
    with pytest.raises(ConnectionResetError):
        alice.recv(1)
    assert echoes(bob)


# --- files and folders --------------------------------------------------------------------------------------------


def locked_out_state(network: Network, key_file: str) -> Path:
    """The file of a daemon that was ended while somebody was locked out."""
    keep_kernel_quiet(network.client)
    echo_server(network.server, 22)
    daemon = protect(network.server, key_file)
    lock_out(network, key_file, network.server.ipv4)
    daemon.wait_for_line("WARNING locked out")
    daemon.stop()
    return Path(state_folder(network.server), "server-100.state")


def test_modes_and_names(direct: Network, key_file: str) -> None:
    path = locked_out_state(direct, key_file)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files(direct.server) == ["server-100.lock", "server-100.state"]


DAMAGES: Dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
    "half of it": lambda data: data[: len(data) // 2],
    "nothing in it": lambda data: b"",
    "something else": lambda data: b"hello\n" * 50,
    "a later version": lambda data: data[:11] + b"\2" + data[12:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file(direct: Network, key_file: str, damage: str) -> None:
    path = locked_out_state(direct, key_file)
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)
    daemon = restart(direct.server, key_file)
    daemon.wait_for_line("ERROR the state of before is not used.*set aside as .*server-100.state.damaged")
    assert not any("state taken up" in line for line in daemon.lines())
    assert tool(direct.server, "server", "locks").stdout == "nobody is locked out\n"
    assert path.with_name("server-100.state.damaged").read_bytes() == damaged
    daemon.stop()
    daemon = restart(direct.server, key_file)
    assert taken_up(daemon) == [0, 0, 0], "the new file is good"
    assert files(direct.server) == ["server-100.lock", "server-100.state", "server-100.state.damaged"]


def test_a_file_that_is_too_long(direct: Network, key_file: str) -> None:
    path = locked_out_state(direct, key_file)
    os.truncate(path, (512 << 20) + 1)
    daemon = restart(direct.server, key_file)
    daemon.wait_for_line("ERROR the state of before is not used.*none is longer than.*set aside as")
    assert path.with_name("server-100.state.damaged").stat().st_size == (512 << 20) + 1


def test_a_file_of_others(direct: Network, key_file: str) -> None:
    path = locked_out_state(direct, key_file)
    path.chmod(0o644)
    daemon = restart(direct.server, key_file)
    daemon.wait_for_line("ERROR the state of before is not used.*mode 644")
    daemon.stop()
    os.chown(path, 65_534, 65_534)
    daemon = restart(direct.server, key_file)
    daemon.wait_for_line("ERROR the state of before is not used.*owner 65534")


def test_a_link_is_not_followed(direct: Network, key_file: str, tmp_path: Path) -> None:
    path = locked_out_state(direct, key_file)
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    content = (tmp_path / "elsewhere").read_bytes()
    daemon = restart(direct.server, key_file)
    daemon.wait_for_line("ERROR the state of before is not used")
    assert (tmp_path / "elsewhere").read_bytes() == content
    assert path.is_file() and not path.is_symlink()


def test_a_write_that_was_cut_off(direct: Network, key_file: str) -> None:
    path = locked_out_state(direct, key_file)
    # The first byte of one more record, as a host leaves it that loses power.
    with path.open("ab") as file:
        file.write(b"\2\0\0")
    daemon = restart(direct.server, key_file)
    daemon.wait_for_line("WARNING the last change of the state was not written completely.*bytes=3")
    assert taken_up(daemon)[1] == 1, "what is whole is used"


def refusal(host: Host, key_file: str, folder: "str | Path") -> "subprocess.CompletedProcess[str]":
    command = [program("tcpknock-server"), "--config", "", "--control-socket", "", "--key-file", key_file]
    return host.run([*command, *WITHOUT_FILTER, "--state-dir", str(folder)], check=False, timeout=10)


def test_folders_that_cannot_be_used(host: Host, key_file: str, tmp_path: Path) -> None:
    for folder, expected, exit_status in (
        (tmp_path / "none" / "none", "mkdir", CANTCREAT),
        (key_file, "", CANTCREAT),
    ):
        result = refusal(host, key_file, folder)
        assert result.returncode == exit_status, result.stderr
        assert str(folder) in result.stderr and expected in result.stderr
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    result = refusal(host, key_file, open_to_all)
    assert result.returncode == NOPERM and "chmod go-w" in result.stderr
    foreign = tmp_path / "foreign"
    foreign.mkdir(0o700)
    os.chown(foreign, 65_534, 65_534)
    result = refusal(host, key_file, foreign)
    assert result.returncode == NOPERM and "belongs to user 65534" in result.stderr


def test_a_folder_in_use(host: Host, key_file: str) -> None:
    start_server(host, key_file, more=WITHOUT_FILTER)
    with Host("second") as second:
        result = refusal(second, key_file, state_folder(host))
        assert result.returncode == CANTCREAT and "another daemon" in result.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", folder], timeout=20, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], timeout=20, check=True)


def test_a_disk_that_is_read_only(host: Host, key_file: str, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], timeout=20, check=True)
    result = refusal(host, key_file, small_disk)
    assert result.returncode == CANTCREAT and "Read-only file system" in result.stderr


def test_a_full_disk(two_clients: Network, key_file: str, small_disk: Path) -> None:
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    echo_server(server, 22)
    more = ["--state-dir", str(small_disk)]
    daemon = protect(server, key_file, more=more)
    (small_disk / "filler").write_bytes(bytes(60 * 1024))
    with peer(two_clients.client, key_file, server.ipv4, source_port=20_001) as client:
        for isn in range(2000):
            # Few from each port: a guest may leave only so many SYN/ACKs unanswered on one.
            client.source_port = 20_001 + isn % 250
            client.send_syn(isn=1 + isn * 7)
        daemon.wait_for_line("ERROR state not written: .*No space left")
        counted(daemon, "syn-accepted", 2000)
        assert len([line for line in daemon.lines() if "state not written" in line]) == 1
        # It goes on, and writes again when there is room.
        subprocess.run(["mount", "-o", "remount,size=4m", small_disk], timeout=20, check=True)
        daemon.wait_for_line("NOTICE state is written again", 15)
    daemon.kill()
    daemon = restart(server, key_file, more=more)
    assert taken_up(daemon)[2] == 2000


def test_a_disk_that_is_full_at_the_start(host: Host, key_file: str, small_disk: Path) -> None:
    (small_disk / "server-100.lock").touch(0o600)
    filler = subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/filler"], capture_output=True, timeout=20)
    assert filler.returncode != 0
    daemon = start_server(host, key_file, more=[*WITHOUT_FILTER, "--state-dir", str(small_disk)])
    daemon.wait_for_line("(ERROR state not written|WARNING lockouts and used codes will not outlive).*No space left")
    assert daemon.alive


def test_a_long_file_is_written_anew(two_clients: Network, key_file: str) -> None:
    server = two_clients.server
    keep_kernel_quiet(two_clients.client)
    daemon = protect(server, key_file)
    path = Path(state_folder(server), "server-100.state")
    first = path.stat().st_ino
    count = 40_000
    with peer(two_clients.client, key_file, server.ipv4, source_port=20_001) as client:
        for isn in range(count):
            client.send_syn(isn=1 + isn * 11)
        eventually(lambda: path.stat().st_ino != first, 10, "a new file")
    accepted = counted(daemon, "syn-accepted")["syn-accepted"]
    eventually(lambda: len(used_codes(path)) == accepted, 3, f"{accepted} codes to be written")
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    daemon = restart(server, key_file)
    assert taken_up(daemon)[2] == accepted
