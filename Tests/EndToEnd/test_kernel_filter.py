"""The filter in the kernel: wrong codes end there, right ones pass, and it never stands in the way of a daemon."""

import os
import re
import signal
import stat
import time
from pathlib import Path
from typing import Any, List

import pytest

from harness.daemons import keygen, program, start_server
from harness.echo import echo, echo_server
from harness.firewall import BACKENDS, firewall, rule_counters, script, snapshot
from harness.hosts import Host
from harness.kernel_filter import (
    any_rules_up,
    codes,
    dropped,
    filtering_server,
    fragments,
    has_filter_rule,
    rules_up,
    send_to_be_dropped,
    syn,
)
from harness.knock import EVERYWHERE, FAMILIES, counters, equip
from harness.queues import queue_counters
from harness.segments import segment, send
from harness.topologies import Network
from harness.waiting import eventually

#: How the filter gets at the packets: asked by a rule, in one of the two kinds of iptables, or at the hook itself.
WAYS = (*BACKENDS, "hook")


def wrong_syns(network: Network, family: int) -> List[Any]:
    packets = [syn(network, family, isn, code) for isn, code in ((1, 0), (2, 1), (3, 0x12345678), (4, 0xFFFFFFFF))]
    if family == 6:
        packets.append(syn(network, 6, 5, 0x12345678, extension_header=True))
        packets.append(syn(network, 6, 6, 0, extension_header=True))
    else:
        # With four bytes of IP options (no operation).
        packet = syn(network, 4, 5, 0x12345678)
        packet.options = b"\1\1\1\1"
        packets.append(packet)
    return packets


def queued(host: Host) -> int:
    """How many packets the queue has seen."""
    return queue_counters(host)[100].id_sequence


# --- what is dropped ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_wrong_codes_end_in_the_kernel(direct: Network, way: str, key_file: str, pins: str) -> None:
    client, server = direct.client, direct.server
    before = snapshot(server)
    echo_server(server, 22)
    daemon = filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    for family in FAMILIES:
        send_to_be_dropped(client, server, family, way, pins, wrong_syns(direct, family))
    assert queued(server) == 0
    assert not {"syn-with-wrong-code", "syn-without-code"} & counters(daemon).keys()

    # Behind IP options and extension headers, in any slot that is good, right codes get through to the daemon.
    for family in FAMILIES:
        drops = dropped(server, family, way, pins)
        seen = queued(server)
        right = []
        for number, delta in enumerate((0, 1, -1), start=100 * family):
            for mode, code in enumerate(codes(key_file, client.address(family), number, slots_from_now=delta)):
                right.append(syn(direct, family, number, code))
        number = 100 * family + 50
        behind = syn(direct, family, number, codes(key_file, client.address(family), number)[0])
        if family == 4:
            behind.options = b"\1\1\1\1"
        right.append(behind)
        send(client, right)
        # The answers are queued as well.
        eventually(lambda: queued(server) >= seen + len(right), what="the right SYNs to be queued")
        assert dropped(server, family, way, pins) == drops
        future = codes(key_file, client.address(family), 99, slots_from_now=3)[0]
        send_to_be_dropped(client, server, family, way, pins, [syn(direct, family, 99, future)])

    daemon.stop()
    firewall(server, "server", "down")
    assert snapshot(server) == before


@pytest.mark.parametrize("way", WAYS)
def test_who_has_the_key_gets_in(direct: Network, way: str, key_file: str, pins: str) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    daemon = filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    for family in FAMILIES:
        assert echo(client, server.address(family), 22, timeout=0.3).complete == 0
    equip(client, key_file)
    for family in FAMILIES:
        assert echo(client, server.address(family), 22, connections=20).complete == 20
    assert counters(daemon)["syn-accepted"] == 40


@pytest.mark.parametrize("way", ("nft", "hook"))
def test_what_the_host_sends_to_itself_needs_no_knock(direct: Network, way: str, key_file: str, pins: str) -> None:
    server = direct.server
    echo_server(server, 22)
    filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    for address in ("127.0.0.1", "::1", server.ipv4, server.ipv6):
        assert echo(server, address, 22, connections=3).complete == 3
    assert queued(server) == 0


@pytest.mark.parametrize("way", ("nft", "hook"))
def test_a_gateway_filters_too(routed: Network, way: str, key_file: str, pins: str) -> None:
    router = routed.router
    assert router
    echo_server(routed.server, 22)
    filtering_server(router, key_file, pins)
    rules_up(router, pins, way, *EVERYWHERE)
    for family in FAMILIES:
        send_to_be_dropped(routed.client, router, family, way, pins, wrong_syns(routed, family))
    # From here on the client's daemon puts the right code into every SYN.
    equip(routed.client, key_file)
    for family in FAMILIES:
        assert echo(routed.client, routed.server.address(family), 22, connections=3).complete == 3


