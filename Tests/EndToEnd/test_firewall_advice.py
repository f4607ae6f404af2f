"""What the firewall scripts tell people to type is typed as it is printed, and helps."""

import json
import os
import re
from typing import Any, Dict, List

import pytest

from harness.firewall import BACKENDS, firewall
from harness.hosts import Host
from test_foreign_firewall_unreadable import add_unreadable

WEB = ("--instance", "web", "--target-port", "443", "--queue-num", "101")


def quoted(text: str, pattern: str) -> str:
    """What stands in single quotes, or behind a colon at the end of the line."""
    match = re.search(rf"'([^']*{pattern}[^']*)'|: (\S*{pattern}.*)$", text, re.MULTILINE)
    assert match, f"{pattern} is not in: {text}"
    return match[1] or match[2]


def state(host: Host, *instance: str) -> int:
    return firewall(host, "server", "status", *instance, check=False).returncode


@pytest.mark.parametrize("flags", ((), WEB), ids=("alone", "instance"))
def test_a_confirmation(host: Host, flags: "tuple[str, ...]") -> None:
    said = firewall(host, "server", "up", *flags, "--confirm", "300").stdout
    host.run(["sh", "-c", quoted(said, "server.sh confirm")])
    result = host.run(["sh", "-c", quoted(said, "server.sh confirm")], check=False)
    assert result.returncode == 1 and "nothing waits for a confirmation" in result.stderr
    firewall(host, "server", "up", *flags, "--confirm", "300")
    said = firewall(host, "server", "status", *flags[:2]).stdout
    host.run(["sh", "-c", quoted(said, "server.sh confirm")])
    assert state(host, *flags[:2]) == 0 and "waiting" not in firewall(host, "server", "status", *flags[:2]).stdout


@pytest.mark.parametrize("flags", ((), WEB), ids=("alone", "instance"))
def test_rules_that_are_up_in_the_other_iptables(host: Host, flags: "tuple[str, ...]") -> None:
    firewall(host, "server", "up", *flags, "--iptables", "nft")
    result = firewall(host, "server", "up", *flags, "--iptables", "legacy", check=False)
    assert result.returncode == 1 and state(host, *flags[:2]) == 0
    host.run(["sh", "-c", quoted(result.stderr, "server.sh down")])
    firewall(host, "server", "up", *flags, "--iptables", "legacy")
    assert state(host, *flags[:2]) == 0


@pytest.mark.parametrize(
    "fewer", (["--target-port", "443"], ["--target-port", "22", "--target-port", "443", "--protect", "192.0.2.0/24"])
)
def test_less_than_before(host: Host, fewer: List[str]) -> None:
    firewall(host, "server", "up", "--target-port", "22", "--target-port", "443")
    result = firewall(host, "server", "up", *fewer, check=False)
    assert result.returncode == os.EX_USAGE
    (flag,) = re.findall(r"to want that, add (--[a-z-]+)", result.stderr)
    firewall(host, "server", "up", *fewer, flag)
    assert state(host) == 0


def test_a_table_that_cannot_be_read(host: Host) -> None:
    add_unreadable(host, "ip", "mangle")
    result = firewall(host, "server", "up", "--iptables", "nft", check=False)
    assert result.returncode == 1
    assert "numgen" in host.run(["sh", "-c", quoted(result.stderr, "nft list table")]).stdout
    (flag, value) = re.findall(r"or add (--iptables) (\w+)", result.stderr)[0]
    firewall(host, "server", "up", flag, value)
    assert state(host) == 0


def test_a_part_of_the_rules(host: Host) -> None:
    firewall(host, "server", "up")
    host.run(["iptables-nft", "-w", "-t", "mangle", "-D", "TCPKNOCK-SRV-DONE", "1"])
    said = firewall(host, "server", "status", check=False).stdout
    assert "PARTIAL" in said
    firewall(host, "server", quoted(said, "up"))
    assert state(host) == 0


@pytest.mark.parametrize("arguments", ([], ["--what"]))
@pytest.mark.parametrize("role", ("server", "client"))
def test_help(host: Host, role: str, arguments: List[str]) -> None:
    result = firewall(host, role, *arguments, check=False)
    assert result.returncode == os.EX_USAGE
    assert host.run(["sh", "-c", quoted(result.stderr, "--help")]).stdout.startswith(f"Usage: {role}.sh")


def mangle(host: Host, backend: str, *words: str) -> None:
    host.run([f"iptables-{backend}", "-w", "-t", "mangle", *words])


def told(host: Host, *flags: str) -> Dict[str, Any]:
    result: Dict[str, Any] = json.loads(firewall(host, "server", "status", "--json", *flags, check=False).stdout)
    return result


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_in_another_order(host: Host, backend: str) -> None:
    firewall(host, "server", "up", "--iptables", backend)
    rule = ["-i", "lo", "-j", "RETURN"]
    mangle(host, backend, "-D", "TCPKNOCK-SRV-IN", *rule)
    mangle(host, backend, "-A", "TCPKNOCK-SRV-IN", *rule)
    text = "IPv4 mangle -A TCPKNOCK-SRV-IN -i lo -j RETURN"
    status = told(host)
    assert (status["state"], status["missing"], status["unexpected"]) == ("partial", [text], [text])
    assert text in status["expected"] and text in status["present"] and status["complete_ports"] == []
    firewall(host, "server", "up", "--iptables", backend)
    status = told(host)
    assert (status["state"], status["missing"], status["unexpected"]) == ("up", [], [])
    assert status["complete_ports"] == [22]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_of_others_with_any_text(host: Host, backend: str) -> None:
    """In our chains and before them: what is printed stays JSON, and says nothing to a terminal."""
    firewall(host, "server", "up", "--iptables", backend)
    comment = 'a "b" \\ \x1b]0;owned\x07 $(c)'
    for chain in ("TCPKNOCK-SRV-IN", "PREROUTING"):
        mangle(host, backend, "-I", chain, "-p", "tcp", "--dport", "22", "-m", "comment", "--comment", comment, "-j", "ACCEPT")
    status = told(host)
    (ours,) = status["unexpected"]
    effects = {rule["effect"]: rule for rule in status["foreign"]}
    assert set(effects) == {"bypass", "order"} and effects["bypass"]["port"] == 22
    for text in (ours, effects["order"]["rule"]):
        assert "owned" in text and "\\" in text and "\x1b" not in text
    for text in (firewall(host, "server", "status", check=False).stdout, ours):
        assert "\x1b" not in text and "\x07" not in text
    assert f"iptables-{backend} -t mangle: -A PREROUTING" in firewall(host, "server", "status", check=False).stdout


def test_rules_of_others_are_judged_for_what_is_asked(host: Host) -> None:
    """As doctor does it, also while no rules of ours are there."""
    mangle(host, "nft", "-A", "FORWARD", "-p", "tcp", "--sport", "443", "--dport", "443", "-j", "CONNMARK", "--set-mark", "0x2")
    assert told(host)["foreign"] == []
    (rule,) = told(host, "--target-port", "443")["foreign"]
    assert (rule["effect"], rule["severity"]) == ("mark", "error")
    assert told(host, "--target-port", "443", "--mark", "0x2")["foreign"][0]["what"].startswith("a rule marks connections as verified")
    host.run(["sh", "-c", rule["undo"]])
    assert told(host, "--target-port", "443")["foreign"] == []
