"""Other programs' rules in the same tables: they see what the daemons accept, as if tcpknock were not there.

Marks of multi-homed hosts, clamps of the segment size, kill switches; and marks that look like the daemon's.
"""

import socket

import pytest

from harness.daemons import start_server, tool
from harness.echo import echo_server
from harness.firewall import BACKENDS, firewall
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in, inside
from harness.knock import FAMILIES, counted, equip, keep_kernel_quiet, peer, protect
from harness.topologies import Network

IPTABLES = {4: "iptables", 6: "ip6tables"}


def mangle(host: Host, chain: str, *rule: str) -> None:
    """A rule of somebody else's behind ours, for both families."""
    for iptables in IPTABLES.values():
        host.run([f"{iptables}-nft", "-w", "-t", "mangle", "-A", chain, *rule])


def packets(host: Host, family: int, chain: str, rule: str) -> int:
    listed = host.run([f"{IPTABLES[family]}-nft-save", "-c", "-t", "mangle"]).stdout
    [line] = [line for line in listed.splitlines() if line.endswith(f"-A {chain} {rule}")]
    return int(line[1:].split(":")[0])


@pytest.fixture
def network(direct: Network, key_file: str) -> Network:
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    return direct


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_behind_ours_see_each_packet_of_a_handshake_once(network: Network, family: int) -> None:
    server, client = network.server, network.client
    syn, synack, ack = (f"-p tcp -m tcp {direction} 22 --tcp-flags SYN,ACK {flags}" for direction, flags in (
        ("--dport", "SYN"), ("--sport", "SYN,ACK"), ("--dport", "ACK")))  # fmt: skip
    seen = [(server, "PREROUTING", syn), (server, "PREROUTING", ack), (server, "POSTROUTING", synack),
            (client, "POSTROUTING", syn), (client, "POSTROUTING", ack), (client, "PREROUTING", synack)]  # fmt: skip
    for host, chain, rule in seen:
        mangle(host, chain, *rule.split())
    connection = connect(client, server.address(family))
    assert [packets(host, family, chain, rule) for host, chain, rule in seen] == [1] * 6
    assert echoes(connection)


@pytest.mark.parametrize("family", FAMILIES)
def test_clamps_of_the_segment_size_work(network: Network, family: int, key_file: str) -> None:
    server = network.server
    clamp = ["-p", "tcp", "--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS", "--set-mss"]
    mangle(server, "PREROUTING", *clamp, "900")
    mangle(server, "POSTROUTING", *clamp, "1000")
    connection = connect(network.client, server.address(family))
    assert echoes(connection, b"x" * 50_000)
    assert " mss:888 " in _sockets(server, "sport"), "900 less the 12 bytes of the timestamps"
    assert " mss:988 " in _sockets(network.client, "dport")


def _sockets(host: Host, direction: str) -> str:
    return host.run(["ss", "-Htin", "state", "established", f"( {direction} = :22 )"]).stdout


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("where", ("server", "client"))
def test_kill_switches_leak_nothing(network: Network, family: int, where: str) -> None:
    host = network.server if where == "server" else network.client
    direction, flags = ("--sport", "SYN,ACK") if where == "server" else ("--dport", "SYN")
    rule = f"-p tcp -m tcp {direction} 22 --tcp-flags SYN,ACK {flags} -j DROP"
    mangle(host, "POSTROUTING", *rule.split())
    # What arrives at the other end is counted there.
    far = network.client if where == "server" else network.server
    arriving = f"-p tcp -m tcp {direction} 22 --tcp-flags SYN,ACK {flags}"
    for iptables in IPTABLES.values():
        far.run([f"{iptables}-nft", "-w", "-t", "raw", "-I", "PREROUTING", *arriving.split()])
    assert not gets_in(network.client, network.server.address(family), timeout=0.5)
    assert packets(host, family, "POSTROUTING", rule) >= 1
    listed = far.run([f"{IPTABLES[family]}-nft-save", "-c", "-t", "raw"]).stdout
    assert f"[0:0] -A PREROUTING {arriving}" in listed


def test_a_host_with_two_uplinks_answers_by_the_one_that_was_asked(network: Network) -> None:
    # As multi-WAN scripts do it: connections get a mark by the way they come in, and answers follow the mark.
    server, client = network.server, network.client
    client.ip("address", "add", "10.99.0.1/32", "dev", "lo")
    server.ip("link", "add", "uplink2", "type", "veth", "peer", "name", "nowhere")
    server.ip("link", "set", "uplink2", "up")
    server.ip("link", "set", "nowhere", "up")
    server.ip("route", "add", "10.99.0.0/16", "dev", "uplink2")
    server.ip("route", "add", "10.99.0.0/16", "via", "10.81.1.1", "dev", "eth0", "table", "77")
    server.ip("rule", "add", "fwmark", "0x7/0xff", "lookup", "77")
    server.sysctl({"net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.eth0.rp_filter": 0})
    mangle(server, "PREROUTING", "-i", "eth0", "-m", "conntrack", "--ctstate", "NEW", "-j", "CONNMARK",
           "--set-xmark", "0x7/0xff")  # fmt: skip
    mangle(server, "OUTPUT", "-j", "CONNMARK", "--restore-mark", "--nfmask", "0xff", "--ctmask", "0xff")
    with inside(client):
        connection = socket.create_connection((server.ipv4, 22), 3, source_address=("10.99.0.1", 0))
    connection.settimeout(5)
    assert echoes(connection, b"x" * 100_000)
    port = str(connection.getsockname()[1])
    assert " mark=4103 " in server.run(["conntrack", "-L", "-p", "tcp", "--orig-port-src", port]).stdout


def test_a_whole_mark_of_somebody_else_is_kept(network: Network) -> None:
    rule = ["-p", "tcp", "--dport", "22", "-j", "MARK", "--set-xmark"]
    mangle(network.server, "PREROUTING", *rule, "0x7/0xffffffff")
    mangle(network.server, "INPUT", "-p", "tcp", "--dport", "22", "-m", "mark", "!", "--mark", "0x7", "-j", "DROP")
    assert echoes(connect(network.client, network.server.ipv4))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nobody_elses_mark_stands_for_the_daemons(direct: Network, backend: str, key_file: str) -> None:
    server, client = direct.server, direct.client
    daemon = start_server(server, key_file, target_ports=(22,), more=["--kernel-filter", "off"])
    firewall(server, "server", "up", "--iptables", backend, "--kernel-filter", "off")
    echo_server(server, 22)
    keep_kernel_quiet(client)
    # Before all rules of iptables, each packet gets the bit.
    table = "table inet other { chain first { type filter hook prerouting priority -310; tcp dport 22 meta mark set 0x1000; }; }"
    server.run(["nft", "-f", "-"], input=table)
    with peer(client, key_file, server.ipv4) as stranger:
        stranger.send_syn(code=77)
        assert stranger.receive_synack(0.3) is None
        counted(daemon, "syn-with-wrong-code")
        # A right SYN, but a third ACK that is wrong.
        stranger.send_syn(isn=5)
        assert stranger.receive_synack()
        stranger.send_ack(ack=1)
        counted(daemon, "wrong-acknowledgment")
    tool(server, "server", "unlock", client.ipv4)
    daemon.stop()
    assert not gets_in(client, server.ipv4, timeout=0.3)
    # Who knocks right gets in as ever.
    start_server(server, key_file, target_ports=(22,), more=["--kernel-filter", "off"])
    equip(client, key_file)
    assert echoes(connect(client, server.ipv4))


