"""tcpknock on hosts, rules and daemon together; its counters; and the second implementation as an unusual client."""

import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Sequence

from .daemons import start_client, start_server
from .firewall import firewall
from .hosts import Host
from .inside import inside
from .processes import Program
from .topologies import Network
from .waiting import eventually

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peer"))

import knockpeer  # noqa: E402
import knockprotocol as proto  # noqa: E402
from knockpeer import KnockClient  # noqa: E402
from knockprotocol import Mode, read_key  # noqa: E402


FAMILIES = (4, 6)
MODES = ("full", "windowed")
WITHOUT_FILTER = ["--kernel-filter", "off"]
EVERYWHERE = ["--protect", "0.0.0.0/0", "--protect", "::/0"]
"""Flags by which also what a host forwards is protected, whoever it is for."""
WRONG = 0x00010000
"""To make an acknowledgment number wrong: exclusive or."""


def protect(host: Host, key_file: Optional[str], ports: Sequence[int] = (22,), **options: Any) -> Program:
    """Starts the server's daemon on a host and puts its rules in.

    Without the filter in the kernel, so that all verdicts are the daemon's (test_kernel_filter.py is about the other).
    `places` are flags that say whose ports they are, such as EVERYWHERE.
    """
    places = options.pop("places", [])
    more = [*WITHOUT_FILTER, *places, *options.pop("more", [])]
    daemon = start_server(host, key_file, target_ports=ports, more=more, **options)
    put_rules(host, "server", ports, options.get("queue_num"), places)
    return daemon


def equip(host: Host, key_file: Optional[str], ports: Sequence[int] = (22,), **options: Any) -> Program:
    """Starts the client's daemon on a host and puts its rules in."""
    daemon = start_client(host, key_file, target_ports=ports, **options)
    put_rules(host, "client", ports, options.get("queue_num"))
    return daemon


def put_rules(
    host: Host, role: str, ports: Sequence[int] = (22,), queue_num: Optional[int] = None, places: Sequence[str] = ()
) -> None:
    flags = [word for port in ports for word in ("--target-port", str(port))]
    flags += [] if queue_num is None else ["--queue-num", str(queue_num)]
    flags += WITHOUT_FILTER if role == "server" else []
    firewall(host, role, "up", *flags, *places)


def nat_addresses(network: Network) -> "list[str]":
    """What the client's daemon must be told, if anything."""
    return [address for address in (network.nat_ipv4, network.nat_ipv6) if address]


# --- counters -----------------------------------------------------------------------------------------------------


def counters(daemon: Program) -> Dict[str, int]:
    """How many packets got a verdict for each reason so far, as the daemon logs it on SIGUSR1."""
    start = daemon.position
    daemon.send_signal(signal.SIGUSR1)
    line = daemon.wait_for_line("packets by reason(.*)$", 5, which="stderr", start=start)[1]
    return {name: int(value) for name, value in re.findall(r" ([\w-]+)=(\d+)", line)}


def counted(daemon: Program, reason: str, at_least: int = 1, timeout: float = 5.0) -> Dict[str, int]:
    """Waits until the daemon has given so many verdicts for a reason, and returns all counters."""

    def look() -> Optional[Dict[str, int]]:
        now = counters(daemon)
        return now if now.get(reason, 0) >= at_least else None

    try:
        return eventually(look, timeout, f"{at_least} packets for the reason {reason}")
    except AssertionError as error:
        log = [line for line in daemon.lines() if "packets by reason" not in line]
        raise AssertionError(f"{error}; now: {counters(daemon)}\n" + "\n".join(log[-30:])) from None


LOCKOUT_REASONS = {"wrong-acknowledgment", "masked-acknowledgment", "locked-out"}


def assert_nobody_locked_out(daemon: Program) -> None:
    assert not LOCKOUT_REASONS & counters(daemon).keys(), daemon.output


# --- the second implementation ------------------------------------------------------------------------------------


@contextmanager
def peer(host: Host, key_file: str, server: str, port: int = 22, **options: Any) -> Iterator[KnockClient]:
    """The client written in Python, sending from a host past the host's kernel (peer/knockpeer.py)."""
    with inside(host):
        client = KnockClient(read_key(key_file), server, port, **options)
    try:
        yield client
    finally:
        with inside(host):
            client.close()


def keep_kernel_quiet(host: Host) -> None:
    """The host's kernel resets nothing of a `peer` that uses the host's own address (its ports are 20000 to 30000)."""
    for iptables in ("iptables", "ip6tables"):
        host.run([iptables, "-w", "-I", "OUTPUT", "-p", "tcp", "--sport", "20000:30000",
                  "--tcp-flags", "RST", "RST", "-j", "DROP"])  # fmt: skip


def within_a_minute() -> None:
    """Waits, if need be, until no minute begins in the next seconds: for tests that count time slots."""
    eventually(lambda: time.time() % 60 < 52, 10, "the next minute to begin")
