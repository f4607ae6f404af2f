"""What happens to daemons while they work: signals, floods, full disks, stepped clocks, little memory, and junk.

After each of it, established connections live on, nobody was let in without the knock, and the daemon goes on, or ends
with an error that says why, and works after a restart.
"""

import os
import select
import signal
import socket
import struct
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from harness.clocks import FalseClock
from harness.crowd import Crowd, crowd_server
from harness.daemons import program, start_client, start_server, status
from harness.echo import echo_server
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in, inside
from harness.knock import (
    FAMILIES,
    WITHOUT_FILTER,
    assert_nobody_locked_out,
    counted,
    counters,
    equip,
    keep_kernel_quiet,
    knockpeer,
    peer,
    protect,
    put_rules,
)
from harness.processes import Program
from harness.queues import queue_counters
from harness.roles import QUEUE, roles
from harness.topologies import Network
from harness.waiting import eventually

NAMES = {signal.SIGKILL: "kill", signal.SIGTERM: "term", signal.SIGHUP: "hangup"}
signals = pytest.mark.parametrize("number", NAMES, ids=NAMES.values())
STAGES = ("SYN accepted", "SYN/ACK sent", "verified")


class Protected:
    """A server behind the knock, `client` who knocks, and `other` who does not; a connection that must live on."""

    def __init__(self, network: Network, key_file: str) -> None:
        assert network.other
        self.network, self.key_file = network, key_file
        self.client, self.other, self.server = network.client, network.other, network.server
        self.daemons = {"server": protect(self.server, key_file), "client": equip(self.client, key_file)}
        self.service = crowd_server(self.server)
        self.established = [connect(self.client, self.server.address(family)) for family in FAMILIES]
        assert all(map(echoes, self.established))

    def strike(self, role: str, number: signal.Signals) -> None:
        """Sends a daemon a signal; one that ends by it is started again."""
        daemon = self.daemons[role]
        daemon.send_signal(number)
        if number == signal.SIGHUP:
            daemon.wait_for_line("NOTICE (configuration read again|SIGHUP)|ERROR")
            assert daemon.alive
            return
        assert daemon.wait(5) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        self.restart(role)

    def restart(self, role: str) -> None:
        start = {"server": self._start_server, "client": start_client}[role]
        host = {"server": self.server, "client": self.client}[role]
        self.daemons[role] = start(host, self.key_file)

    @staticmethod
    def _start_server(host: Host, key_file: str) -> Program:
        return start_server(host, key_file, more=WITHOUT_FILTER)

    def check(self) -> None:
        """What must hold whatever has happened."""
        assert all(map(echoes, self.established)), "established connections live on"
        for family in FAMILIES:
            assert gets_in(self.client, self.server.address(family), timeout=5), "who knocks gets in"
            assert not gets_in(self.other, self.server.address(family), timeout=0.3), "who does not, does not"
        assert_nobody_locked_out(self.daemons["server"])


@pytest.fixture
def protected(two_clients: Network, key_file: str) -> Protected:
    return Protected(two_clients, key_file)


def end_synacks(host: Host, chain: str, ending: bool) -> None:
    """The host drops SYN/ACKs of port 22 that it sends (OUTPUT) or gets (PREROUTING), before all else; or no longer."""
    for iptables in ("iptables", "ip6tables"):
        host.run([iptables, "-w", "-t", "raw", "-I" if ending else "-D", chain, "-p", "tcp", "--sport", "22",
                  "--tcp-flags", "SYN,ACK", "SYN,ACK", "-j", "DROP"])  # fmt: skip


# --- signals ------------------------------------------------------------------------------------------------------


