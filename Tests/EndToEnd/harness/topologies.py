"""Small networks. Each is a context manager that yields a `Network` and removes all of it afterwards."""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional

from .hosts import Host


@dataclass
class Network:
    """The hosts of a network. `seen_as` gives the client's address as the server sees it."""

    client: Host
    server: Host
    other: Optional[Host] = None
    router: Optional[Host] = None
    far_router: Optional[Host] = None
    nat_ipv4: str = ""
    nat_ipv6: str = ""

    def seen_as(self, family: int) -> str:
        nat = self.nat_ipv4 if family == 4 else self.nat_ipv6
        return nat or self.client.address(family)


@contextmanager
def direct() -> Iterator[Network]:
    """client eth0 --- eth0 server"""
    with Host("client") as client, Host("server") as server:
        client.connect("eth0", server, "eth0")
        client.add_address("eth0", "10.81.1.1/24", "fd81:1::1/64")
        server.add_address("eth0", "10.81.1.2/24", "fd81:1::2/64")
        yield Network(client, server)


@contextmanager
def two_clients() -> Iterator[Network]:
    """client, other and server, each with its eth0, on one switch"""
    with ExitStack() as stack:
        switch = stack.enter_context(_switch())
        client, other, server = (stack.enter_context(Host(role)) for role in ("client", "other", "server"))
        for number, host in enumerate((client, server, other), start=1):
            _plug(switch, number, host, "eth0")
            host.add_address("eth0", f"10.82.1.{number}/24", f"fd82:1::{number}/64")
        yield Network(client, server, other=other)


@contextmanager
def switched(*roles: str) -> Iterator[Dict[str, Host]]:
    """A host for each role, each with its eth0, on one switch"""
    with ExitStack() as stack:
        switch = stack.enter_context(_switch())
        hosts = {role: stack.enter_context(Host(role)) for role in roles}
        for number, host in enumerate(hosts.values(), start=1):
            _plug(switch, number, host, "eth0")
            host.add_address("eth0", f"10.85.1.{number}/16", f"fd85:1::{number}/64")
        yield hosts


@dataclass
class TwoWays:
    """A client with a neighbour, two routers to choose from, and a server that knows neither of the former."""

    client: Host
    neighbour: Host
    server: Host
    routers: List[Host]

    def leave_by(self, host: Host, number: int) -> None:
        """Makes one of the routers the default one of a host."""
        host.ip("route", "replace", "default", "via", f"10.86.1.{11 + number}")
        host.ip("-6", "route", "replace", "default", "via", f"fd86:1::{11 + number:x}")

    def seen_as(self, number: int, family: int) -> str:
        """The address that the server sees of all who leave by a router."""
        return f"10.86.2.{11 + number}" if family == 4 else f"fd86:2::{11 + number:x}"


@contextmanager
def two_ways() -> Iterator[TwoWays]:
    """client and neighbour --- two routers side by side, both as in `natted` --- server"""
    with ExitStack() as stack:
        inner, outer = stack.enter_context(_switch()), stack.enter_context(_switch())
        client, neighbour, server = (stack.enter_context(Host(role)) for role in ("client", "neighbour", "server"))
        routers = [stack.enter_context(Host(f"router{number}")) for number in range(2)]
        for number, host in enumerate((client, neighbour), start=1):
            _plug(inner, number, host, "eth0")
            host.add_address("eth0", f"10.86.1.{number}/24", f"fd86:1::{number}/64")
        _plug(outer, 1, server, "eth0")
        server.add_address("eth0", "10.86.2.1/24", "fd86:2::1/64")
        for number, router in enumerate(routers, start=11):
            _plug(inner, number, router, "eth0")
            _plug(outer, number, router, "eth1")
            router.add_address("eth0", f"10.86.1.{number}/24", f"fd86:1::{number:x}/64")
            router.add_address("eth1", f"10.86.2.{number}/24", f"fd86:2::{number:x}/64")
            router.sysctl({"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
            _masquerade(router)
        network = TwoWays(client, neighbour, server, routers)
        for host in (client, neighbour):
            network.leave_by(host, 0)
        yield network


@contextmanager
def _switch() -> Iterator[Host]:
    with Host("switch") as switch:
        switch.ip("link", "add", "bridge", "type", "bridge")
        switch.ip("link", "set", "bridge", "up")
        yield switch


def _plug(switch: Host, number: int, host: Host, interface: str) -> None:
    host.connect(interface, switch, f"port{number}")
    switch.ip("link", "set", f"port{number}", "master", "bridge")


def _masquerade(router: Host) -> None:
    for iptables in ("iptables", "ip6tables"):
        router.run([iptables, "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "eth1", "-j", "MASQUERADE"])
        router.run([iptables, "-w", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"])


@contextmanager
def routed() -> Iterator[Network]:
    """client eth0 --- eth0 router eth1 --- eth0 server; the router forwards and keeps no state"""
    with _line("10.83", "fd83") as network:
        network.server.ip("route", "add", "default", "via", "10.83.2.1")
        network.server.ip("-6", "route", "add", "default", "via", "fd83:2::1")
        yield network


@contextmanager
def twice_routed() -> Iterator[Network]:
    """client eth0 --- eth0 router eth1 --- eth0 far_router eth1 --- eth0 server; the routers keep no state"""
    with Host("far") as far, _line("10.85", "fd85", far) as network:
        network.far_router = far
        network.server.ip("route", "add", "default", "via", "10.85.3.1")
        network.server.ip("-6", "route", "add", "default", "via", "fd85:3::1")
        yield network


@contextmanager
def natted() -> Iterator[Network]:
    """As `routed`, but the router masquerades and drops what its connection tracking calls invalid.

    The server has no route to the client: what is not translated gets no answer.
    """
    with _line("10.84", "fd84") as network:
        assert network.router
        _masquerade(network.router)
        network.nat_ipv4, network.nat_ipv6 = "10.84.2.1", "fd84:2::1"
        yield network


@contextmanager
def _line(ipv4: str, ipv6: str, far: Optional[Host] = None) -> Iterator[Network]:
    """Networks 1 (the client's), 2 and, with a second router, 3 in a row; the next host is 2, the one before 1."""
    with Host("client") as client, Host("router") as router, Host("server") as server:

        def link(near: Host, interface: str, next_host: Host, number: int) -> None:
            near.connect(interface, next_host, "eth0")
            near.add_address(interface, f"{ipv4}.{number}.1/24", f"{ipv6}:{number}::1/64")
            next_host.add_address("eth0", f"{ipv4}.{number}.2/24", f"{ipv6}:{number}::2/64")

        def route(host: Host, network: str, ipv6_network: str, number: int, hop: int) -> None:
            host.ip("route", "add", network, "via", f"{ipv4}.{number}.{hop}")
            host.ip("-6", "route", "add", ipv6_network, "via", f"{ipv6}:{number}::{hop}")

        client.connect("eth0", router, "eth0")
        client.add_address("eth0", f"{ipv4}.1.2/24", f"{ipv6}:1::2/64")
        router.add_address("eth0", f"{ipv4}.1.1/24", f"{ipv6}:1::1/64")
        link(router, "eth1", far or server, 2)
        if far:
            link(far, "eth1", server, 3)
            route(router, f"{ipv4}.3.0/24", f"{ipv6}:3::/64", 2, 2)
            route(far, f"{ipv4}.1.0/24", f"{ipv6}:1::/64", 2, 1)
        for host in filter(None, (router, far)):
            host.sysctl({"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        route(client, "default", "default", 1, 1)
        yield Network(client, server, router=router)
