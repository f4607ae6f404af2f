"""`tcpknock probe` names what is wrong with a knock, and locks nobody out."""

import os
import re
from pathlib import Path
from typing import Any, List

import pytest

from harness.boxes import box
from harness.daemons import keygen, program, start_client, start_server
from harness.echo import echo, echo_server
from harness.firewall import firewall
from harness.inside import gets_in
from harness.knock import (
    FAMILIES,
    WITHOUT_FILTER,
    WRONG,
    assert_nobody_locked_out,
    counters,
    equip,
    keep_kernel_quiet,
    nat_addresses,
    peer,
    protect,
    put_rules,
)
from harness.probing import Probe, probe, protect_for_guests, protect_with_clock
from harness.sshd import Sshd
from harness.topologies import Network

ANSWERED = "SYN/ACK came"
NOTHING_SHOWN = ["wrong-key", "server-daemon-missing", "locked-out", "signed-segments", "unreachable"]
"""The reasons that no experiment from one link can tell apart."""


@pytest.fixture
def other_key(tmp_path: Path) -> str:
    return keygen(tmp_path / "other.dat")


def flags(name: str, values: List[str]) -> List[str]:
    return [word for value in values for word in (name, value)]


# --- all is well --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("path", ("direct", "routed", "natted"))
def test_a_knock_that_works(path: str, family: int, key_file: str, request: pytest.FixtureRequest) -> None:
    network: Network = request.getfixturevalue(path)
    server = protect(network.server, key_file)
    addresses = nat_addresses(network)
    equip(network.client, key_file, nat_ips=addresses)
    echo_server(network.server, 22)
    result = probe(network.client, key_file, network.server.address(family), *flags("--nat-ip", addresses))
    assert (result.status, result.failed_stage, result.causes) == (0, "", [])
    assert [stage["state"] for stage in result.report["stages"]] == ["ok"] * 6
    assert result.report["connection"]["verdict"] == "works"
    assert result.report["experiments"] == []
    assert counters(server)["acknowledgment-verified"] == 1
    assert_nobody_locked_out(server)


def test_a_service_that_speaks_first(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file)
    equip(direct.client, key_file)
    with Sshd(direct.server, tmp_path):
        result = probe(direct.client, key_file, direct.server.ipv4)
    assert result.status == 0
    assert result.report["connection"]["after"]["server"]["bytes"] > 20


def test_for_people(direct: Network, key_file: str) -> None:
    protect(direct.server, key_file)
    client = equip(direct.client, key_file)
    echo_server(direct.server, 22)
    command = [program("tcpknock"), "probe", "--key-file", key_file, direct.server.ipv4, "22"]
    good = direct.client.run(command)
    assert [line.split()[0] for line in good.stdout.splitlines()[1:7]] == ["ok"] * 6
    assert good.stdout.endswith("The knock works.\n")
    client.stop()
    bad = direct.client.run([*command, "--timeout", "0.5"], check=False)
    assert bad.returncode == 1
    assert "  FAILED  code written" in bad.stdout
    assert "Likely reasons, most likely first:\n  1. the client's daemon is not running\n" in bad.stdout


def test_settings_from_the_clients_configuration(direct: Network, key_file: str, tmp_path: Path) -> None:
    protect(direct.server, key_file, (22, 2222))
    equip(direct.client, key_file, (22, 2222), isn_mask="windowed", queue_num=201)
    echo_server(direct.server, 22, 2222)
    config = tmp_path / "client.toml"
    config.write_text(
        f"""
        queue_num = 201
        [[target]]
        host = "10.81.0.0/16"
        key_file = "/nonexistent"
        [[target]]
        host = "10.81.1.0/24"
        key_file = "{key_file}"
        isn_mask = "windowed"
        """
    )
    result = probe(direct.client, "", direct.server.ipv4, "--config", config)
    assert (result.status, result.report["mask"], result.report["connection"]["syn"]["mask"]) == (
        0, "windowed", "windowed"
    )  # fmt: skip
    # Flags go over it.
    result = probe(direct.client, key_file, direct.server.ipv4, "--config", config, port=2222)
    assert result.status == 0
    # No target has this port.
    command = [program("tcpknock"), "probe", "--config", str(config), direct.server.ipv4, "2222"]
    result_without = direct.client.run(command, check=False)
    assert (result_without.returncode, "no target for 10.81.1.2" in result_without.stderr) == (78, True)