@signals
@roles
@pytest.mark.parametrize("stage", STAGES)
def test_a_signal_at_each_stage(protected: Protected, stage: str, role: str, number: signal.Signals) -> None:
    before = counters(protected.daemons["server"])
    reached = {"SYN accepted": "syn-accepted", "SYN/ACK sent": "syn-ack-masked", "verified": "acknowledgment-verified"}
    held = {"SYN accepted": (protected.server, "OUTPUT"), "SYN/ACK sent": (protected.client, "PREROUTING")}.get(stage)
    if held:
        end_synacks(*held, True)
    connections: List[socket.socket] = []
    for family in FAMILIES:
        with inside(protected.client):
            connection = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
        connection.setblocking(False)
        connection.connect_ex((protected.server.address(family), 22))
        connections.append(connection)
    counted(protected.daemons["server"], reached[stage], before[reached[stage]] + 2)

    protected.strike(role, number)

    if held:
        end_synacks(*held, False)
    if held and role == "server" and number != signal.SIGHUP:
        # The codes are used up, and who goes on with a handshake that the next daemon knows nothing of cannot be told
        # from who replays it: a new attempt gets in. (A daemon that was killed may not have written the code down.)
        for connection in connections:
            select.select([], [connection], [], 1)
            connection.close()
        protected.check()
        return
    for connection in connections:
        assert select.select([], [connection], [], 10)[1], "the handshake is finished behind the signal"
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        connection.settimeout(10)
        assert echoes(connection)
        connection.close()
    protected.check()


@signals
@roles
def test_a_signal_under_load(protected: Protected, role: str, number: signal.Signals) -> None:
    if role == "client" and number == signal.SIGKILL:
        pytest.skip("whose SYN/ACK comes just then is locked out: test_a_client_daemon_killed_before_the_synack")
    server = protected.daemons["server"]
    before = counters(server)["acknowledgment-verified"]
    patience = 60 if role == "client" or number == signal.SIGHUP else 8
    crowds = [
        Crowd(protected.client, protected.server.address(family), count=200, timeout=patience) for family in FAMILIES
    ]
    counted(server, "acknowledgment-verified", before + 1)
    protected.strike(role, number)
    for crowd in crowds:
        result = crowd.result()
        if role == "server" and number != signal.SIGHUP:
            # A handshake between its SYN/ACK and its third ACK is lost with the daemon that knew it: that client, which
            # takes its connection for open, gets no more answers. All others get in, as they do if they try again.
            assert result.complete + result.failures.get("TimeoutError: ", 0) == 200, result.failures
            assert result.complete > 0
        else:
            assert (result.complete, result.failures) == (200, {})
    for family in FAMILIES:
        result = Crowd(protected.client, protected.server.address(family), count=100).result()
        assert (result.complete, result.failures) == (100, {})
    protected.check()


def waiting_for_a_synack(protected: Protected) -> socket.socket:
    """A connection whose SYN/ACKs do not arrive for now."""
    before = counters(protected.daemons["server"])["syn-ack-masked"]
    end_synacks(protected.client, "PREROUTING", True)
    with inside(protected.client):
        connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex((protected.server.ipv4, 22))
    counted(protected.daemons["server"], "syn-ack-masked", before + 1)
    return connection


def test_a_client_daemon_that_is_ended_before_the_synack(protected: Protected) -> None:
    """It stays until what it has coded is answered."""
    client = protected.daemons["client"]
    with waiting_for_a_synack(protected) as connection:
        client.send_signal(signal.SIGTERM)
        end_synacks(protected.client, "PREROUTING", False)
        assert select.select([], [connection], [], 10)[1]
        connection.settimeout(10)
        assert echoes(connection)
    assert client.wait(5) == 0
    protected.restart("client")
    assert_nobody_locked_out(protected.daemons["server"])


def test_a_client_daemon_killed_before_the_synack(protected: Protected) -> None:
    """Its rules let the SYN/ACK pass, as they must for servers that know nothing of knocking.

    So the kernel acknowledges the masked ISN, which is what somebody without the key does: a lockout.
    """
    with waiting_for_a_synack(protected):
        protected.daemons["client"].kill()
        end_synacks(protected.client, "PREROUTING", False)
        counted(protected.daemons["server"], "masked-acknowledgment", 1, timeout=10)
    protected.restart("client")


