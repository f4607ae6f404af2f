"""The gate behind the kernel filter: while another program has flushed the rules, nobody gets in, right code or not."""

from pathlib import Path
from typing import Any, List, Set

import pytest

from harness.daemons import start_server
from harness.echo import HeldConnection, echo, echo_server
from harness.firewall import connection_marks, firewall, snapshot
from harness.hosts import Host
from harness.kernel_filter import codes, filtering_server, fragments, rules_up
from harness.knock import EVERYWHERE, FAMILIES, counters, equip, keep_kernel_quiet
from harness.segments import segment, send
from harness.topologies import Network
from harness.waiting import eventually

#: What others leave behind: nothing, or a rule of theirs for which connection tracking goes on.
FLUSHES = {
    "nft flush ruleset": [["nft", "flush", "ruleset"]],
    "iptables -F": [
        [name, "-t", table, "-F"] for name in ("iptables-nft", "ip6tables-nft") for table in ("raw", "mangle")
    ],
    "another firewall": [
        ["nft", "flush", "ruleset"],
        ["nft", "add", "table", "inet", "other"],
        ["nft", "add", "chain", "inet", "other", "input", "{ type filter hook input priority 0; policy accept; }"],
        ["nft", "add", "rule", "inet", "other", "input", "ct", "state", "established,new", "accept"],
    ],
}
ANOTHER = "another firewall"
OPEN = 2222
"""A port that is not protected."""


def flush(host: Host, how: str) -> None:
    for command in FLUSHES[how]:
        host.run(command)


def links(pins: str) -> "Set[str]":
    (folder,) = Path(pins).glob("*-100")
    return {path.name for path in folder.iterdir() if path.name.startswith("link-")}


ALL_LINKS = {f"link-{place}{family}" for place in ("", "in-", "forward-") for family in ("ipv4", "ipv6")}


@pytest.mark.parametrize("how", FLUSHES)
def test_nobody_gets_in_after_a_flush(direct: Network, how: str, key_file: str, pins: str) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22, OPEN)
    filtering_server(server, key_file, pins)
    rules_up(server, pins, "hook")
    # It codes the SYN, and without a target that must prove itself it leaves the SYN/ACK as it is.
    equip(client, key_file)
    with HeldConnection(client, server.ipv4, 22) as first, HeldConnection(client, server.ipv6, 22) as second:
        assert first.echo() and second.echo()
        flush(server, how)
        for family in FAMILIES:
            result = echo(client, server.address(family), 22, timeout=0.6)
            assert result.complete == 0, f"IPv{family}: in by a right code alone"
            assert echo(client, server.address(family), OPEN).complete == 1
        if how == ANOTHER:
            # Connection tracking goes on, and knows them as verified.
            assert first.echo() and second.echo()
        rules_up(server, pins, "hook")
        assert first.echo() and second.echo()
        for family in FAMILIES:
            assert echo(client, server.address(family), 22, connections=3).complete == 3


def test_a_gateway_closes_too(routed: Network, key_file: str, pins: str) -> None:
    client, server, router = routed.client, routed.server, routed.router
    assert router
    echo_server(server, 22, OPEN)
    filtering_server(router, key_file, pins)
    rules_up(router, pins, "hook", *EVERYWHERE)
    equip(client, key_file)
    with HeldConnection(client, server.ipv4, 22) as connection:
        assert connection.echo()
        for how in ("nft flush ruleset", ANOTHER):
            flush(router, how)
            for family in FAMILIES:
                assert echo(client, server.address(family), 22, timeout=0.6).complete == 0
                assert echo(client, server.address(family), OPEN).complete == 1
            rules_up(router, pins, "hook", *EVERYWHERE)
            assert connection.echo()
            for family in FAMILIES:
                assert echo(client, server.address(family), 22).complete == 1


def begun(host: Host, state: str = "syn-recv") -> "Set[int]":
    """The clients' ports of the handshakes that the host's kernel has answered."""
    listed = host.run(["ss", "-Htan", "state", state]).stdout
    return {int(line.split()[3].rsplit(":", 1)[1]) for line in listed.splitlines()}


def in_fragments(network: Network, family: int, port: int, sport: int) -> List[Any]:
    """A SYN without a code in fragments; over IPv4 the first shows only the ports."""
    source, destination = network.client.address(family), network.server.address(family)
    whole = segment(source, destination, sport=sport, dport=port, flags="S", seq=1) / (b"x" * 40)
    return fragments(whole, sport, 8 if family == 4 else 24)


def behind_many_headers(network: Network, port: int, sport: int) -> Any:
    """A SYN without a code behind more extension headers than the filter passes over."""
    from scapy.layers.inet import TCP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt

    packet = IPv6(src=network.client.ipv6, dst=network.server.ipv6)
    for _ in range(9):
        packet /= IPv6ExtHdrDestOpt()
    return packet / TCP(sport=sport, dport=port, flags="S", seq=1)


@pytest.mark.parametrize("how", ("nft flush ruleset", ANOTHER))
def test_what_the_filter_cannot_read(direct: Network, how: str, key_file: str, pins: str) -> None:
    """SYNs without a code that the filter lets through to be judged by the daemon, when nothing is behind it."""
    client, server = direct.client, direct.server
    keep_kernel_quiet(client)
    echo_server(server, 22, OPEN)
    filtering_server(server, key_file, pins)
    rules_up(server, pins, "hook")
    flush(server, how)
    for base, port in ((21000, 22), (22000, OPEN)):
        send(client, in_fragments(direct, 4, port, base + 4))
        send(client, in_fragments(direct, 6, port, base + 6))
        send(client, [behind_many_headers(direct, port, base + 9)])
    # They are what a kernel answers, where nobody keeps them from it.
    eventually(lambda: {22004, 22006, 22009} <= begun(server), what="the SYNs to the other port to be answered")
    server.run(["sleep", "0.3"])
    assert not begun(server) & {21004, 21006, 21009}