@pytest.mark.parametrize("way", ("nft", "hook"))
@pytest.mark.parametrize("family", FAMILIES)
def test_fragments_are_judged_whole(direct: Network, family: int, way: str, key_file: str, pins: str) -> None:
    """The kernel puts them together before a rule or the hook sees them, so a wrong code in them costs no queue."""
    client, server = direct.client, direct.server
    daemon = filtering_server(server, key_file, pins, more=["--fast-open"])
    rules_up(server, pins, way)
    before = dropped(server, family, way, pins)
    for isn in range(10, 20):
        send(client, fragments(syn(direct, family, isn, 0x12345678) / (b"x" * 64), isn))
    eventually(lambda: dropped(server, family, way, pins) == before + 10, what="the wrong SYNs to be dropped")
    assert queued(server) == 0
    send(client, fragments(syn(direct, family, 8, codes(key_file, client.address(family), 8)[0]) / (b"x" * 64), 8))
    eventually(lambda: counters(daemon).get("syn-accepted", 0) == 1, what="the SYN to be accepted")
    assert dropped(server, family, way, pins) == before + 10


@pytest.mark.parametrize("way", ("nft", "hook"))
def test_with_time_switched_off(direct: Network, way: str, key_file: str, pins: str) -> None:
    client, server = direct.client, direct.server
    daemon = filtering_server(server, key_file, pins, no_time=True)
    rules_up(server, pins, way)
    with_time = codes(key_file, client.ipv4, 1)[0]
    send_to_be_dropped(client, server, 4, way, pins, [syn(direct, 4, 1, with_time)])
    send(client, [syn(direct, 4, 2, codes(key_file, client.ipv4, 2, no_time=True)[0])])
    eventually(lambda: counters(daemon).get("syn-accepted", 0) == 1, what="a code without time to be accepted")


# --- daemons come and go ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_dead_daemon_leaves_a_filter_that_the_next_one_takes_over(
    direct: Network, way: str, key_file: str, pins: str
) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    daemon = filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    daemon.kill()
    send_to_be_dropped(client, server, 4, way, pins, wrong_syns(direct, 4))
    equip(client, key_file)
    assert echo(client, server.ipv4, 22, timeout=0.3).complete == 0
    filtering_server(server, key_file, pins)
    assert "already up" in rules_up(server, pins, way).stdout
    for family in FAMILIES:
        assert echo(client, server.address(family), 22).complete == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_with_another_key(
    direct: Network, way: str, key_file: str, pins: str, tmp_path: Path
) -> None:
    client, server = direct.client, direct.server
    other_key = keygen(tmp_path / "other.dat")
    echo_server(server, 22)
    daemon = filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    daemon.kill()
    filtering_server(server, other_key, pins)
    of_old_key = codes(key_file, client.ipv4, 9)[0]
    send_to_be_dropped(client, server, 4, way, pins, [syn(direct, 4, 9, of_old_key)])
    equip(client, other_key)
    assert echo(client, server.ipv4, 22).complete == 1


@pytest.mark.parametrize("way", ("nft", "hook"))
@pytest.mark.parametrize("ending", ("stopped", "off"))
def test_a_filter_without_its_daemon_lets_codes_pass(
    direct: Network, ending: str, way: str, key_file: str, pins: str, tmp_path: Path
) -> None:
    client, server = direct.client, direct.server
    daemon = filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    if ending == "stopped":
        daemon.stop()
        # The one that comes next has another key and no filter, and is not to be hindered.
        daemon = start_server(server, keygen(tmp_path / "other.dat"), more=["--pin-folder", pins, "--kernel-filter", "off"])
    else:
        daemon.kill()
        daemon = filtering_server(server, key_file, pins, mode="off")
    send(client, [syn(direct, 4, 3, 0x12345678)])
    eventually(lambda: counters(daemon).get("syn-with-wrong-code", 0) == 1, what="the daemon to judge")
    # An empty field is wrong whatever the key.
    send_to_be_dropped(client, server, 4, way, pins, [syn(direct, 4, 4, 0)])


def test_where_there_is_no_bpf_file_system(direct: Network, key_file: str, tmp_path: Path, pins: str) -> None:
    daemon = filtering_server(direct.server, key_file, str(tmp_path), mode="auto")
    assert re.search("not on a BPF file system", daemon.output)
    daemon.stop()
    command = [program("tcpknock-server"), "--key-file", key_file, "--kernel-filter", "on", "--pin-folder", str(tmp_path)]
    result = direct.server.run(command, check=False)
    assert result.returncode == os.EX_UNAVAILABLE and "not on a BPF file system" in result.stderr