# --- queues that overflow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_daemon_that_cannot_keep_up(protected: Protected, family: int) -> None:
    server = protected.daemons["server"]
    before = counters(server).get("syn-with-wrong-code", 0)
    lost = queue_counters(protected.server)[100]
    count = 60_000
    with inside(protected.other):
        link = knockpeer.Link(protected.server.address(family), protected.other.address(family))
    server.send_signal(signal.SIGSTOP)
    try:
        sent = knockpeer.flood_acks(
            protected.other.address(family), 1234, protected.server.address(family), 22, count, flags=2, link=link
        )
        link.close()
        assert sent == count
        assert all(map(echoes, protected.established)), "a connection does not need the daemon"
    finally:
        server.send_signal(signal.SIGCONT)
    now = queue_counters(protected.server)[100]
    dropped = now.dropped - lost.dropped + now.user_dropped - lost.user_dropped
    assert dropped > count // 2, "much more came than there is room for"
    counted(server, "syn-with-wrong-code", before + count - dropped, timeout=20)
    # The kernel counts them, and the daemon says so to those who ask.
    (queue,) = status(protected.server, "server")["queues"]
    assert queue["droppedInQueue"] + queue["droppedOnTheWay"] == now.dropped + now.user_dropped
    protected.check()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_receive_buffer_that_overflows(direct: Network, family: int, key_file: str) -> None:
    """Packets so long that fewer of them fill the buffer than the queue: the kernel says ENOBUFS, and the daemon so."""
    client, server = direct.client, direct.server
    for host in (client, server):
        host.ip("link", "set", "eth0", "mtu", "9000")
    judge = protect(server, key_file)
    daemon = equip(client, key_file)
    echo_server(server, 22)
    established = connect(client, server.address(family))
    with inside(server):
        link = knockpeer.Link(client.address(family), server.address(family))
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    source, destination = (socket.inet_pton(kind, host.address(family)) for host in (server, client))
    flags = knockpeer.SYN | knockpeer.ACK
    segment = knockpeer.build_tcp(source, destination, 22, 1234, 1, 2, flags, bytes(8000))
    packet = knockpeer.build_ip(source, destination, segment)
    before, count = counters(daemon), 6000
    daemon.send_signal(signal.SIGSTOP)
    try:
        for _ in range(count):
            link.send(packet)
        link.close()
        assert echoes(established)
    finally:
        daemon.send_signal(signal.SIGCONT)
    daemon.wait_for_line(r"WARNING packets came faster than the queue was read.* times=\d", 10)
    eventually(lambda: queue_counters(client)[200].queued == 0, what="the queue to be read")
    judged = counters(daemon)["syn-ack-of-other-server"] - before.get("syn-ack-of-other-server", 0)
    assert 0 < judged < count
    # A client's queue lets pass what finds no room, as if there were no daemon: so nothing was dropped.
    assert status(client, "client")["queues"][0]["droppedOnTheWay"] == 0
    assert gets_in(client, server.address(family), timeout=5)
    assert echoes(established)
    assert_nobody_locked_out(judge)


# --- queues that somebody else has --------------------------------------------------------------------------------


@roles
def test_a_queue_that_is_taken_during_a_restart(protected: Protected, role: str, key_file: str) -> None:
    host, number = {"server": (protected.server, 100), "client": (protected.client, 200)}[role]
    protected.daemons[role].stop()
    with inside(host):
        thief = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    with thief:
        thief.bind((0, 0))
        body = struct.pack("!BBH", 0, 0, number) + struct.pack("=HH", 8, 1) + struct.pack("!BBH", 1, 0, 0)
        thief.send(struct.pack("=IHHII", 16 + len(body), 3 << 8 | 2, 1, 0, 0) + body)
        eventually(lambda: number in queue_counters(host), what="the queue to be taken")
        command = [program(f"tcpknock-{role}"), "--config", "", "--control-socket", "", "--key-file", key_file]
        ended = host.run(command, check=False, timeout=10)
        assert ended.returncode == os.EX_UNAVAILABLE
        assert f"queue {number}" in ended.stderr and "another process" in ended.stderr
        assert all(map(echoes, protected.established))
        assert not gets_in(protected.other, protected.server.ipv4, timeout=0.3)
    protected.restart(role)
    protected.check()