# --- the client's host --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_clients_daemon_does_not_run(direct: Network, family: int, key_file: str) -> None:
    protect(direct.server, key_file)
    put_rules(direct.client, "client")
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.address(family), "--timeout", 1)
    assert (result.failed_stage, result.causes) == ("code written", ["client-daemon-missing"])


def test_the_clients_rules_are_missing(direct: Network, key_file: str) -> None:
    protect(direct.server, key_file)
    start_client(direct.client, key_file)
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == ("code written", ["client-rules-missing"])


@pytest.mark.parametrize("action", ("DROP", "REJECT"))
def test_the_clients_own_firewall(direct: Network, key_file: str, action: str) -> None:
    equip(direct.client, key_file)
    direct.client.run(["iptables", "-w", "-A", "OUTPUT", "-p", "tcp", "--dport", "22", "-j", action])
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == ("SYN sent", ["local-firewall"])


def test_the_rule_for_the_answer_is_missing(direct: Network, key_file: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    direct.client.run(["iptables", "-w", "-t", "raw", "-F", "PREROUTING"])
    result = probe(direct.client, key_file, direct.server.ipv4)
    assert (result.failed_stage, result.causes) == ("ISN unmasked", ["client-not-unmasking"])
    # An ordinary program would have acknowledged the masked ISN.
    assert_nobody_locked_out(server)


def test_the_daemon_has_other_settings_than_the_probe(direct: Network, key_file: str, other_key: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    result = probe(direct.client, other_key, direct.server.ipv4)
    assert (result.failed_stage, result.causes) == ("code written", ["client-other-settings"])
    assert "the daemon's settings are right" in result.report["reasons"][0]["evidence"]
    assert_nobody_locked_out(server)


def test_only_the_probe_has_the_right_settings(direct: Network, key_file: str, other_key: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, other_key)
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == ("code written", ["client-other-settings"])
    assert result.answer("code by the settings") == "proven"
    assert_nobody_locked_out(server)


# --- no answer ----------------------------------------------------------------------------------------------------


def test_another_key(direct: Network, key_file: str, other_key: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, other_key)
    echo_server(direct.server, 22)
    result = probe(direct.client, other_key, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == (ANSWERED, NOTHING_SHOWN)
    assert "31 minutes before and after now" in result.reason("wrong-key")["evidence"]
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("minutes", (10, -10, 28))
def test_the_clock(direct: Network, key_file: str, minutes: int) -> None:
    server = protect_with_clock(direct.server, key_file, minutes * 60)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == (ANSWERED, ["clock"])
    match = re.search(r"the server's is (\d+) to (\d+) minutes (ahead of|behind) this host's", result.reason("clock")["text"])
    assert match
    assert int(match[1]) <= abs(minutes) <= int(match[2])
    assert match[3] == ("ahead of" if minutes > 0 else "behind")
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("side", ("client", "server"))
def test_only_one_side_uses_the_time(direct: Network, key_file: str, side: str) -> None:
    protect(direct.server, key_file, no_time=side == "server")
    equip(direct.client, key_file, no_time=side == "client")
    echo_server(direct.server, 22)
    settings = ["--no-time"] if side == "client" else []
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1, *settings)
    assert (result.failed_stage, result.causes) == (ANSWERED, ["time-setting"])


def test_a_nat_address_where_there_is_no_nat(direct: Network, key_file: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file, nat_ips=["203.0.113.9"])
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1, "--nat-ip", "203.0.113.9")
    assert (result.failed_stage, result.causes) == (ANSWERED, ["nat-address"])
    assert "remove nat_ip" in result.reason("nat-address")["advice"]
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("daemon", ("without nat_ip", "with a wrong one"))
def test_a_wrong_nat_address(natted: Network, key_file: str, family: int, daemon: str) -> None:
    server = protect(natted.server, key_file)
    wrong = [] if daemon == "without nat_ip" else ["203.0.113.9", "2001:db8::9"]
    equip(natted.client, key_file, nat_ips=wrong)
    echo_server(natted.server, 22)

    def ask(*more: object) -> Probe:
        always = ("--timeout", 1, *flags("--nat-ip", wrong))
        return probe(natted.client, key_file, natted.server.address(family), *always, *more)

    # Nobody says which address it could be: it is the first of the reasons.
    result = ask()
    assert result.failed_stage == ANSWERED
    assert result.causes[:2] == ["nat-address", "wrong-key"]
    assert "is private" in result.reason("nat-address")["evidence"]

    # With the right one among those to try, it is found.
    tries = ["198.51.100.77", natted.seen_as(family)]
    result = ask(*flags("--try-address", tries))
    assert result.causes == ["nat-address"]
    assert f'nat_ip = "{natted.seen_as(family)}"' in result.reason("nat-address")["advice"]
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_roaming(natted: Network, key_file: str, tmp_path: Path, family: int) -> None:
    protect_for_guests(natted.server, [key_file], tmp_path, roaming=True)
    put_rules(natted.server, "server")
    client = equip(natted.client, key_file)
    echo_server(natted.server, 22)
    address = natted.server.address(family)

    result = probe(natted.client, key_file, address, "--timeout", 1)
    assert (result.failed_stage, result.causes) == (ANSWERED, ["nat-address"])
    assert result.reason("nat-address")["advice"].startswith('set nat_ip = "auto"')

    # As advised.
    client.stop()
    start_client(natted.client, key_file, more=["--nat-ip", "auto"])
    result = probe(natted.client, key_file, address, "--nat-ip", "auto")
    assert (result.status, result.report["connection"]["syn"]["bound_to"]) == (0, "roaming")


def test_a_server_that_goes_by_the_hint(direct: Network, key_file: str, other_key: str, tmp_path: Path) -> None:
    protect_for_guests(direct.server, [other_key, key_file], tmp_path, top='guest_search = "hint"')
    put_rules(direct.server, "server")
    client = equip(direct.client, key_file, nat_ips=["203.0.113.9"])
    echo_server(direct.server, 22)
    # The SYNs of experiments have the hint as well, else none would be answered.
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1, "--nat-ip", "203.0.113.9")
    assert result.causes == ["nat-address"]
    client.stop()
    start_client(direct.client, key_file)
    assert probe(direct.client, key_file, direct.server.ipv4).status == 0


