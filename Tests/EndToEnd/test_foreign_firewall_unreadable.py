"""Rules of nft in our tables that iptables-nft cannot read: nothing may be said to be done that was not."""

import json

import pytest

from harness.firewall import firewall, snapshot
from harness.hosts import Host
from harness.roles import ROLES
from harness.waiting import eventually

# What iptables-nft has no words for. (Some it only learned to read in later versions.)
UNREADABLE = (
    "numgen inc mod 2 1 accept",
    "fib daddr type local numgen inc mod 2 1 accept",
    "ct mark set numgen inc mod 2",
)
CHAINS = {
    "mangle": ("PREROUTING", "type filter hook prerouting priority mangle;"),
    "raw": ("PREROUTING", "type filter hook prerouting priority raw;"),
}


def add_unreadable(host: Host, family: str, table: str, rule: str = UNREADABLE[0]) -> None:
    chain, hook = CHAINS[table]
    host.run(["nft", f"add table {family} {table}"])
    host.run(["nft", f"add chain {family} {table} {chain} {{ {hook} }}"])
    host.run(["nft", f"add rule {family} {table} {chain} {rule}"])
    name = "iptables" if family == "ip" else "ip6tables"
    assert "incompatible" in host.run([f"{name}-nft-save", "-t", table]).stdout


def ruleset(host: Host) -> str:
    return snapshot(host)["nft"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("family,table,rule", [("ip", "mangle", UNREADABLE[0]), ("ip", "mangle", UNREADABLE[1]),
                                               ("ip", "raw", UNREADABLE[2]), ("ip6", "mangle", UNREADABLE[2])])  # fmt: skip
def test_up_refuses_a_table_that_it_could_not_take_itself_out_of(
    host: Host, role: str, family: str, table: str, rule: str
) -> None:
    add_unreadable(host, family, table, rule)
    before = ruleset(host)
    result = firewall(host, role, "up", "--iptables", "nft", check=False)
    assert result.returncode == 1, result
    assert f"table {table} cannot be read" in result.stderr and "nothing was changed" in result.stderr
    assert f"nft list table {family} {table}" in result.stderr
    assert ruleset(host) == before
    assert firewall(host, role, "status", check=False).returncode == 3
    # One of the ways out that it names.
    firewall(host, role, "up", "--iptables", "legacy")
    assert firewall(host, role, "status").returncode == 0
    firewall(host, role, "down")
    assert ruleset(host) == before


@pytest.mark.parametrize("role", ROLES)
def test_a_table_that_becomes_unreadable_is_seen_and_cleared(host: Host, role: str) -> None:
    host.run(["nft", "add table ip other"])
    firewall(host, role, "up", "--iptables", "nft", "--target-port", 22, "--target-port", 443)
    for family in ("ip", "ip6"):
        for table in CHAINS:
            add_unreadable(host, family, table)
    status = firewall(host, role, "status")
    assert "cannot read" in status.stdout
    told = json.loads(firewall(host, role, "status", "--json").stdout)
    assert (told["state"], told["ports"]) == ("up", [22, 443])
    # What is as wanted may be asked for again; a change is refused.
    assert "already up" in firewall(host, role, "up", "--target-port", 22, "--target-port", 443).stdout
    before = ruleset(host)
    assert firewall(host, role, "up", "--target-port", 22, "--target-port", 80, check=False).returncode != 0
    assert ruleset(host) == before
    # One of ours is gone: that is seen, too.
    own = "TCPKNOCK-SRV-OUT" if role == "server" else "TCPKNOCK-CLI-OUT"
    host.run(["nft", f"flush chain ip mangle {own}"])
    told = json.loads(firewall(host, role, "status", "--json", check=False).stdout)
    assert told["state"] == "partial" and all(own in rule for rule in told["missing"])

    assert "are down" in firewall(host, role, "down").stdout
    after = ruleset(host)
    assert "TCPKNOCK" not in after and after.count("numgen") == 4
    assert firewall(host, role, "status", check=False).returncode == 3


def test_unconfirmed_rules_come_down_from_tables_that_became_unreadable(host: Host) -> None:
    firewall(host, "server", "up", "--iptables", "nft", "--confirm", 2)
    for family in ("ip", "ip6"):
        add_unreadable(host, family, "mangle")
    eventually(lambda: "TCPKNOCK" not in ruleset(host), timeout=6, what="the rules to come down")
    assert ruleset(host).count("numgen") == 2


def test_down_that_cannot_remove_says_so(host: Host, tmp_path: "object") -> None:
    firewall(host, "server", "up", "--iptables", "nft")
    add_unreadable(host, "ip", "mangle")
    # An nft that may look and change nothing.
    tool = f"{tmp_path}/nft"
    with open(tool, "w", encoding="utf-8") as text:
        text.write('#!/bin/sh\ncase " $* " in *" list "*) exec /usr/sbin/nft "$@" ;; esac\necho "No way" >&2\nexit 1\n')
    host.run(["chmod", "755", tool])
    result = firewall(host, "server", "down", check=False, env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"})
    assert result.returncode == 1 and "No way" in result.stderr and "are down" not in result.stdout
    assert "jump TCPKNOCK-SRV-IN" in ruleset(host)