# --- messages that are not the kernel's ---------------------------------------------------------------------------


def queued_packet(identifier: int, packet: bytes) -> bytes:
    """A message as the kernel sends one for a queued packet (linux/netfilter/nfnetlink_queue.h)."""
    attributes = struct.pack("=HH", 11, 1) + struct.pack("!IHBx", identifier, 0x0800, 0)
    attributes += struct.pack("=HH", 4 + len(packet), 10) + packet + b"\0" * (-len(packet) % 4)
    return message(3 << 8, struct.pack("!BBH", 2, 0, 100) + attributes)


def message(kind: int, body: bytes, length: Optional[int] = None) -> bytes:
    return struct.pack("=IHHII", 16 + len(body) if length is None else length, kind, 0, 0, 0) + body


@roles
def test_messages_of_other_processes_are_ignored(protected: Protected, role: str) -> None:
    """Root can send to the port of another process, but not to one of a daemon. None of it is judged, or ends one."""
    host, number = {"server": (protected.server, 100), "client": (protected.client, 200)}[role]
    daemon = protected.daemons[role]
    before = counters(daemon)
    syn = knockpeer.build_ip(
        socket.inet_aton("10.9.9.9"), socket.inet_aton("10.9.9.8"),
        knockpeer.build_tcp(socket.inet_aton("10.9.9.9"), socket.inet_aton("10.9.9.8"), 1, 22, 1, 7, 2),
    )  # fmt: skip
    junk = [
        *(queued_packet(identifier, syn) for identifier in (0, 1, 5, 2**32 - 1)),
        queued_packet(1, b""), queued_packet(1, b"\x45"), queued_packet(1, bytes(60_000)),
        message(3 << 8, b""), message(3 << 8, b"\0" * 4 + b"\xff" * 4), message(3 << 8, b"\0\0\0\x64\x03\0\x01\0"),
        message(3 << 8, bytes(8), length=8), message(3 << 8, bytes(8), length=2**31), message(2, b"", length=16),
        message(2, struct.pack("=i", -1) + bytes(16)), message(2, b"\xff"), message(3, b""), message(0xFFFF, bytes(100)),
        b"\0", bytes(15), bytes(16), bytes(10_000), *(os.urandom(length) for length in range(1, 300)),
    ]  # fmt: skip
    with inside(host):
        sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    with sender:
        sender.bind((0, 0))
        ports = {queue_counters(host)[number].portid, *netlink_ports(host, daemon.pid)}
        assert ports
        for port in ports:
            for datagram in junk:
                with pytest.raises(ConnectionRefusedError):
                    sender.sendto(datagram, (port, 0))
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as open_to_all:
            open_to_all.bind((0, 0))
            assert sender.sendto(junk[0], open_to_all.getsockname()) == len(junk[0]), "root may do it at all"
    after = counters(daemon)
    assert after == before, "none of them was judged"
    protected.check()


def netlink_ports(host: Host, process: int) -> List[int]:
    """The ports of a process's netfilter sockets (/proc/net/netlink shows the thread group's id or a made-up number)."""
    table = host.run(["cat", "/proc/net/netlink"]).stdout.splitlines()[1:]
    descriptors = [os.readlink(f"/proc/{process}/fd/{name}") for name in os.listdir(f"/proc/{process}/fd")]
    inodes = {name[8:-1] for name in descriptors if name.startswith("socket:[")}
    return [int(line.split()[2]) for line in table if line.split()[1] == "12" and line.split()[-1] in inodes]


