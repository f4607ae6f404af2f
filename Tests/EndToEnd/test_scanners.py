"""To a scanner a protected port looks like one whose packets a firewall drops."""

import random
import xml.etree.ElementTree as XML
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Dict, Iterator, Tuple

import pytest

from harness import topologies
from harness.capture import Capture
from harness.echo import echo_server
from harness.inside import inside
from harness.knock import FAMILIES, counted, counters, knockpeer, protect
from harness.processes import Program
from harness.queues import queue_counters
from harness.sshd import Sshd
from harness.topologies import Network

PROTECTED, DROPPED, CLOSED, OPEN = 22, 23, 24, 25
SCANS = ("-sS", "-sT", "-sA", "-sW", "-sM", "-sF", "-sX", "-sN", "-sS -sV")


@pytest.fixture(scope="module")
def scanned(as_root: None, key_file: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["tuple[Network, Program]"]:
    """A server with a protected sshd, a port that is dropped by an ordinary rule, a closed one and an open one."""
    with topologies.direct() as network, Sshd(network.server, tmp_path_factory.mktemp("sshd"), PROTECTED):
        daemon = protect(network.server, key_file, (PROTECTED,))
        echo_server(network.server, OPEN)
        for iptables in ("iptables", "ip6tables"):
            network.server.run([iptables, "-w", "-A", "INPUT", "-p", "tcp", "--dport", str(DROPPED), "-j", "DROP"])
        yield network, daemon


def nmap(network: Network, family: int, scan: str, *ports: int) -> Dict[int, Tuple[str, str]]:
    """What nmap says of each port: its state, and the reason for it."""
    command = ["nmap", *scan.split(), "-Pn", "-n", "-p", ",".join(map(str, ports)), "-T4", "--max-retries", "1",
               "--initial-rtt-timeout", "150ms", "--max-rtt-timeout", "300ms", "--host-timeout", "30s",
               "-oX", "-", network.server.address(family)]  # fmt: skip
    if family == 6:
        command.insert(1, "-6")
    report = XML.fromstring(network.client.run(command, timeout=45).stdout)
    found = {}
    for port in report.iter("port"):
        state = port.find("state")
        assert state is not None
        found[int(port.attrib["portid"])] = (state.attrib["state"], state.attrib["reason"])
    return found


@pytest.fixture(scope="module")
def reports(scanned: "tuple[Network, Program]") -> "dict[tuple[int, str], Future[Dict[int, Tuple[str, str]]]]":
    """All scans. Most of their time is waiting, so some go on at the same time."""
    network, _ = scanned
    with ThreadPoolExecutor(6) as pool:
        return {
            (family, scan): pool.submit(nmap, network, family, scan, PROTECTED, DROPPED, CLOSED)
            for family in FAMILIES
            for scan in SCANS
        }


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("family", FAMILIES)
def test_nmap_finds_the_same_as_for_a_dropped_port(
    reports: "dict[tuple[int, str], Future[Dict[int, Tuple[str, str]]]]", family: int, scan: str
) -> None:
    found = reports[family, scan].result()
    assert found[PROTECTED] == found[DROPPED]
    assert found[PROTECTED][0] in ("filtered", "open|filtered")
    assert found[PROTECTED][1] == "no-response"
    # The same scan does find something where there is something to find.
    assert found[CLOSED][1] == ("conn-refused" if scan == "-sT" else "reset")


def test_nmap_finds_an_open_port(scanned: "tuple[Network, Program]") -> None:
    network, _ = scanned
    for family in FAMILIES:
        assert nmap(network, family, "-sS", OPEN) == {OPEN: ("open", "syn-ack")}


@pytest.mark.parametrize("scan", ("-sS", "-sA"))
def test_nothing_is_found_when_the_daemon_is_gone(direct: Network, scan: str, key_file: str) -> None:
    protect(direct.server, key_file, (PROTECTED,)).kill()
    echo_server(direct.server, PROTECTED)
    for family in FAMILIES:
        assert nmap(direct, family, scan, PROTECTED) == {PROTECTED: ("filtered", "no-response")}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_flags_at_all_get_an_answer(
    scanned: "tuple[Network, Program]", family: int, tmp_path: Path
) -> None:
    # Every combination of the eight flags of TCP, with something in the acknowledgment field and without.
    network, _ = scanned
    address = network.server.address(family)
    with Capture(network.server, tmp_path) as capture:
        with inside(network.client):
            link = knockpeer.Link(address)
        for flags in range(256):
            for ack in (0, random.getrandbits(32) | 1):
                knockpeer.flood_acks(link.source, 1024 + flags, address, PROTECTED, 1, ack=ack, flags=flags, link=link)
        # What answers to somebody comes behind all that.
        knockpeer.flood_acks(link.source, 1000, address, CLOSED, 1, ack=0, flags=knockpeer.SYN, link=link)
        link.close()
        capture.wait_for(lambda packet: packet["TCP"].sport == CLOSED, what="the answer of the closed port")
        packets = capture.stop()
    assert len([packet for packet in packets if packet["TCP"].dport == PROTECTED]) == 512
    assert [packet.summary() for packet in packets if packet["TCP"].sport == PROTECTED] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_guessed_codes_get_no_answer(scanned: "tuple[Network, Program]", family: int, tmp_path: Path) -> None:
    network, daemon = scanned
    address = network.server.address(family)
    before = counters(daemon).get("syn-with-wrong-code", 0)
    with Capture(network.server, tmp_path, f"tcp src port {PROTECTED}") as capture:
        with inside(network.client):
            link = knockpeer.Link(address)
        for port in range(2000, 2010):
            knockpeer.flood_acks(link.source, port, address, PROTECTED, 500, flags=knockpeer.SYN, link=link)
        link.close()
        counted(daemon, "syn-with-wrong-code", before + 5000)
        assert capture.stop() == []


@pytest.mark.parametrize("family", FAMILIES)
def test_syns_without_a_code_end_in_the_kernel(scanned: "tuple[Network, Program]", family: int) -> None:
    network, daemon = scanned
    address = network.server.address(family)
    before = queue_counters(network.server)[100].id_sequence
    with inside(network.client):
        link = knockpeer.Link(address)
    knockpeer.flood_acks(link.source, 3000, address, PROTECTED, 1000, ack=0, flags=knockpeer.SYN, link=link)
    # A last one, with something in the field, does reach the daemon, and only that one.
    wrong = counters(daemon).get("syn-with-wrong-code", 0)
    knockpeer.flood_acks(link.source, 3000, address, PROTECTED, 1, ack=1, flags=knockpeer.SYN, link=link)
    link.close()
    counted(daemon, "syn-with-wrong-code", wrong + 1)
    assert queue_counters(network.server)[100].id_sequence == before + 1
