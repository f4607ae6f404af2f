"""netfilter-persistent, the real one, with iptables-persistent: rules that it saves, restores and flushes."""

import json
from typing import Iterator, List

import pytest

from harness.firewall import firewall
from harness.foreign import Guarded, WithPackages, guarded
from harness.hosts import Host
from harness.knock import WITHOUT_FILTER
from harness.topologies import Network

HOSTS_OWN = "INPUT -p tcp -m tcp --dport 81 -j DROP"


@pytest.fixture
def persistent(two_clients: Network) -> Iterator[WithPackages]:
    with WithPackages(two_clients.server, "iptables-persistent") as files:
        yield files


@pytest.fixture
def both(two_clients: Network, key_file: str, persistent: WithPackages) -> Iterator[Guarded]:
    # It saves what the system's iptables has.
    backend = "nft" if "nf_tables" in persistent.run("iptables", "--version").stdout else "legacy"
    with guarded(two_clients, key_file, backend) as both:
        yield both


def call(persistent: WithPackages, command: str) -> None:
    assert "Error" not in persistent.run("netfilter-persistent", command).stdout


def ports(host: Host) -> List[int]:
    return list(json.loads(firewall(host, "server", "status", "--json", check=False).stdout)["ports"])


def test_saved_and_restored_with_ours_among_them(both: Guarded, persistent: WithPackages) -> None:
    for name in ("iptables", "ip6tables"):
        persistent.run(name, "-w", "-A", *HOSTS_OWN.split())
    call(persistent, "save")
    assert "TCPKNOCK-SRV-IN" in persistent.run("cat", "/etc/iptables/rules.v6").stdout
    for command in ("start", "reload"):
        call(persistent, command)
        both.assert_left_alone()
        assert f"-A {HOSTS_OWN}" in persistent.run("ip6tables-save").stdout


def test_restored_from_a_time_before_ours(both: Guarded, persistent: WithPackages) -> None:
    for version in ("v4", "v6"):
        text = "".join(f"*{table}\nCOMMIT\n" for table in ("raw", "mangle", "filter"))
        persistent.write(f"/etc/iptables/rules.{version}", text)
    call(persistent, "start")
    both.await_repair()


def test_flushed(both: Guarded, persistent: WithPackages) -> None:
    call(persistent, "flush")
    both.await_repair()


@pytest.mark.parametrize(("saved", "now"), (([22], [22, 80]), ([22, 80], [22])), ids=("fewer ports", "more ports"))
def test_restored_from_before_another_up(
    both: Guarded, persistent: WithPackages, saved: List[int], now: List[int]
) -> None:
    for wanted, command in ((saved, "save"), (now, "start")):
        flags = [word for port in wanted for word in ("--target-port", port)]
        firewall(both.server, "server", "up", *flags, *WITHOUT_FILTER, "--drop-ports")
        both.settle()
        start = both.guard.position
        call(persistent, command)
    both.await_repair(start)
    assert ports(both.server) == now
    both.settle()
    assert len(both.guard.lines(start=start)) == 2, both.guard.output


def test_at_boot_the_rules_of_now_replace_those_that_were_saved(host: Host) -> None:
    # So the unit with our rules is ordered after netfilter-persistent.
    with WithPackages(host, "iptables-persistent") as persistent:
        firewall(host, "server", "up", "--target-port", 22, *WITHOUT_FILTER)
        call(persistent, "save")
        call(persistent, "flush")
        call(persistent, "start")
        assert ports(host) == [22]
        firewall(host, "server", "up", "--target-port", 22, "--target-port", 80, *WITHOUT_FILTER)
        assert ports(host) == [22, 80]