# --- file systems -------------------------------------------------------------------------------------------------


class SmallDisk:
    """A file system for one daemon."""

    def __init__(self, host: Host, folder: Path, key_file: str, options: str, *flags: str, prepare: str = "true") -> None:
        self.folder = folder
        script = f'mount -t tmpfs -o {options} none "$0" && {{ {prepare}; }} && exec "$@"'
        command = [program("tcpknock-server"), "--config", "", "--key-file", key_file, *WITHOUT_FILTER, *flags]
        self.daemon = host.popen(
            ["unshare", "-m", "sh", "-c", script, str(folder), *command], name="tcpknock-server",
        )  # fmt: skip

    def inside(self, command: str) -> None:
        """Runs a command that sees the file system."""
        os.system(f"nsenter -t {self.daemon.pid} -m sh -c '{command}'")


@pytest.fixture
def knocking(two_clients: Network, key_file: str) -> Iterator[Callable[[Program], None]]:
    """A client, rules and a service; the test brings the daemon, and calls what this gives to see that it works."""
    put_rules(two_clients.server, "server")
    equip(two_clients.client, key_file)
    echo_server(two_clients.server, 22)

    def works(daemon: Program) -> None:
        for family in FAMILIES:
            address = two_clients.server.address(family)
            assert gets_in(two_clients.client, address)
            assert two_clients.other and not gets_in(two_clients.other, address, timeout=0.3)
        assert_nobody_locked_out(daemon)

    yield works


@pytest.mark.parametrize("trouble", ("full", "read-only"))
def test_metrics_that_cannot_be_written(
    two_clients: Network, knocking: Callable[[Program], None], trouble: str, key_file: str, tmp_path: Path
) -> None:
    metrics = tmp_path / "metrics.prom"
    options = "size=4k" if trouble == "full" else "ro"
    prepare = f"head -c 4096 /dev/zero >{tmp_path}/filler" if trouble == "full" else "true"
    disk = SmallDisk(
        two_clients.server, tmp_path, key_file, options, "--control-socket", "", "--metrics-file", str(metrics),
        prepare=prepare,
    )  # fmt: skip
    disk.daemon.wait_for_line("^ready$", 10, which="stdout")
    reason = "No space left" if trouble == "full" else "Read-only"
    disk.daemon.wait_for_line(f"ERROR metrics not written: .*{reason}.*{metrics}")
    knocking(disk.daemon)
    assert len([line for line in disk.daemon.lines() if "not written" in line]) == 1, "said once"
    if trouble == "read-only":
        assert disk.daemon.stop() == 0
        return
    # Once there is room, they are.
    disk.inside(f"rm -f {tmp_path}/filler; mount -o remount,rw,size=1m {tmp_path}")
    disk.daemon.wait_for_line("NOTICE metrics are written again", 20)
    assert len([line for line in disk.daemon.lines() if "not written" in line]) == 1, "said once"
    assert disk.daemon.stop() == 0


@pytest.mark.parametrize("trouble", ("full", "read-only"))
def test_a_control_socket_that_cannot_be_made(
    two_clients: Network, knocking: Callable[[Program], None], trouble: str, key_file: str, tmp_path: Path
) -> None:
    path = tmp_path / "server.sock"
    options = "nr_inodes=1" if trouble == "full" else "ro"
    disk = SmallDisk(two_clients.server, tmp_path, key_file, options, "--control-socket", str(path))
    assert disk.daemon.wait(10) == os.EX_CANTCREAT
    reason = "No space left" if trouble == "full" else "Read-only"
    assert str(path) in disk.daemon.output and reason in disk.daemon.output
    assert 100 not in queue_counters(two_clients.server)
    # Without one it works.
    disk = SmallDisk(two_clients.server, tmp_path, key_file, options, "--control-socket", "")
    disk.daemon.wait_for_line("^ready$", 10, which="stdout")
    knocking(disk.daemon)


