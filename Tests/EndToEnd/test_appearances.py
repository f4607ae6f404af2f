"""A protected port that looks like a closed one; and wrong codes that may lock their sender out."""

import json
import os
import xml.etree.ElementTree as XML
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from harness import topologies
from harness.capture import Capture
from harness.daemons import program
from harness.echo import echo, echo_server
from harness.firewall import firewall
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, counted, counters, equip, keep_kernel_quiet, peer
from harness.segments import segment, send
from harness.settings import Configured, keys
from harness.topologies import Network

PROTECTED, CLOSED = 22, 24


# --- a RST for whoever does not know the knock --------------------------------------------------------------------


@pytest.fixture(scope="module")
def refusing(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuple[Network, Configured]]:
    """A server that refuses, a client with the key, and another host without."""
    folder = tmp_path_factory.mktemp("refusing")
    key = keys(folder, "key")["key"]
    with topologies.two_clients() as network:
        echo_server(network.server, PROTECTED)
        server = Configured(
            network.server, "server", folder,
            {"key_file": "key.dat", "on_failure": "reset", "kernel_filter": "auto", "lockout_seconds": 1},
        )  # fmt: skip
        equip(network.client, key)
        yield network, server


@pytest.mark.parametrize("scan", ("-sS", "-sT", "-sA", "-sW", "-sM", "-sF", "-sX", "-sN"))
def test_nmap_finds_a_closed_port(refusing: Tuple[Network, Configured], scan: str) -> None:
    network, _ = refusing
    for family in FAMILIES:
        command = ["nmap", scan, "-Pn", "-n", "-p", f"{PROTECTED},{CLOSED}", "--max-retries", "1", "-oX", "-"]
        command += (["-6"] if family == 6 else []) + [network.server.address(family)]
        assert network.other
        ports = XML.fromstring(network.other.run(command, timeout=30).stdout).iter("port")
        states = {int(port.attrib["portid"]): state.attrib for port in ports for state in port.iter("state")}
        assert states[PROTECTED] == states[CLOSED]
        assert states[CLOSED]["state"] == ("unfiltered" if scan == "-sA" else "closed")


SOURCE_PORTS = range(40_100, 40_200)
PROBES: Dict[str, Dict[str, Any]] = {
    "SYN": {"flags": "S"},
    "SYN with a guess": {"flags": "S", "ack": 0x1234_5678},
    "SYN with data": {"flags": "S", "payload": b"x" * 100},
    "SYN with FIN": {"flags": "SF"},
    "SYN/ACK": {"flags": "SA", "ack": 77},
    "ACK": {"flags": "A", "ack": 78},
    "ACK with data": {"flags": "PA", "ack": 79, "payload": b"x" * 900},
    "FIN": {"flags": "F"},
    "FIN/ACK": {"flags": "FA", "ack": 80},
    "none": {"flags": ""},
    "URG": {"flags": "U", "payload": b"abc"},
    "all of Christmas": {"flags": "FPU"},
    "RST": {"flags": "R"},
    "RST/ACK": {"flags": "RA", "ack": 81},
    "SYN with RST": {"flags": "SR"},
    "another service class": {"flags": "S", "service": 0x28},
    "all bits of the service class": {"flags": "A", "ack": 82, "service": 0xFF},
    "damaged": {"flags": "S", "chksum": 1},
}  # fmt: skip


def probe(network: Network, family: int, number: int, port: int, fields: Dict[str, Any]) -> Any:
    from scapy.packet import Raw

    assert network.other
    fields = {"seq": 0x0A0B_0C0D, "window": 1024, **fields}
    payload, service = fields.pop("payload", b""), fields.pop("service", 0)
    packet = segment(network.other.address(family), network.server.address(family),
                     sport=SOURCE_PORTS[number], dport=port, **fields)  # fmt: skip
    if service:
        setattr(packet, "tos" if family == 4 else "tc", service)
    return packet / Raw(payload) if payload else packet