# --- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_with_and_without_the_filter(direct: Network, backend: str, key_file: str, pins: str) -> None:
    server = direct.server
    before = snapshot(server)
    refused = rules_up(server, pins, backend, check=False)
    assert refused.returncode == 1 and "there is no program at" in refused.stderr
    assert snapshot(server) == before

    # Rules first: without the filter, until `up` runs again.
    any_rules_up(server, pins, backend)
    without = snapshot(server)
    assert not has_filter_rule(server)
    daemon = filtering_server(server, key_file, pins)
    assert "kernel filter" in rules_up(server, pins, backend).stdout
    assert has_filter_rule(server)
    up = snapshot(server)
    assert "already up" in rules_up(server, pins, backend).stdout
    assert snapshot(server) == up
    status = firewall(server, "server", "status")
    assert re.search(r"filter +/\S+/syn_code\n", status.stdout)

    # A rule missing is noticed and mended.
    chain = [rule for rule in rule_counters(server, 6, backend, "raw") if rule.startswith("TCPKNOCK-SRV-RAW")]
    (number,) = (number for number, rule in enumerate(chain, start=1) if "--object-pinned" in rule)
    server.run([f"ip6tables-{backend}", "-w", "-t", "raw", "-D", "TCPKNOCK-SRV-RAW", str(number)])
    assert "PARTIAL" in firewall(server, "server", "status", check=False).stdout
    rules_up(server, pins, backend)
    assert snapshot(server) == up

    any_rules_up(server, pins, backend, "--kernel-filter", "off")
    assert snapshot(server) == without
    rules_up(server, pins, backend)
    daemon.stop()
    firewall(server, "server", "down")
    assert snapshot(server) == before


def test_up_waits_for_a_daemon_that_has_just_been_started(direct: Network, key_file: str, pins: str) -> None:
    server = direct.server
    command = [program("tcpknock-server"), "--config", "", "--key-file", key_file, "--pin-folder", pins]
    command += ["--control-socket", "", "--state-dir", ""]
    with server.popen(command) as daemon:
        queues = Path(f"/proc/{daemon.pid}/net/netfilter/nfnetlink_queue")
        deadline = time.monotonic() + 10
        while not queues.read_text():
            assert time.monotonic() < deadline, daemon.output
        daemon.send_signal(signal.SIGSTOP)
        assert not list(Path(pins).glob("*/syn_code")), "it was too fast for this test"
        with server.popen([script("server"), "up", "--iptables", "nft", "--pin-folder", pins]) as up:
            time.sleep(1)
            assert up.alive, up.output
            daemon.send_signal(signal.SIGCONT)
            up.wait_for_line("rules are up: .*, kernel filter", 20, which="stdout")


@pytest.mark.parametrize("listens", (True, False))
def test_up_says_that_it_goes_without(direct: Network, listens: bool, key_file: str, pins: str) -> None:
    if listens:
        filtering_server(direct.server, key_file, pins, mode="off")
    result = any_rules_up(direct.server, pins, "nft")
    if listens:
        assert "note: tcpknock-server has put no filter into the kernel" in result.stdout
    else:
        assert "note: the rules go without a kernel filter; for one, run 'up' again" in result.stdout
    assert not has_filter_rule(direct.server)


@pytest.mark.parametrize("way", WAYS)
def test_another_program_is_noticed(direct: Network, way: str, key_file: str, pins: str) -> None:
    server = direct.server
    daemon = filtering_server(server, key_file, pins)
    rules_up(server, pins, way)
    daemon.stop()
    (folder,) = Path(pins).glob("*-100")
    for pin in folder.iterdir():
        pin.unlink()
    status = firewall(server, "server", "status")
    assert "NO LONGER PINNED" in status.stdout
    filtering_server(server, key_file, pins)
    assert "OLD" in firewall(server, "server", "status").stdout
    assert "are up" in rules_up(server, pins, way).stdout
    assert "OLD" not in firewall(server, "server", "status").stdout
    send_to_be_dropped(direct.client, server, 4, way, pins, [syn(direct, 4, 3, 0x12345678)])


