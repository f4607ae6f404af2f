"""nftables.service and its configuration: what its commands flush, the guard puts back."""

from typing import Iterator

import pytest

from harness.foreign import Guarded, WithPackages
from harness.topologies import Network

TABLE = """
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        meta l4proto ipv6-icmp accept
        %s
    }
}
"""
FLUSH = "flush ruleset\n"
# As the page for administrators says it: the table is made, if need be, so that it can be deleted.
OWN_TABLE_ALONE = "table inet filter\ndelete table inet filter\n"
ALLOWED = "tcp dport { 22, 80 } ct state new accept"


@pytest.fixture
def nftables(two_clients: Network) -> Iterator[WithPackages]:
    with WithPackages(two_clients.server) as files:
        yield files


def serve(nftables: WithPackages, key: str) -> None:
    commands = nftables.unit_commands("nftables", key)
    assert commands
    for command in commands:
        nftables.run(*command)


def test_the_service_flushes_and_the_guard_repairs(
    both: Guarded, nftables: WithPackages, request: pytest.FixtureRequest
) -> None:
    # As Debian's package has it, which lets everything in, and then one with rules.
    assert "flush ruleset" in nftables.run("cat", "/etc/nftables.conf").stdout
    for key in ("ExecStop", "ExecStart", "ExecReload"):
        start = both.guard.position
        serve(nftables, key)
        if request.node.callspec.params["both"] == "legacy":
            both.assert_left_alone()
        else:
            both.await_repair(start)
            both.settle()
        nftables.write("/etc/nftables.conf", FLUSH + TABLE % ALLOWED)


def test_a_configuration_that_deletes_its_own_table_alone(both: Guarded, nftables: WithPackages) -> None:
    nftables.write("/etc/nftables.conf", OWN_TABLE_ALONE + TABLE % ALLOWED)
    for key in ("ExecStart", "ExecReload"):
        serve(nftables, key)
        both.assert_left_alone()
    assert nftables.run("nft", "list", "ruleset").stdout.count("dport { 22, 80 }") == 1
    # What the other firewall does not allow, no knock opens.
    nftables.write("/etc/nftables.conf", OWN_TABLE_ALONE + TABLE % "")
    serve(nftables, "ExecReload")
    both.assert_closed()