def test_a_box_that_changes_the_hint(
    twice_routed: Network, key_file: str, other_key: str, tmp_path: Path
) -> None:
    protect_for_guests(twice_routed.server, [other_key, key_file], tmp_path, top='guest_search = "hint"')
    put_rules(twice_routed.server, "server")
    equip(twice_routed.client, key_file)
    echo_server(twice_routed.server, 22)
    assert twice_routed.router
    box(twice_routed.router, "change_hint")
    result = probe(twice_routed.client, key_file, twice_routed.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes[0]) == (ANSWERED, "code-changed-on-the-way")
    assert "identification field" in result.report["reasons"][0]["text"]


def test_a_server_that_resets_wrong_codes(direct: Network, key_file: str, other_key: str) -> None:
    start_server(direct.server, key_file, more=["--on-failure", "reset", *WITHOUT_FILTER])
    firewall(direct.server, "server", "up", "--on-failure", "reset", *WITHOUT_FILTER)
    client = equip(direct.client, other_key)
    echo_server(direct.server, 22)
    # By design it looks like a closed port.
    result = probe(direct.client, other_key, direct.server.ipv4)
    assert result.failed_stage == ANSWERED
    assert result.causes[:2] == ["server-unprotected", "wrong-key"]
    client.stop()
    start_client(direct.client, key_file, nat_ips=["203.0.113.9"])
    result = probe(direct.client, key_file, direct.server.ipv4, "--nat-ip", "203.0.113.9")
    assert result.causes == ["nat-address"]


def test_the_servers_daemon_does_not_run(direct: Network, key_file: str) -> None:
    protect(direct.server, key_file).stop()
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == (ANSWERED, NOTHING_SHOWN)


def test_locked_out(direct: Network, key_file: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    assert probe(direct.client, key_file, direct.server.ipv4).status == 0
    keep_kernel_quiet(direct.client)
    with peer(direct.client, key_file, direct.server.ipv4, source_port=20_001) as guesser:
        guesser.send_syn()
        assert guesser.receive_synack()
        guesser.send_ack(ack=guesser.rcv_nxt ^ WRONG)
        server.wait_for_line("locked out")
    result = probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1)
    assert (result.failed_stage, result.causes) == (ANSWERED, NOTHING_SHOWN)