def looks(packet: Any) -> Dict[str, Any]:
    """All of a packet that does not depend on the port and the addresses."""
    layer = packet["IP"] if "IP" in packet else packet["IPv6"]
    names = ("tos", "id", "flags", "ttl", "len", "options") if "IP" in packet else ("tc", "hlim", "plen", "nh")
    tcp = packet["TCP"]
    found = {name: getattr(layer, name) for name in names}
    # A host that sends flow labels sends others for each connection.
    found["has a flow label"] = "IPv6" in packet and layer.fl != 0
    found.update({f"tcp.{name}": getattr(tcp, name) for name in ("seq", "ack", "dataofs", "window", "urgptr", "options")})
    found["tcp.flags"] = str(tcp.flags)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_each_answer_is_that_of_a_closed_port(
    refusing: Tuple[Network, Configured], family: int, tmp_path: Path
) -> None:
    network, _ = refusing
    assert network.other
    kinds = list(PROBES)
    with Capture(network.other, tmp_path, f"tcp and src host {network.server.address(family)}") as capture:
        for port in (PROTECTED, CLOSED):
            send(network.other, [probe(network, family, number, port, PROBES[kind])
                                 for number, kind in enumerate(kinds)])  # fmt: skip
            # The last answer: what comes behind it in the same queue has been answered, if at all.
            last = segment(network.other.address(family), network.server.address(family), sport=SOURCE_PORTS[-1],
                           dport=port, flags="S", seq=1)  # fmt: skip
            send(network.other, [last])
            capture.wait_for(
                lambda packet: (packet["TCP"].sport, packet["TCP"].dport) == (port, SOURCE_PORTS[-1]), 5, "the last RST")
        packets = capture.stop()
    answers: Dict[Tuple[str, int], List[Dict[str, Any]]] = {}
    for packet in packets:
        number = SOURCE_PORTS.index(packet["TCP"].dport)
        if number < len(kinds):
            answers.setdefault((kinds[number], packet["TCP"].sport), []).append(looks(packet))
    for kind in kinds:
        assert answers.get((kind, PROTECTED)) == answers.get((kind, CLOSED)), kind
    silent = [kind for kind in kinds if (kind, CLOSED) not in answers]
    assert silent == ["RST", "RST/ACK", "SYN with RST", "damaged"]


@pytest.mark.parametrize("family", FAMILIES)
def test_who_knows_the_knock_gets_in(refusing: Tuple[Network, Configured], family: int) -> None:
    network, server = refusing
    address = network.server.address(family)
    assert echo(network.client, address, PROTECTED, connections=10, size=50_000).failures == []
    assert network.other
    with pytest.raises(ConnectionRefusedError):
        connect(network.other, address, PROTECTED)
    assert counters(server.daemon)["syn-without-code"] > 0


def test_who_is_locked_out_is_refused_too(refusing: Tuple[Network, Configured]) -> None:
    network, server = refusing
    held = connect(network.client, network.server.ipv4, PROTECTED)
    keep_kernel_quiet(network.client)
    with peer(network.client, str(server.path.parent / "key.dat"), network.server.ipv4) as client:
        client.send_syn()
        assert client.receive_synack()
        client.send_ack(ack=client.rcv_nxt ^ 0x10000)
        with pytest.raises(ConnectionResetError):
            held.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(network.client, network.server.ipv4, PROTECTED)


