"""What `tcpknock probe` advises is done as it says, commands as they are printed, and then the probe gets through.

The causes are listed from the sources: one that is neither here nor among those for which nothing can be typed fails.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

import pytest

from harness.daemons import keygen
from harness.echo import echo_server
from harness.firewall import PROJECT
from harness.installed import Installed
from harness.knock import peer
from harness.processes import Program
from harness.topologies import Network
from harness.waiting import eventually

UP = r"(?<=')/usr/local/lib/tcpknock/\w+\.sh up[^']*(?=')"
KEY = "/etc/tcpknock/key.dat"


@dataclass
class Side:
    """One of both hosts, with the project installed, configured and at work."""

    role: str
    installed: Installed
    settings: Dict[str, str]
    daemon: Optional[Program] = None

    def configure(self, **settings: str) -> None:
        self.settings = {name: value for name, value in {**self.settings, **settings}.items() if value}
        lines = [f"{name} = {value}" for name, value in self.settings.items()]
        self.installed.write(f"/etc/tcpknock/{self.role}.toml", "\n".join([*lines, ""]))

    def start(self, line: str = "") -> None:
        self.daemon = self.installed.start(line or f"tcpknock-{self.role}")

    def stop(self) -> "Side":
        assert self.daemon
        self.daemon.stop()
        return self

    def restart(self, **settings: str) -> None:
        self.configure(**settings)
        self.stop()
        self.start()

    def up(self) -> None:
        self.shell(f"/usr/local/lib/tcpknock/{self.role}.sh up --flags-from tcpknock-{self.role}")

    def shell(self, script: str) -> str:
        return self.installed.shell(script)


@dataclass
class Hosts:
    client: Side
    server: Side
    network: Network
    service: Program

    def probe(self) -> Any:
        command = ["tcpknock", "probe", "--json", "--timeout", "1", self.network.server.ipv4, "22"]
        result = self.client.installed.run(*command, check=False)
        assert result.stderr == "", result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def hosts(direct: Network, tmp_path: Path) -> Iterator[Hosts]:
    key = keygen(tmp_path / "key.dat")
    with Installed(direct.client) as client, Installed(direct.server) as server:
        sides = [
            Side("client", client, {"key_file": '"key.dat"'}),
            Side("server", server, {"key_file": '"key.dat"', "kernel_filter": '"off"', "rules_guard": '"off"'}),
        ]
        for side in sides:
            side.shell(f"cp -p {key} {KEY}")
            side.configure()
            side.start()
            side.up()
        yield Hosts(sides[0], sides[1], direct, echo_server(direct.server, 22))


def typed(pattern: str, advice: str) -> str:
    match = re.search(pattern, advice)
    assert match, f"{pattern} is not in: {advice}"
    return match[0]


def said(advice: str, *words: str) -> None:
    for word in words:
        assert word in advice, f"{word} is not in: {advice}"


# --- the cases: what is wrong, and who does what is advised ----------------------------------------------------------


def start_client(hosts: Hosts, advice: str) -> None:
    hosts.client.start(typed(r"(?<=start ')tcpknock-client(?=')", advice))


def start_client_with_rules(hosts: Hosts, advice: str) -> None:
    start_client(hosts, advice)
    hosts.client.shell(typed(UP, advice))


def put_client_rules(hosts: Hosts, advice: str) -> None:
    hosts.client.shell(typed(UP, advice))


def same_settings(hosts: Hosts, advice: str) -> None:
    said(advice, "give both the same settings", "--nat-ip")
    hosts.client.restart()


def accept_output(hosts: Hosts, advice: str) -> None:
    said(advice, "look at the OUTPUT rules")
    assert "--dport 22 -j DROP" in hosts.client.shell("iptables -S OUTPUT")
    hosts.client.shell("iptables -w -D OUTPUT 1")


def compare_keys(hosts: Hosts, advice: str) -> None:
    command = typed(r"keygen --fingerprint", advice)
    prints = [side.shell(f"{command} {KEY}") for side in (hosts.client, hosts.server)]
    assert prints[0] != prints[1] and typed(r"(?<=the one here is )[0-9a-f-]+", advice) in prints[0]
    key = Path(hosts.network.client.records, "key.dat")
    hosts.server.shell(f"cp -p {KEY} {key}")
    hosts.client.shell(f"cp -p {key} {KEY}")
    hosts.client.restart()


def other_key(hosts: Hosts) -> None:
    hosts.client.shell(f"keygen --force {KEY}")
    hosts.client.restart()


def no_time_on_both(hosts: Hosts, advice: str) -> None:
    said(advice, "no_time on both sides or on none")
    hosts.client.restart(no_time="true")


def remove_nat(hosts: Hosts, advice: str) -> None:
    said(advice, "remove nat_ip from the client's settings")
    hosts.client.restart(nat_ip="")


def ask_doctor(hosts: Hosts, advice: str) -> None:
    report = json.loads(hosts.server.installed.run(*typed(r"(?<=')tcpknock doctor(?=')", advice).split(), "--json", check=False).stdout)
    (cure,) = [f["cure"] for part in report["examined"] for f in part["findings"] if f["check"] == "daemon"]
    hosts.server.start(cure)


def protect_again(hosts: Hosts, advice: str) -> None:
    hosts.server.start(typed(r"(?<=start ')tcpknock-server(?=')", advice))
    hosts.server.shell(typed(UP, advice))


def unprotect(hosts: Hosts) -> None:
    hosts.server.stop()
    hosts.server.shell("/usr/local/lib/tcpknock/server.sh down")


def serve(hosts: Hosts, advice: str) -> None:
    said(advice, "start the service")
    hosts.service = echo_server(hosts.network.server, 22)


def lock_out(hosts: Hosts) -> None:
    key = Path(hosts.network.client.records, "key.dat")
    hosts.client.shell(f"cp -p {KEY} {key}")
    for name in ("iptables", "ip6tables"):
        hosts.client.shell(f"{name} -w -I OUTPUT -p tcp --sport 20000:30000 --tcp-flags RST RST -j DROP")
    with peer(hosts.network.client, str(key), hosts.network.server.ipv4, source_port=20_001) as guesser:
        guesser.send_syn()
        assert guesser.receive_synack()
        guesser.send_ack(ack=guesser.rcv_nxt ^ 0x10000)
    assert hosts.server.daemon
    hosts.server.daemon.wait_for_line("WARNING locked out")


def look_who_is_locked_out(hosts: Hosts, advice: str) -> None:
    said(advice, "wait")
    listed = hosts.server.shell(typed(r"(?<=')tcpknock locks(?=')", advice))
    assert hosts.network.client.ipv4 in listed
    hosts.server.shell(f"tcpknock unlock {hosts.network.client.ipv4}")


@dataclass
class Case:
    plant: Callable[[Hosts], object]
    act: Callable[[Hosts, str], object]


CASES = {
    "client-daemon-missing": Case(lambda h: h.client.stop(), start_client),
    "client-daemon-missing, and its rules": Case(
        lambda h: h.client.stop().shell("/usr/local/lib/tcpknock/client.sh down"), start_client_with_rules),
    "client-rules-missing": Case(lambda h: h.client.shell("/usr/local/lib/tcpknock/client.sh down"), put_client_rules),
    "client-rules-missing, of another port": Case(
        lambda h: h.client.shell("/usr/local/lib/tcpknock/client.sh up --target-port 2222"), put_client_rules),
    "client-not-unmasking": Case(lambda h: h.client.shell("iptables -w -t raw -F PREROUTING"), put_client_rules),
    "client-other-settings": Case(
        lambda h: h.client.stop().start("tcpknock-client --nat-ip 203.0.113.9"), same_settings),
    "local-firewall": Case(
        lambda h: h.client.shell("iptables -w -I OUTPUT -p tcp --dport 22 -j DROP"), accept_output),
    "wrong-key": Case(other_key, compare_keys),
    "time-setting": Case(lambda h: h.server.restart(no_time="true"), no_time_on_both),
    "nat-address": Case(lambda h: h.client.restart(nat_ip='"203.0.113.9"'), remove_nat),
    "server-daemon-missing": Case(lambda h: h.server.stop(), ask_doctor),
    "server-unprotected": Case(unprotect, protect_again),
    "service-down": Case(lambda h: h.service.stop(), serve),
    "locked-out": Case(lock_out, look_who_is_locked_out),
}  # fmt: skip

UNTYPED = {
    "clock": "corrects a clock; test_probe.py has it found",
    "signed-segments": "test_signed_segments.py does what it says",
    "stateful-box": "test_probe.py has both masks tried",
    **{cause: "is about a box on the way, or a host that is away" for cause in (
        "rejected-on-the-way", "code-changed-on-the-way", "isn-changed-on-the-way", "nonce-changed-on-the-way",
        "answer-changed-on-the-way", "unreachable", "packet-lost")},
}  # fmt: skip
"""Causes whose advice no case here follows, and why."""


def test_each_cause_has_a_case() -> None:
    source = Path(PROJECT, "Sources", "Diagnosis", "LikelyReason.swift").read_text()
    causes = set(re.findall(r'case \w+ = "([a-z-]+)"', source))
    assert len(causes) > 20
    assert causes == {name.split(",")[0] for name in CASES} | UNTYPED.keys()


@pytest.mark.parametrize("name", CASES)
def test_the_advice_helps(hosts: Hosts, name: str) -> None:
    case, cause = CASES[name], name.split(",")[0]
    assert hosts.probe()["works"]
    case.plant(hosts)
    report = hosts.probe()
    assert not report["works"]
    (advice,) = [reason["advice"] for reason in report["reasons"] if reason["cause"] == cause]
    case.act(hosts, advice)
    eventually(lambda: hosts.probe()["works"], 10, f"the probe to get through after: {advice}")