def test_the_hook_comes_and_goes_with_the_rules(direct: Network, key_file: str, pins: str) -> None:
    client, server = direct.client, direct.server
    before = snapshot(server)
    for port in (22, 2222):
        echo_server(server, port)
    filtering_server(server, key_file, pins)
    rules_up(server, pins, "hook")
    (folder,) = Path(pins).glob("*-100")
    links = {folder / "link-ipv4", folder / "link-ipv6"}

    def attached() -> "set[Path]":
        return links & set(folder.iterdir())

    def is_open(port: int) -> bool:
        return all(echo(client, server.address(family), port, timeout=0.5).complete == 1 for family in FAMILIES)

    assert attached() == links and not has_filter_rule(server)
    assert re.search(r"filter +/\S+/syn_code_hook\n", firewall(server, "server", "status").stdout)
    assert not is_open(22) and is_open(2222)

    # Who takes the rules away has an open port, whatever the daemon does.
    firewall(server, "server", "down")
    assert snapshot(server) == before and not attached()
    assert is_open(22)

    # Where `up` chooses, this is what it chooses; other ports are looked at from then on.
    any_rules_up(server, pins, "nft", "--target-port", 2222)
    assert attached() == links
    assert is_open(22) and not is_open(2222)
    seen = queued(server)
    send_to_be_dropped(client, server, 4, "hook", pins, [
        segment(client.ipv4, server.ipv4, sport=7000, dport=2222, flags="S", seq=1, ack=2)])  # fmt: skip
    assert queued(server) == seen
    any_rules_up(server, pins, "nft", "--drop-ports")
    assert is_open(2222) and not is_open(22)

    # A link that is gone is noticed and mended.
    (folder / "link-ipv6").unlink()
    assert "NOT ATTACHED" in firewall(server, "server", "status").stdout
    any_rules_up(server, pins, "nft")
    assert attached() == links and "NOT ATTACHED" not in firewall(server, "server", "status").stdout

    # So is one that is left when somebody else has taken the rules away.
    rules_up(server, pins, "hook")
    for name in ("iptables", "ip6tables"):
        for table in ("raw", "mangle"):
            server.run([f"{name}-nft", "-w", "-t", table, "-F"])
            server.run([f"{name}-nft", "-w", "-t", table, "-X"])
    assert attached() == links
    left = firewall(server, "server", "down", "--pin-folder", pins)
    assert "still attached" in left.stdout and not attached() and is_open(22)
    assert "nothing to do" in firewall(server, "server", "down", "--pin-folder", pins).stdout

    for way in ("nft", "hook"):
        rules_up(server, pins, way)
        assert attached() == (links if way == "hook" else set()) and has_filter_rule(server) == (way == "nft")
    any_rules_up(server, pins, "nft", "--kernel-filter", "off")
    assert not attached() and not has_filter_rule(server)
    assert not is_open(22), "the daemon judges"


def test_a_hook_that_cannot_be_had(direct: Network, key_file: str, pins: str) -> None:
    server = direct.server
    filtering_server(server, key_file, pins)
    before = snapshot(server)
    (folder,) = Path(pins).glob("*-100")
    (folder / "scope").unlink()
    refused = rules_up(server, pins, "hook", check=False)
    assert refused.returncode == 1 and "cannot be attached: tcpknock: there is no program for a hook" in refused.stderr
    assert snapshot(server) == before
    assert "cannot be attached to the network here" in any_rules_up(server, pins, "nft").stdout
    assert not has_filter_rule(server)
    any_rules_up(server, pins, "nft", "--kernel-filter", "on")
    assert has_filter_rule(server)


@pytest.mark.parametrize("mode", ("auto", "rule"))
def test_where_iptables_lacks_the_match(
    direct: Network, mode: str, key_file: str, pins: str, tmp_path: Path
) -> None:
    server = direct.server
    filtering_server(server, key_file, pins)
    before = snapshot(server)
    for name in ("iptables", "ip6tables"):
        restore = tmp_path / f"{name}-nft-restore"
        restore.write_text(
            f'#!/bin/sh\ninput=$(cat)\ncase $input in *object-pinned*) echo "no match bpf" >&2; exit 2 ;; esac\n'
            f'printf "%s\\n" "$input" | /usr/sbin/{name}-nft-restore "$@"\n'
        )
        restore.chmod(restore.stat().st_mode | stat.S_IXUSR)
    # As on a kernel that has no hook for programs, nor a match.
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TCPKNOCK_BIN": "/nowhere"}
    result = firewall(
        server, "server", "up", "--iptables", "nft", "--pin-folder", pins, "--kernel-filter", mode, check=False, env=path
    )
    if mode == "rule":
        assert "no match bpf" in result.stderr
        assert result.returncode == 1 and snapshot(server) == before
    else:
        assert result.returncode == 0 and not has_filter_rule(server)
        assert firewall(server, "server", "status").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (["--kernel-filter", "maybe"], "--kernel-filter: 'maybe' is not known"),
        (["--pin-folder", "relative"], "--pin-folder: 'relative' is not an absolute path"),
        (["--pin-folder", "/a b"], "--pin-folder: '/a b' is not an absolute path"),
        (["--pin-folder", '/a"b'], "is not an absolute path"),
        (["--pin-folder="], "--pin-folder: '' is not"),
        (["--pin-folder", "/" + "a" * 150], "longer than 150"),
    ),
)
def test_bad_input_is_refused(direct: Network, arguments: List[str], message: str) -> None:
    result = firewall(direct.server, "server", "up", *arguments, check=False)
    assert (result.returncode, result.stdout) == (64, "") and message in result.stderr
