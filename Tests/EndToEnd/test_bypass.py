"""What leads past the knock although all rules are there, and what is closed although none are: `tcpknock status` says so."""

import json
import random
from typing import Any, Iterator, Tuple

import pytest

from harness.echo import echo, echo_server
from harness.firewall import BACKENDS
from harness.inside import gets_in
from harness.installed import Installed
from harness.knock import FAMILIES, equip, peer
from harness.segments import segment, send
from harness.topologies import Network
from harness.waiting import eventually

SERVER_SH = "/usr/local/lib/tcpknock/server.sh"


@pytest.fixture
def installed(direct: Network) -> Iterator[Installed]:
    echo_server(direct.server, 22, 443)
    with Installed(direct.server) as host:
        yield host


def protect(host: Installed, kernel_filter: str = "off", iptables: str = "auto", guard: str = "tell") -> None:
    host.run("keygen", "/etc/tcpknock/key.dat")
    settings = {"kernel_filter": kernel_filter, "iptables": iptables, "rules_guard": guard, "key_file": "key.dat"}
    lines = [f'{name} = "{value}"' for name, value in settings.items()]
    host.write("/etc/tcpknock/server.toml", "\n".join(["target_ports = [22, 443]", *lines, ""]))
    host.start("tcpknock-server")
    host.shell(f"{SERVER_SH} up --flags-from tcpknock-server")
    assert first_line(host) == (0, "PROTECTED: ports 22, 443")