# --- the clock ----------------------------------------------------------------------------------------------------


@roles
@pytest.mark.parametrize("minutes", (5, -5), ids=("forward", "back"))
def test_a_clock_that_is_stepped(
    two_clients: Network, role: str, minutes: int, key_file: str, tmp_path: Path
) -> None:
    clock = FalseClock(tmp_path)
    false: Dict[str, Any] = {"env": clock.environment}
    server = protect(two_clients.server, key_file, **(false if role == "server" else {}))
    equip(two_clients.client, key_file, **(false if role == "client" else {}))
    echo_server(two_clients.server, 22)
    address = two_clients.server.ipv4
    connections = [connect(two_clients.client, address)]
    assert echoes(connections[0])
    near = 50 if minutes > 0 else -50  # seconds, and no matter
    for step, works in ((60 * minutes, False), (0, True), (near, True), (60 * minutes, False), (0, True)):
        clock.set(step)
        before = counters(server).get("syn-with-wrong-code", 0)
        assert gets_in(two_clients.client, address, timeout=5 if works else 0.5) == works, f"{step} s off"
        assert (counters(server).get("syn-with-wrong-code", 0) > before) == (not works)
        if works:
            connections.append(connect(two_clients.client, address))
        assert all(map(echoes, connections)), "established connections live on"
    assert two_clients.other and not gets_in(two_clients.other, address, timeout=0.3)
    assert_nobody_locked_out(server)


def test_a_replay_across_a_clock_that_is_set_back(two_clients: Network, key_file: str, tmp_path: Path) -> None:
    """A code that has been used stays used, whatever the clock says."""
    clock = FalseClock(tmp_path)
    server = protect(two_clients.server, key_file, env=clock.environment)
    keep_kernel_quiet(two_clients.client)
    echo_server(two_clients.server, 22)
    with peer(two_clients.client, key_file, two_clients.server.ipv4) as client:
        code = client.send_syn()
        assert client.receive_synack()
        client.send_ack()
        counted(server, "acknowledgment-verified")
        for step in (300, 0, -300, 0):
            clock.set(step)
            with peer(two_clients.client, key_file, two_clients.server.ipv4) as thief:
                before = sum(counters(server).get(name, 0) for name in ("syn-replayed", "syn-with-wrong-code"))
                thief.send_syn(isn=client.c, code=code)
                eventually(
                    lambda: sum(counters(server).get(name, 0) for name in ("syn-replayed", "syn-with-wrong-code"))
                    > before,
                    what="the replay to be judged",
                )
                assert thief.receive_segment(0.1) is None
    assert counters(server)["syn-accepted"] == 1
    assert_nobody_locked_out(server)


# --- memory -------------------------------------------------------------------------------------------------------


@roles
def test_little_address_space(protected: Protected, role: str, key_file: str) -> None:
    """A daemon starts and works, or says that it cannot; it does neither by halves."""
    host = {"server": protected.server, "client": protected.client}[role]
    protected.daemons[role].stop()
    command = [program(f"tcpknock-{role}"), "--config", "", "--control-socket", "", "--key-file", key_file]
    command += WITHOUT_FILTER if role == "server" else []
    # The server's used codes may come to 100 MB.
    least = {"server": 228, "client": 128}[role]
    for megabytes in (64, least - 1, least, 300, 1000):
        daemon = host.popen(
            ["prlimit", f"--as={megabytes << 20}", *command], name=f"daemon with {megabytes} MB",
        )  # fmt: skip
        if megabytes < least:
            assert daemon.wait(10) == os.EX_OSERR
            assert "address space" in daemon.output and f"{megabytes} MB" in daemon.output
            assert QUEUE[role] not in queue_counters(host)
            continue
        daemon.wait_for_line("^ready$", 20, which="stdout")
        for family in FAMILIES:
            assert gets_in(protected.client, protected.server.address(family), timeout=5)
        assert daemon.stop() == 0
    protected.restart(role)
    protected.check()