def test_a_firewall_that_rejects(routed: Network, key_file: str) -> None:
    protect(routed.server, key_file)
    equip(routed.client, key_file)
    assert routed.router
    routed.router.run(["iptables", "-w", "-A", "FORWARD", "-p", "tcp", "--dport", "22", "-j", "REJECT",
                       "--reject-with", "icmp-admin-prohibited"])  # fmt: skip
    result = probe(routed.client, key_file, routed.server.ipv4, "--timeout", 1)
    assert result.failed_stage == ANSWERED
    assert result.causes[0] == "rejected-on-the-way"


def test_without_experiments(direct: Network, key_file: str, other_key: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, other_key)
    result = probe(direct.client, other_key, direct.server.ipv4, "--timeout", 1, "--no-experiments")
    assert (result.causes, result.report["experiments"]) == (NOTHING_SHOWN, [])
    assert counters(server).get("syn-with-wrong-code", 0) <= 3


# --- boxes on the way ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("change", "field"), (("clear_code", "acknowledgment field"), ("change_client_isn", "sequence number"))
)
def test_a_box_that_spoils_the_code(
    twice_routed: Network, key_file: str, family: int, change: str, field: str
) -> None:
    protect(twice_routed.server, key_file)
    equip(twice_routed.client, key_file)
    echo_server(twice_routed.server, 22)
    router, far = twice_routed.router, twice_routed.far_router
    assert router and far
    box(router, change)
    result = probe(twice_routed.client, key_file, twice_routed.server.address(family), "--timeout", 1)
    assert (result.failed_stage, result.causes) == (ANSWERED, ["code-changed-on-the-way"])
    reason = result.reason("code-changed-on-the-way")
    assert reason["text"].endswith(f": {field}")
    assert f"router 2 ({far.address(family)})" in reason["evidence"]
    assert "between router 1 and there" in reason["evidence"]