def test_it_does_not_go_with_a_filter_in_the_kernel(direct: Network, key_file: str, tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text(f'key_file = "{key_file}"\non_failure = "reset"\nkernel_filter = "on"\n')
    result = direct.server.run(
        [program("tcpknock-server"), "--config", str(path), "--control-socket", ""], check=False)
    assert result.returncode != 0
    assert "kernel" in result.stderr and "reset" in result.stderr and "could only drop" in result.stderr
    result = firewall(direct.server, "server", "up", "--on-failure", "reset", "--kernel-filter", "on", check=False)
    assert result.returncode == os.EX_USAGE
    assert "--kernel-filter on does not go with --on-failure reset" in result.stderr
    assert "nothing was changed" in result.stderr


def test_nobody_answers_without_the_daemon(direct: Network, key_file: str, tmp_path: Path) -> None:
    server = Configured(direct.server, "server", tmp_path, {"key_file": key_file, "on_failure": "reset"})
    with pytest.raises(ConnectionRefusedError):
        connect(direct.client, direct.server.ipv4)
    server.daemon.kill()
    echo_server(direct.server, PROTECTED)
    assert not gets_in(direct.client, direct.server.ipv4, timeout=0.3)


# --- wrong codes --------------------------------------------------------------------------------------------------


def send_wrong_codes(host: Host, key: str, server: str, count: int) -> None:
    with peer(host, key, server) as guesser:
        for number in range(count):
            guesser.send_syn(isn=number, code=0x0BAD_0000 + number)


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_codes_lock_out_where_asked_for(two_clients: Network, family: int, tmp_path: Path) -> None:
    key = keys(tmp_path, "key")["key"]
    server = Configured(
        two_clients.server, "server", tmp_path,
        {"key_file": "key.dat", "lockout_after_wrong_codes": 5, "lockout_seconds": 60},
    )  # fmt: skip
    client, other = two_clients.client, two_clients.other
    assert other
    for host in (client, other):
        equip(host, key)
        keep_kernel_quiet(host)
    echo_server(two_clients.server, 22)
    address, source = two_clients.server.address(family), client.address(family)
    held = connect(client, address)
    assert echoes(held)

    send_wrong_codes(client, key, address, 4)
    counted(server.daemon, "syn-with-wrong-code", 4)
    assert gets_in(client, address), "not yet"
    assert server.tool("locks").stdout == "nobody is locked out\n"
    send_wrong_codes(client, key, address, 1)
    counted(server.daemon, "too-many-wrong-codes")
    server.daemon.wait_for_line(f"WARNING locked out: .*{source}.* reason=too-many-wrong-codes")

    assert not gets_in(client, address, timeout=0.3)
    assert echoes(held), "what is open stays open, since anybody may have sent the codes"
    assert gets_in(other, address), "and others are not concerned"
    locks = server.tool("locks").stdout
    assert source in locks and "too-many-wrong-codes" in locks
    [lock] = json.loads(server.tool("locks", "--json").stdout)
    assert (lock["address"], lock["reason"]) == (source, "too-many-wrong-codes")
    assert 50 < lock["secondsLeft"] <= 60

    result = server.tool("unlock", other.address(family), check=False)
    assert result.returncode == os.EX_DATAERR and "is not locked out" in result.stderr
    assert server.tool("unlock", source).stdout == f"{source} is let in again\n"
    server.daemon.wait_for_line(f"NOTICE let in again before its time client={source}")
    assert gets_in(client, address)
    assert echoes(held)
    assert server.tool("locks").stdout == "nobody is locked out\n"


def test_a_thousand_wrong_codes_lock_nobody_out_otherwise(direct: Network, tmp_path: Path) -> None:
    key = keys(tmp_path, "key")["key"]
    server = Configured(direct.server, "server", tmp_path, {"key_file": "key.dat"})
    equip(direct.client, key)
    keep_kernel_quiet(direct.client)
    echo_server(direct.server, 22)
    for family in FAMILIES:
        send_wrong_codes(direct.client, key, direct.server.address(family), 1000)
    counted(server.daemon, "syn-with-wrong-code", 2000)
    for family in FAMILIES:
        assert gets_in(direct.client, direct.server.address(family))
    assert server.tool("locks", "--json").stdout == "[]\n"
    assert server.status()["lockedOut"] == 0


def test_unlock_after_a_wrong_third_ack(two_clients: Network, tmp_path: Path) -> None:
    key = keys(tmp_path, "key")["key"]
    server = Configured(two_clients.server, "server", tmp_path, {"key_file": "key.dat"})
    equip(two_clients.client, key)
    keep_kernel_quiet(two_clients.client)
    echo_server(two_clients.server, 22)
    for family in FAMILIES:
        address, source = two_clients.server.address(family), two_clients.client.address(family)
        with peer(two_clients.client, key, address) as client:
            client.send_syn()
            assert client.receive_synack()
            client.send_ack(ack=client.rcv_nxt ^ 0x10000)
            server.daemon.wait_for_line(f"connections closed client={source}")
        assert not gets_in(two_clients.client, address, timeout=0.3)
        assert "wrong-acknowledgment" in server.tool("locks").stdout
        server.tool("unlock", source)
        assert gets_in(two_clients.client, address)
