"""What the firewall scripts tell people to type is typed as it is printed, and helps."""

import os
import re
from typing import List

import pytest

from harness.firewall import firewall
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