@pytest.mark.parametrize("is_wanted", (False, True))
def test_data_in_a_syn(direct: Network, is_wanted: bool, key_file: str, pins: str) -> None:
    """A service that takes data with the SYN would have it by a right code alone, while others' rules are there."""
    client, server = direct.client, direct.server
    keep_kernel_quiet(client)
    # Linux: Fast Open as a server (2), for each listener (0x400), and without a cookie (0x200).
    server.run(["sysctl", "-qw", f"net.ipv4.tcp_fastopen={0x602}"])
    echo_server(server, 22, OPEN)
    filtering_server(server, key_file, pins, more=["--fast-open"] if is_wanted else [])
    rules_up(server, pins, "hook")
    flush(server, ANOTHER)
    code = codes(key_file, client.ipv4, 1)[0]
    for sport, port in ((23000, 22), (24000, OPEN)):
        send(client, [segment(client.ipv4, server.ipv4, sport=sport, dport=port, flags="S", seq=1, ack=code) / b"hello"])
    # Its data are with the service before the handshake is over.
    def accepted() -> Set[int]:
        return begun(server) | begun(server, "established") | begun(server, "close-wait")

    eventually(lambda: 24000 in accepted(), what="data in a SYN to the other port")
    assert (23000 in accepted()) == is_wanted


def test_the_gate_comes_and_goes_with_the_rules(direct: Network, key_file: str, pins: str) -> None:
    client, server = direct.client, direct.server
    before = snapshot(server)
    echo_server(server, 22, OPEN)
    daemon = filtering_server(server, key_file, pins)
    # What was established before any rules is kept, and the gate knows it.
    with HeldConnection(client, server.ipv4, 22) as kept, HeldConnection(client, server.ipv6, 22) as second:
        rules_up(server, pins, "hook")
        assert links(pins) == ALL_LINKS
        assert kept.echo() and second.echo()
        # Another bit, another port: what is open stays open.
        rules_up(server, pins, "hook", "--mark", "0x4000", "--target-port", 22, "--target-port", OPEN)
        assert kept.echo() and second.echo()
        assert set(connection_marks(server, 4, 22)) <= {0x5000, 0x4000, 0x1000}
        rules_up(server, pins, "hook", "--drop-ports")
        assert kept.echo() and second.echo() and echo(client, server.ipv4, OPEN).complete == 1

        # A link that is gone is told, and mended although the rules are as they should be.
        (folder,) = Path(pins).glob("*-100")
        (folder / "link-in-ipv6").unlink()
        assert "has no gate" in firewall(server, "server", "status").stdout
        assert "already up" in rules_up(server, pins, "hook").stdout
        assert links(pins) == ALL_LINKS and "has no gate" not in firewall(server, "server", "status").stdout

        firewall(server, "server", "down")
        assert not links(pins) and snapshot(server) == before and kept.echo()
    assert echo(client, server.ipv6, 22).complete == 1

    # When somebody else has taken the rules away, `down` opens.
    rules_up(server, pins, "hook")
    flush(server, "nft flush ruleset")
    assert "still attached" in firewall(server, "server", "down", "--pin-folder", pins).stdout
    assert not links(pins) and echo(client, server.ipv4, 22).complete == 1
    rules_up(server, pins, "hook")
    firewall(server, "server", "up", "--pin-folder", pins, "--kernel-filter", "off")
    assert not links(pins)
    assert daemon.stop() == 0


def test_where_the_kernel_has_no_gate(direct: Network, key_file: str, pins: str) -> None:
    server = direct.server
    filtering_server(server, key_file, pins)
    (folder,) = Path(pins).glob("*-100")
    (folder / "syn_code_gate").unlink()
    up = rules_up(server, pins, "hook")
    assert "note: the kernel filter has no gate" in up.stdout and "there is no program for the gate" in up.stdout
    assert links(pins) == {"link-ipv4", "link-ipv6"}
    assert "has no gate" in firewall(server, "server", "status").stdout


def test_two_servers_on_one_host(direct: Network, key_file: str, pins: str) -> None:
    """At one place of a hook there can be only one program."""
    client, server = direct.client, direct.server
    echo_server(server, 22, OPEN)
    daemons = [filtering_server(server, key_file, pins)]
    rules_up(server, pins, "hook")
    more = ["--kernel-filter", "on", "--pin-folder", pins, "--rules-guard", "off", "--control-socket", "",
            "--state-dir", ""]  # fmt: skip
    daemons.append(start_server(server, key_file, queue_num=101, target_ports=[OPEN], more=more))
    rules_up(server, pins, "hook", "--instance", "two", "--target-port", OPEN, "--queue-num", 101)
    equip(client, key_file, ports=(22, OPEN))
    for port in (22, OPEN):
        for family in FAMILIES:
            assert echo(client, server.address(family), port).complete == 1
    assert [counters(daemon)["syn-accepted"] for daemon in daemons] == [2, 2]
    flush(server, "nft flush ruleset")
    for port in (22, OPEN):
        for family in FAMILIES:
            assert echo(client, server.address(family), port, timeout=0.6).complete == 0