def test_a_box_behind_the_last_router_that_reports(twice_routed: Network, key_file: str) -> None:
    protect(twice_routed.server, key_file)
    equip(twice_routed.client, key_file)
    echo_server(twice_routed.server, 22)
    assert twice_routed.far_router
    box(twice_routed.far_router, "clear_code")
    result = probe(twice_routed.client, key_file, twice_routed.server.ipv4, "--timeout", 1)
    assert result.failed_stage == ANSWERED
    assert {"code-changed-on-the-way", "wrong-key"} <= set(result.causes)
    assert "2 routers got the SYN as it was sent" in result.reason("code-changed-on-the-way")["evidence"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", ("change_identification", "clear_identification"))
def test_a_box_that_changes_the_nonce(routed: Network, key_file: str, change: str, family: int) -> None:
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    echo_server(routed.server, 22)
    assert routed.router
    box(routed.router, change)
    result = probe(routed.client, key_file, routed.server.address(family))
    assert (result.failed_stage, result.causes) == ("server proven", ["nonce-changed-on-the-way"])
    assert ("clears" if change.startswith("clear") else "changes") in result.report["reasons"][0]["text"]
    assert_nobody_locked_out(server)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_box_that_changes_isns(routed: Network, key_file: str, family: int) -> None:
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    echo_server(routed.server, 22)
    assert routed.router
    box(routed.router, "randomise_isn")
    result = probe(routed.client, key_file, routed.server.address(family))
    # Twelve changed numbers all go with some nonce by chance once in 250 times.
    assert (result.failed_stage, result.causes) == ("server proven", ["isn-changed-on-the-way"])
    assert_nobody_locked_out(server)


def test_a_stateful_box(routed: Network, key_file: str) -> None:
    server = protect(routed.server, key_file)
    equip(routed.client, key_file)
    echo_server(routed.server, 22)
    assert routed.router
    box(routed.router, "judge_acknowledgments")
    result = probe(routed.client, key_file, routed.server.ipv4)
    assert (result.failed_stage, result.causes) == ("ACK accepted", ["stateful-box"])
    assert result.report["windowed_gets_through"] is True
    assert "--isn-mask windowed" in result.reason("stateful-box")["advice"]
    assert_nobody_locked_out(server)


def test_the_kernels_own_connection_tracking(natted: Network, key_file: str) -> None:
    # With a full mask it takes about every second third ACK for invalid, so one of twelve is almost certain.
    server = protect(natted.server, key_file)
    addresses = nat_addresses(natted)
    equip(natted.client, key_file, nat_ips=addresses, isn_mask="full")
    echo_server(natted.server, 22)
    settings = [*flags("--nat-ip", addresses), "--isn-mask", "full"]
    results = (probe(natted.client, key_file, natted.server.ipv4, *settings) for _ in range(12))
    stalled = next((result for result in results if result.status), None)
    assert stalled
    assert (stalled.failed_stage, stalled.causes) == ("ACK accepted", ["stateful-box"])
    assert stalled.report["windowed_gets_through"] is True
    assert_nobody_locked_out(server)


def test_a_windowed_mask_passes_the_stateful_box(routed: Network, key_file: str) -> None:
    protect(routed.server, key_file)
    equip(routed.client, key_file, isn_mask="windowed")
    echo_server(routed.server, 22)
    assert routed.router
    box(routed.router, "judge_acknowledgments")
    assert probe(routed.client, key_file, routed.server.ipv4, "--isn-mask", "windowed").status == 0
    assert echo(routed.client, routed.server.ipv4, 22, connections=3).complete == 3


# --- the server's host --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_service_does_not_run(direct: Network, key_file: str, family: int) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    result = probe(direct.client, key_file, direct.server.address(family))
    assert (result.failed_stage, result.causes) == (ANSWERED, ["service-down"])
    assert result.answer("wrong code") == "silence"
    assert_nobody_locked_out(server)


def test_neither_service_nor_protection(direct: Network, key_file: str) -> None:
    equip(direct.client, key_file)
    result = probe(direct.client, key_file, direct.server.ipv4)
    # A server that answers wrong codes with a RST would look the same.
    assert result.failed_stage == ANSWERED
    assert result.causes[:2] == ["server-unprotected", "wrong-key"]
    assert result.answer("wrong code") == "refused"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_server_is_not_protected(direct: Network, key_file: str, family: int) -> None:
    equip(direct.client, key_file)
    echo_server(direct.server, 22)
    result = probe(direct.client, key_file, direct.server.address(family))
    assert (result.failed_stage, result.causes) == ("server proven", ["server-unprotected"])
    assert result.answer("wrong code") == "unproven"


# --- nothing stays behind, and wrong use --------------------------------------------------------------------------


def test_nothing_stays_behind(direct: Network, key_file: str) -> None:
    server = protect(direct.server, key_file)
    client = equip(direct.client, key_file, nat_ips=["203.0.113.9"])
    echo_server(direct.server, 22)
    probe(direct.client, key_file, direct.server.ipv4, "--timeout", 1, "--nat-ip", "203.0.113.9")
    for host in (direct.client, direct.server):
        assert host.run(["ss", "-Htn", "state", "syn-recv", "state", "syn-sent", "state", "established"]).stdout == ""
    assert_nobody_locked_out(server)
    # The next connection with right settings gets in.
    client.stop()
    start_client(direct.client, key_file)
    assert gets_in(direct.client, direct.server.ipv4)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    (
        (["10.81.1.2", "0"], 64, "not a TCP port"),
        (["--nat-ip", "nowhere", "10.81.1.2", "22"], 64, "not an IP address"),
        (["--nat-ip", "auto", "--nat-ip", "192.0.2.1", "10.81.1.2", "22"], 64, "stands for all addresses"),
        (["--timeout", "0", "10.81.1.2", "22"], 64, "from 0.5 to 60"),
        (["--key-file", "/nonexistent", "10.81.1.2", "22"], 66, "there is no such file"),
        (["192.0.2.1", "22"], 68, "no route"),
        (["no such name", "22"], 68, "no such name"),
        (["--interface", "eth7", "10.81.1.2", "22"], 71, "eth7"),
    ),
)
def test_wrong_use(direct: Network, key_file: str, arguments: List[str], status: int, message: str) -> None:
    key: List[Any] = [] if "--key-file" in arguments else ["--key-file", key_file]
    result = direct.client.run([program("tcpknock"), "probe", *key, *arguments], check=False)
    assert result.returncode == status, result.stderr
    assert message in result.stderr
    assert result.stdout == ""


def test_without_permission(direct: Network, key_file: str, tmp_path: Path) -> None:
    command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--reset-env",
               program("tcpknock"), "probe", "--key-file", key_file, direct.server.ipv4, "22"]  # fmt: skip
    result = direct.client.run(command, check=False)
    assert result.returncode == os.EX_NOPERM, result.stderr
    assert "run this as root" in result.stderr
