"""A client with several targets: each server with a key and ways of its own."""

import os
import shutil
from pathlib import Path
from typing import Dict, Iterator

import pytest

from harness import topologies
from harness.echo import echo_server
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, counted, protect
from harness.settings import Configured, Settings, keys
from harness.topologies import Network
from harness.waiting import eventually

NAME = "knocked.example.org"


class World:
    """A client, two servers with a key each, and one without tcpknock."""

    def __init__(self, hosts: Dict[str, Host], folder: Path) -> None:
        self.client, self.plain = hosts["client"], hosts["plain"]
        self.servers = {name: hosts[name] for name in ("one", "two")}
        self.keys = keys(folder, *self.servers)
        self.daemons = {name: protect(host, self.keys[name]) for name, host in self.servers.items()}
        for host in (*self.servers.values(), self.plain):
            echo_server(host, 22)
        self.name_file = Path("/etc/netns") / self.client.name / "hosts"
        self.names()
        self.daemon = Configured(self.client, "client", folder, {"target": [self.target("one")]})

    def names(self, *addresses: str) -> None:
        """What the name means on the client; `ip netns exec` shows this file as /etc/hosts."""
        self.name_file.parent.mkdir(parents=True, exist_ok=True)
        self.name_file.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in addresses))

    def target(self, name: str, **more: object) -> Settings:
        return {"host": self.servers[name].ipv4, "key_file": f"{name}.dat", **more}

    def use(self, *targets: Settings) -> None:
        self.daemon.settings = {"target": list(targets)}
        self.daemon.reload()

    def reached(self, family: int = 4) -> "list[str]":
        """Who answers."""
        hosts = {**self.servers, "plain": self.plain}
        return [name for name, host in hosts.items() if gets_in(self.client, host.address(family), timeout=0.3)]


@pytest.fixture(scope="module")
def world(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with topologies.switched("client", "one", "two", "plain") as hosts:
        one = None
        try:
            one = World(hosts, tmp_path_factory.mktemp("world"))
            yield one
        finally:
            shutil.rmtree(Path("/etc/netns") / hosts["client"].name, ignore_errors=True)
            try:
                os.rmdir("/etc/netns")
            except OSError:
                pass  # Others have files there.


def test_two_servers_with_different_keys(world: World) -> None:
    world.use(world.target("one"), world.target("two"))
    assert world.reached() == ["one", "two", "plain"]
    # Each key is for its server alone.
    world.use(world.target("one", key_file="two.dat"), world.target("two"))
    assert world.reached() == ["two", "plain"]
    # IPv6 has no target here.
    assert world.reached(6) == ["plain"]


def test_connections_side_by_side(world: World) -> None:
    world.use(world.target("one"), world.target("two"))
    held = [connect(world.client, world.servers[name].ipv4) for name in ("one", "two") for _ in range(5)]
    assert all(echoes(connection, os.urandom(50_000)) for connection in held)
    eventually(lambda: len(world.daemon.status()["connections"]) >= 10, 3, "all connections in the status")
    named = [(entry["target"], entry["server"]) for entry in world.daemon.status()["connections"]]
    for host in world.servers.values():
        assert named.count((f"{host.ipv4}:22", f"{host.ipv4}:22")) >= 5


def test_a_prefix_and_the_longest_one(world: World) -> None:
    everywhere = {"host": "0.0.0.0/0", "key_file": "one.dat", "require_proof": False}
    world.use(everywhere)
    assert world.reached() == ["one", "plain"]
    world.use(everywhere, world.target("two"))
    assert world.reached() == ["one", "two", "plain"]
    world.use({"host": "fd85:1::/64", "key_file": "two.dat", "require_proof": False})
    assert world.reached(6) == ["two", "plain"]


def test_a_name(world: World) -> None:
    one, two = world.servers["one"], world.servers["two"]
    world.names(one.ipv4, one.ipv6)
    named = {"host": NAME, "key_file": "one.dat"}
    world.use(named)
    assert world.reached() == world.reached(6) == ["one", "plain"]
    [target] = world.daemon.status()["targets"]
    assert target["name"] == f"{NAME}:22"
    assert one.ipv4 in target["scope"] and one.ipv6 in target["scope"]
    # The name moves.
    world.names(two.ipv4)
    world.use({**named, "key_file": "two.dat"})
    assert world.reached() == ["two", "plain"]
    # A name that nobody knows any more keeps its addresses; the daemon says so.
    world.names()
    world.use({**named, "key_file": "two.dat"})
    world.daemon.daemon.wait_for_line(f"WARNING no addresses of a target: .*name={NAME}")
    assert world.reached() == ["two", "plain"]


def test_a_name_that_cannot_be_resolved_at_first(world: World) -> None:
    world.names()
    world.use({"host": "nowhere.invalid", "key_file": "one.dat"}, world.target("two"))
    assert world.reached() == ["two", "plain"]
    assert "no address yet" in world.daemon.tool("status").stdout


@pytest.mark.parametrize("required", (True, False))
def test_whether_a_server_must_prove_itself(world: World, required: bool) -> None:
    world.use({"host": world.plain.ipv4, "key_file": "one.dat", "require_proof": required}, world.target("two"))
    start = world.daemon.daemon.position
    assert world.reached() == (["two"] if required else ["two", "plain"])
    if required:
        world.daemon.daemon.wait_for_line(
            f"WARNING SYN/ACK dropped: .*reason=proof-missing .*{world.plain.ipv4}:22", start=start)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_target_has_its_own_nat_ip(natted: Network, family: int, tmp_path: Path) -> None:
    keys(tmp_path, "key")
    server = Configured(natted.server, "server", tmp_path, {"key_file": "key.dat"})
    echo_server(natted.server, 22)
    address = natted.server.address(family)
    other = natted.server.address(10 - family)
    client = Configured(
        natted.client, "client", tmp_path,
        {"target": [{"host": address, "key_file": "key.dat", "nat_ip": natted.seen_as(family)},
                    {"host": other, "key_file": "key.dat"}]},
    )  # fmt: skip
    assert gets_in(natted.client, address)
    assert not gets_in(natted.client, other, timeout=0.3)
    counted(server.daemon, "syn-with-wrong-code")
    # What all targets have in common.
    client.settings["nat_ip"] = natted.seen_as(10 - family)
    client.reload()
    assert gets_in(natted.client, address) and gets_in(natted.client, other)