def first_line(host: Installed) -> Tuple[int, str]:
    result = host.run("tcpknock", "status", check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()[0]


def in_json(host: Installed) -> Any:
    result = host.run("tcpknock", "status", "--json", check=False)
    told = json.loads(result.stdout)
    return result.returncode, told["protected"], told["unprotected_ports"], told["closed_ports"]


def doctors_cure(host: Installed, check: str) -> str:
    report = json.loads(host.run("tcpknock", "doctor", "--server", "--json", check=False).stdout)
    (finding,) = [f for part in report["examined"] for f in part["findings"]
                  if f["check"] == check and f["severity"] in ("warning", "error")]  # fmt: skip
    return str(finding["cure"])


def syn_reaches_the_service(network: Network, port: int = 22) -> bool:
    """Whether the server's kernel answers a SYN that has no code, but could be a knock by its flags.

    The daemon drops that answer, for it has not seen the SYN. Who guesses its number (once in 2³² tries, and nobody is
    locked out for it) has a connection.
    """
    (sport,) = random.sample(range(20_000, 30_000), 1)
    send(network.client, [segment(network.client.ipv4, network.server.ipv4, sport=sport, dport=port, flags="S", ack=1)])

    def begun() -> bool:
        listed = network.server.run(["ss", "-Htan", "state", "syn-recv"]).stdout
        return any(line.split()[3].endswith(f":{sport}") for line in listed.splitlines())

    try:
        return eventually(begun, 0.5)
    except AssertionError:
        return False


def third_ack_is_judged(network: Network, installed: Installed) -> bool:
    """Whether who sends a right code and then a wrong third ACK is locked out."""
    key = network.client.records + "/key.dat"
    installed.shell(f"cp -p /etc/tcpknock/key.dat {key}")
    with peer(network.client, key, network.server.ipv4, source="10.81.1.77") as stranger:
        stranger.send_syn()
        assert stranger.receive_synack()
        # So near to the right one that connection tracking finds nothing wrong.
        stranger.send_ack(ack=(stranger.rcv_nxt - 1000) % 2**32)
        try:
            eventually(lambda: "10.81.1.77" in installed.run("tcpknock", "locks").stdout, 1)
        except AssertionError:
            return False
    installed.run("tcpknock", "unlock", "10.81.1.77")
    return True


PAST = {
    "all of a port": ("-p tcp --dport 22 -j ACCEPT", "port 22"),
    "all of TCP": ("-p tcp -j ACCEPT", "ports 22, 443"),
    "of an address": ("-s {client} -j ACCEPT", "ports 22, 443"),
    "in a chain of its own": ("-j OTHER", "ports 22, 443"),
    "with the mark of the daemon": ("-p tcp -j MARK --set-xmark 0x1000/0x1000", "ports 22, 443"),
}
"""Rules before ours that lead SYNs to the service, and past which ports."""
HALFWAY = {
    "what is established": ("-m conntrack --ctstate ESTABLISHED -j ACCEPT", "ports 22, 443"),
    "marked as verified": ("-m conntrack --ctstate ESTABLISHED -j CONNMARK --set-xmark 0x1000/0x1000", "ports 22, 443"),
}
"""Rules before ours with which a code is asked for, but nobody judges the third ACK."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*PAST, *HALFWAY])
def test_a_rule_before_ours(direct: Network, installed: Installed, backend: str, name: str) -> None:
    protect(installed, iptables=backend)
    rule, ports = {**PAST, **HALFWAY}[name]
    rule = rule.format(client=direct.client.ipv4)
    if name == "in a chain of its own":
        installed.shell(f"iptables-{backend} -w -t mangle -N OTHER; iptables-{backend} -w -t mangle -A OTHER -j ACCEPT")

    def is_past() -> bool:
        return syn_reaches_the_service(direct) if name in PAST else not third_ack_is_judged(direct, installed)

    assert not is_past()
    installed.shell(f"iptables-{backend} -w -t mangle -I PREROUTING {rule}")
    assert is_past(), "it does not lead past the knock"
    status, line = first_line(installed)
    assert status == 1
    rule_text = f"(iptables-{backend} -t mangle: -A "
    assert line.startswith(f"NOT PROTECTED: {ports}: a rule of another program leads past the knock {rule_text}")
    assert in_json(installed) == (1, False, [22] if ports == "port 22" else [22, 443], [])
    installed.shell(line.split("; run ")[1])
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")
    assert not is_past()


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_before_ours_in_all_tables_open_the_port(direct: Network, installed: Installed, backend: str) -> None:
    """As a script does it that begins by accepting its own services everywhere."""
    protect(installed, iptables=backend)
    for place, match in (("raw -I PREROUTING", "--dport"), ("mangle -I PREROUTING", "--dport"), ("mangle -I POSTROUTING", "--sport")):
        installed.shell(f"iptables-{backend} -w -t {place} -p tcp {match} 22 -j ACCEPT")
    assert gets_in(direct.client, direct.server.ipv4)
    status, line = first_line(installed)
    assert status == 1 and line.startswith("NOT PROTECTED: port 22: a rule of another program leads past the knock")
    installed.shell(line.split("; run ")[1])
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")
    assert not gets_in(direct.client, direct.server.ipv4, timeout=0.4)


def test_what_doctor_says_cures_it_too(direct: Network, installed: Installed) -> None:
    protect(installed)
    installed.shell("ip6tables-nft -w -t mangle -I PREROUTING -p tcp --dport 443 -m comment --comment 'x; y' -j ACCEPT")
    assert first_line(installed)[1].startswith("NOT PROTECTED: port 443: a rule of another program")
    installed.shell(doctors_cure(installed, "order").split(" take the other out: ")[1])
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")


def test_a_rule_that_gives_packets_the_mark_of_the_daemon(direct: Network, installed: Installed) -> None:
    """Behind ours in the raw table, where putting ours first does not help."""
    protect(installed)
    installed.shell("iptables-nft -w -t raw -A PREROUTING -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x1000/0x1000")
    assert syn_reaches_the_service(direct)
    status, line = first_line(installed)
    assert status == 1
    assert line.startswith("NOT PROTECTED: port 22: a rule of another program leads past the knock (iptables-nft -t raw: ")
    assert line.endswith("; 'tcpknock doctor' says how to take that rule out")
    mask = doctors_cure(installed, "mark").split("(")[1].split(")")[0]
    installed.shell(
        f"iptables-nft -w -t raw -R PREROUTING $(iptables-nft -t raw -S PREROUTING | sed 1d | grep -n -- '-j MARK' | cut -d: -f1)"
        f" -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x1/{mask}"
    )
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")
    assert not syn_reaches_the_service(direct)


@pytest.mark.parametrize("mark,reaches", (("meta mark set 0x1000", True), ("ct state established ct mark set ct mark or 0x1000", False)))
def test_a_rule_of_nft_that_sets_the_mark(direct: Network, installed: Installed, mark: str, reaches: bool) -> None:
    """In a table that iptables does not show, between ours."""
    protect(installed)

    def is_past() -> bool:
        return syn_reaches_the_service(direct) if reaches else not third_ack_is_judged(direct, installed)

    assert not is_past()
    chain = "type filter hook prerouting priority -180;"
    installed.shell(f"nft add table inet other; nft 'add chain inet other pre {{ {chain} }}'; nft add rule inet other pre tcp dport 22 {mark}")
    assert is_past(), "it does not lead past the knock"
    status, line = first_line(installed)
    assert status == 1
    assert line.startswith("NOT PROTECTED: port 22: a rule of another program leads past the knock (nft table inet other, chain pre: ")
    assert line.endswith("; 'tcpknock doctor' says how to take that rule out")
    for told in (installed.shell(f"{SERVER_SH} status"), installed.run("tcpknock", "doctor", check=False).stdout):
        assert "nft table inet other, chain pre: tcp dport 22 " in told
    kept = doctors_cure(installed, "mark").split("(")[1].split(" or ")[0]
    handle = installed.shell("nft -a list chain inet other pre | sed -n 's/.* set .*# handle //p'").strip()
    installed.shell(f"nft replace rule inet other pre handle {handle} {kept} or 0x1")
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")
    assert not is_past()


@pytest.mark.parametrize("rule", (
    "-t mangle -A PREROUTING -j ACCEPT", "-t mangle -I PREROUTING -p udp -j ACCEPT", "-t mangle -I PREROUTING -i lo -j ACCEPT",
    "-t mangle -I PREROUTING -p tcp --dport 80 -j ACCEPT", "-t mangle -I PREROUTING -p tcp --dport 22 -j DROP",
    "-t raw -I PREROUTING -j ACCEPT", "-t mangle -I PREROUTING -j MARK --set-mark 0x1", "-I INPUT -j ACCEPT",
    "-t mangle -A PREROUTING -j CONNMARK --set-xmark 0x1000/0x1000",
    "-t raw -I PREROUTING -j MARK --set-xmark 0x1000/0x1000",
))  # fmt: skip
def test_what_leads_nowhere(direct: Network, installed: Installed, rule: str) -> None:
    protect(installed)
    installed.shell(f"iptables-nft -w {rule}")
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")
    assert not syn_reaches_the_service(direct)
    # Some keep everybody out, which doctor finds.
    assert "-j DROP" in rule or "MARK " in rule or third_ack_is_judged(direct, installed)


def test_what_is_closed_while_the_rules_are_lost(direct: Network, installed: Installed) -> None:
    protect(installed, kernel_filter="auto")
    key = direct.client.records + "/key.dat"
    installed.shell(f"cp -p /etc/tcpknock/key.dat {key}")
    equip(direct.client, key, (22, 443))
    for family in FAMILIES:
        assert echo(direct.client, direct.server.address(family), 443).complete == 1
    installed.shell("nft flush ruleset")
    status, line = first_line(installed)
    assert (status, line.split("; run ")[0]) == (
        1, "CLOSED: ports 22, 443: there are no rules for them; the kernel filter lets nobody in")  # fmt: skip
    assert in_json(installed) == (1, False, [22, 443], [22, 443])
    for family in FAMILIES:
        for port in (22, 443):
            assert echo(direct.client, direct.server.address(family), port, timeout=0.5).complete == 0
    report = installed.run("tcpknock", "doctor", "--server", check=False).stdout
    assert "nobody gets in to ports 22, 443 over IPv6, since the kernel filter is still attached" in report

    # Only of one family, or with a part of the gate, it is not closed.
    installed.shell("rm /sys/fs/bpf/tcpknock/*/link-in-ipv6")
    assert first_line(installed)[1].startswith("NOT PROTECTED: ports 22, 443: there are no rules for them; run ")
    assert in_json(installed)[3] == []
    installed.shell(line.split("; run ")[1])
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")
    assert echo(direct.client, direct.server.ipv6, 443).complete == 1


def test_a_port_that_the_gate_does_not_know(direct: Network, installed: Installed) -> None:
    protect(installed, kernel_filter="auto")
    installed.shell("nft flush ruleset")
    installed.shell("sed -i 's/22, 443/22, 80, 443/' /etc/tcpknock/server.toml; tcpknock reload")
    status, line = first_line(installed)
    assert status == 1
    assert line.startswith(
        "NOT PROTECTED: ports 22, 80, 443: there are no rules for them; the kernel filter lets nobody in to ports 22, 443; run ")
    assert in_json(installed) == (1, False, [22, 80, 443], [22, 443])
    installed.shell(line.split("; run ")[1])
    assert first_line(installed) == (0, "PROTECTED: ports 22, 80, 443")


def test_the_gate_behind_a_rule_that_accepts(direct: Network, installed: Installed) -> None:
    protect(installed, kernel_filter="auto")
    installed.shell("iptables-nft -w -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT")
    status, line = first_line(installed)
    assert status == 1 and line.startswith("CLOSED: port 22: a rule of another program leads past the knock (")
    assert "; the kernel filter lets nobody in; run " in line
    result = echo(direct.client, direct.server.ipv4, 22, timeout=0.5)
    assert result.complete == 0
    # One that marks connections as verified opens the gate, too.
    installed.shell("iptables-nft -w -t mangle -I PREROUTING -p tcp --dport 22 -j CONNMARK --set-xmark 0x1000/0x1000")
    eventually(lambda: first_line(installed)[1].startswith("NOT PROTECTED: port 22"))


LOST = {
    "there are no rules for them": ["nft flush ruleset"],
    "some rules are missing or were changed": ["iptables-nft -w -t mangle -D TCPKNOCK-SRV-DONE 1"],
    "the rules have another 'protect' or 'exempt'": [
        """sed -i 's/^target_ports/protect = ["own", "192.0.2.0\\/24"]\\ntarget_ports/' /etc/tcpknock/server.toml""",
        "tcpknock reload"],
}  # fmt: skip


@pytest.mark.parametrize("what", LOST)
def test_what_status_says_cures_it(installed: Installed, what: str) -> None:
    """The other things that it can say."""
    protect(installed)
    for command in LOST[what]:
        installed.shell(command)
    status, line = first_line(installed)
    assert status == 1 and line.startswith(f"NOT PROTECTED: ports 22, 443: {what}; run ")
    installed.shell(line.split("; run ")[1])
    assert first_line(installed) == (0, "PROTECTED: ports 22, 443")


def test_it_is_told_without_being_asked_for(direct: Network, installed: Installed) -> None:
    installed.run("keygen", "/etc/tcpknock/key.dat")
    installed.write("/etc/tcpknock/server.toml", 'key_file = "key.dat"\nkernel_filter = "off"\n')
    daemon = installed.start("tcpknock-server")
    installed.shell(f"{SERVER_SH} up --flags-from tcpknock-server")
    daemon.wait_for_line("PROTECTED: port 22$")
    installed.shell("iptables-nft -w -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT")
    daemon.wait_for_line("NOT PROTECTED: port 22: a rule of another program leads past the knock")
    installed.shell("iptables-nft -w -t mangle -D PREROUTING 1")
    start = daemon.position
    daemon.wait_for_line(" PROTECTED: port 22$", start=max(0, start - 3))
