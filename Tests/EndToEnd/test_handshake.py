"""Connections through the knock, on every kind of path, by programs that know nothing of it."""

import hashlib
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict

import pytest

from harness.capture import Capture
from harness.daemons import program
from harness.echo import echo, echo_server
from harness.hosts import Host
from harness.inside import connect, gets_in, inside, listen, receive
from harness.knock import (
    FAMILIES,
    MODES,
    assert_nobody_locked_out,
    counted,
    counters,
    equip,
    nat_addresses,
    protect,
)
from harness.queues import queue_counters
from harness.sshd import Sshd
from harness.topologies import Network

PATHS = ("direct", "routed", "natted")


@pytest.fixture(params=PATHS)
def network(request: pytest.FixtureRequest) -> Network:
    return request.getfixturevalue(request.param)


# --- every connection arrives -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_of_a_hundred(network: Network, family: int, key_file: str) -> None:
    server = protect(network.server, key_file, log_level="debug")
    client = equip(network.client, key_file, nat_ips=nat_addresses(network))
    echo_server(network.server, 22)

    result = echo(network.client, network.server.address(family), 22, connections=100, size=200_000)

    assert result.failures == []
    assert result.complete == 100
    verdicts = counters(server)
    assert (verdicts["syn-accepted"], verdicts["acknowledgment-verified"]) == (100, 100)
    assert counters(client)["syn-ack-proven"] == 100
    mask = "windowed" if nat_addresses(network) else "full"
    server.wait_for_line(f"handshake begun .*mask={mask}")
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("mask", MODES)
@pytest.mark.parametrize("path", ("direct", "routed"))
def test_the_mask_can_be_chosen(path: str, mask: str, key_file: str, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(path)
    server = protect(network.server, key_file, log_level="debug")
    equip(network.client, key_file, isn_mask=mask)
    echo_server(network.server, 22)
    for family in FAMILIES:
        assert echo(network.client, network.server.address(family), 22, connections=20).complete == 20
    masks = {line.split("mask=")[1].split()[0] for line in server.lines() if "handshake begun" in line}
    assert masks == {mask}


def test_a_full_mask_does_not_pass_a_strict_nat(natted: Network, key_file: str) -> None:
    # The counterpart of the hundred connections through this very NAT: it is not one that lets everything pass. (Since
    # Linux 6.0 connection tracking takes an ACK far below its window for an old one and lets it pass: half of them.)
    server = protect(natted.server, key_file)
    equip(natted.client, key_file, nat_ips=nat_addresses(natted), isn_mask="full")
    echo_server(natted.server, 22)
    result = echo(natted.client, natted.server.ipv4, 22, connections=16, timeout=0.3)
    assert result.complete < 16
    assert_nobody_locked_out(server)


def test_several_ports(direct: Network, key_file: str) -> None:
    ports = (22, 2222, 8022)
    server = protect(direct.server, key_file, ports)
    client = equip(direct.client, key_file, ports)
    echo_server(direct.server, *ports, 9000)
    for family in FAMILIES:
        for port in (*ports, 9000):
            assert echo(direct.client, direct.server.address(family), port, connections=5).complete == 5
    # What is not protected does not meet the daemons.
    assert counters(server)["acknowledgment-verified"] == 30
    assert counters(client)["syn-coded"] == 30


def test_several_queues(two_clients: Network, key_file: str) -> None:
    server = protect(two_clients.server, key_file, queue_num="100:103")
    echo_server(two_clients.server, 22)
    assert two_clients.other
    for client in (two_clients.client, two_clients.other):
        equip(client, key_file)
        for family in FAMILIES:
            result = echo(client, two_clients.server.address(family), 22, connections=50, size=20_000)
            assert result.failures == []
    assert counters(server)["acknowledgment-verified"] == 200
    queues = queue_counters(two_clients.server)
    assert set(queues) == {100, 101, 102, 103}
    # Which queue a connection goes through follows from its addresses, so no handshake is torn apart.
    assert sum(queue.id_sequence for queue in queues.values()) >= 600


def test_underscores_in_flags(natted: Network, key_file: str) -> None:
    def start(host: Host, name: str, *arguments: str) -> None:
        host.popen([program(name), *arguments]).wait_for_line("^ready$", which="stdout")

    start(natted.server, "tcpknock-server", "--key_file", key_file, "--queue_num", "300", "--target_port", "2222",
          "--lockout_seconds", "5", "--log_level", "debug", "--log_format", "json", "--no_time")  # fmt: skip
    start(natted.client, "tcpknock-client", "--key_file", key_file, "--queue_num", "400", "--target_port", "2222",
          "--nat_ip", natted.nat_ipv4, "--nat_ip", natted.nat_ipv6, "--isn_mask", "windowed", "--no_time")  # fmt: skip
    for host, role, queue in ((natted.server, "server", "300"), (natted.client, "client", "400")):
        host.run([f"{_firewall_folder()}/{role}.sh", "up", "--target_port", "2222", "--queue_num", queue])
    echo_server(natted.server, 2222)
    for family in FAMILIES:
        assert echo(natted.client, natted.server.address(family), 2222).complete == 1


def _firewall_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "firewall"


# --- real ssh -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ("direct", "natted"))
def test_ssh(path: str, key_file: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(path)
    data = os.urandom(1_000_000).hex()
    with Sshd(network.server, tmp_path / "sshd") as sshd:
        protect(network.server, key_file)
        for family in FAMILIES:
            address = network.server.address(family)
            without = sshd.ssh(network.client, address, connect_timeout=1)
            assert without.returncode == 255 and "timed out" in without.stderr
        equip(network.client, key_file, nat_ips=nat_addresses(network))
        for family in FAMILIES:
            address = network.server.address(family)
            ran = sshd.ssh(network.client, address, ["echo", "$SSH_CONNECTION"], check=True)
            assert ran.stdout.split()[0] == network.seen_as(family)
            copied = network.client.run(sshd.ssh_command(address, ["tee /dev/stderr | sha256sum"]), input=data)
            assert copied.stdout.split()[0] == hashlib.sha256(data.encode()).hexdigest()
            assert copied.stderr == data


@pytest.mark.parametrize("mask", ("auto", *MODES))
def test_a_router_knocks_for_a_host_without_any_software(natted: Network, mask: str, key_file: str) -> None:
    assert natted.router
    server = protect(natted.server, key_file)
    echo_server(natted.server, 22)
    assert not gets_in(natted.client, natted.server.ipv4, timeout=0.5)
    equip(natted.router, key_file, nat_ips=nat_addresses(natted), isn_mask=mask)
    for family in FAMILIES:
        address = natted.server.address(family)
        assert echo(natted.client, address, 22, connections=20, size=20_000).failures == []
        assert echo(natted.router, address, 22, connections=5, size=20_000).failures == []
    assert_nobody_locked_out(server)


# --- what goes lost -----------------------------------------------------------------------------------------------

FLAGS_OF = {"SYN": "SYN", "SYN/ACK": "SYN,ACK", "ACK": "ACK"}


def lose_first(router: Host, segment: str, how_many: int = 1) -> None:
    """The router loses the first so many segments of a kind, in each family."""
    side = "--sport" if segment == "SYN/ACK" else "--dport"
    for iptables in ("iptables", "ip6tables"):
        for _ in range(how_many):
            router.run([iptables, "-w", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", side, "22",
                        "--tcp-flags", "SYN,ACK", FLAGS_OF[segment],
                        "-m", "statistic", "--mode", "nth", "--every", "1000", "--packet", "0",
                        "-j", "DROP"])  # fmt: skip


def lost(router: Host) -> int:
    """How many segments the router has lost so far."""
    saved = (router.run([f"{name}-save", "-c", "-t", "raw"]).stdout for name in ("iptables", "ip6tables"))
    return sum(int(line[1:].split(":")[0]) for text in saved for line in text.splitlines() if "-j DROP" in line)


def talk(network: Network, family: int, first: str, listener: socket.socket) -> None:
    """A connection on which client or server speaks first, and then the other."""
    with connect(network.client, network.server.address(family), timeout=8) as client:
        if first == "client":
            client.sendall(b"I am first")
        with listener.accept()[0] as server:
            server.settimeout(8)
            if first == "server":
                server.sendall(b"Welcome")
                assert receive(client, 7) == b"Welcome"
                client.sendall(b"I am first")
            assert receive(server, 10) == b"I am first"
            server.sendall(b"answer")
            assert receive(client, 6) == b"answer"


LOSSES = {
    "nothing": ("", 0),
    "SYN": ("SYN", 1),
    "SYN-ACK": ("SYN/ACK", 1),
    "ACK": ("ACK", 1),
    "two ACKs": ("ACK", 2),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("path", "first"), (("routed", "server"), ("natted", "client"), ("natted", "server")))
def test_what_is_lost_comes_again(
    path: str, first: str, loss: str, key_file: str, request: pytest.FixtureRequest
) -> None:
    segment, how_many = LOSSES[loss]
    network: Network = request.getfixturevalue(path)
    assert network.router
    server = protect(network.server, key_file)
    equip(network.client, key_file, nat_ips=nat_addresses(network))
    listeners: Dict[int, socket.socket] = {}
    for family in FAMILIES:  # one for each family, as both talk at the same time
        with inside(network.server):
            kind = socket.AF_INET if family == 4 else socket.AF_INET6
            listeners[family] = socket.create_server((network.server.address(family), 22), family=kind)
        listeners[family].settimeout(8)
    if how_many:
        lose_first(network.router, segment, how_many)

    with ThreadPoolExecutor() as pool:
        for talking in [pool.submit(talk, network, family, first, listeners[family]) for family in FAMILIES]:
            talking.result(timeout=20)

    assert lost(network.router) == 2 * how_many
    counted(server, "acknowledgment-verified", 2)
    assert_nobody_locked_out(server)


# --- unusual SYNs and SYN/ACKs -------------------------------------------------------------------------------------


def kernel_count(host: Host, name: str) -> int:
    """One of the counters that the kernel of a host keeps."""
    return int(host.run(["nstat", "-asz", name]).stdout.split(name)[1].split()[0])


def test_explicit_congestion_notification(direct: Network, key_file: str, tmp_path: Path) -> None:
    for host in (direct.client, direct.server):
        host.sysctl({"net.ipv4.tcp_ecn": 1})
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    for family in FAMILIES:
        with Capture(direct.server, tmp_path) as capture:
            assert echo(direct.client, direct.server.address(family), 22).failures == []
            for flags in ("SEC", "SAE"):  # ECE and CWR ask for it in the SYN, ECE in the SYN/ACK agrees
                capture.wait_for(lambda packet: packet["TCP"].flags == flags, what=f"a segment with {flags}")


@pytest.mark.parametrize("path", ("direct", "natted"))
def test_syn_cookies(path: str, key_file: str, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(path)
    network.server.sysctl({"net.ipv4.tcp_syncookies": 2})  # always
    server = protect(network.server, key_file)
    equip(network.client, key_file, nat_ips=nat_addresses(network))
    echo_server(network.server, 22)
    for family in FAMILIES:
        assert echo(network.client, network.server.address(family), 22, connections=20).failures == []
    assert kernel_count(network.server, "TcpExtSyncookiesRecv") >= 40
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("path", ("direct", "natted"))
def test_fast_open(path: str, key_file: str, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(path)
    for host in (network.client, network.server):
        host.sysctl({"net.ipv4.tcp_fastopen": 3})
    server = protect(network.server, key_file, more=["--fast-open"])
    equip(network.client, key_file, nat_ips=nat_addresses(network))
    listener = listen(network.server)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    for family in FAMILIES:
        for _ in range(3):  # the first one fetches the cookie
            with inside(network.client):
                client = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
            with client:
                limit = struct.pack("ll", 5, 0)  # Python's own time limit would make the socket a non-blocking one
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
                client.sendto(b"early", socket.MSG_FASTOPEN, (network.server.address(family), 22))
                with listener.accept()[0] as accepted:
                    accepted.settimeout(5)
                    assert receive(accepted, 5) == b"early"
                    accepted.sendall(b"answer")
                    assert receive(client, 6) == b"answer"
    assert kernel_count(network.server, "TcpExtTCPFastOpenPassive") == 4, "data in four SYNs"
    assert_nobody_locked_out(server)
