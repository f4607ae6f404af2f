"""(c) A connection until its first byte: through the knock, without any, and through other ways of knocking.

Each way has two hosts and a cable of its own; they take turns. fwknop and knockd are those of Debian's packages. They
open a port after a packet (or three) has been seen, and nothing tells the client when: so either the client tries again
every 5 milliseconds, or it does what people do and connects at once.

Both ends are small C programs, so that what is compared is little more than the kernel's part. How much the knock
weighs for ordinary programs is measured beside it, with a service and a client in Python.
"""

import os
import shutil
import subprocess
from contextlib import ExitStack
from functools import partial
from typing import Callable, Dict, List, Tuple

from harness import topologies
from harness.topologies import Network

from suite.context import Context
from suite.figures import Bar, Skip, Summary, at_least, at_most

TITLE = "Connect and first byte: plain, through the knock, fwknop, knockd"
PART = "connect"
PLAIN, KNOCK = "plain connect", "tcpknock"
POLL = 5

Way = Callable[[int, int], List[float]]
"""Connects: how often to try, in milliseconds or 0 for once, and how many times; returns how long each took."""

#: name: (what is asked of our ratio to it, whether the client tries again, connections in a round)
FWKNOP_UDP = "fwknop, UDP server, polled"
FWKNOP_PCAP = "fwknop as it comes (pcap), polled"
FWKNOP_PEOPLE = "fwknop, then connect at once"
KNOCKD = "knockd, polled"
KNOCKD_PEOPLE = "knockd, then connect at once"
TIMES_FASTER = {FWKNOP_UDP: 20, FWKNOP_PCAP: 100, FWKNOP_PEOPLE: 1000}


def run(context: Context) -> None:
    with ExitStack() as stack:
        ways: Dict[str, Callable[[], List[float]]] = {}
        count = 20 if context.quick else 100
        for family in (4, 6):
            _plain_and_knock(context, stack, ways, family, count)
        _plain_and_knock(context, stack, ways, 4, count, ordinary=True)
        _others(context, stack, ways)
        times: Dict[str, List[List[float]]] = {way: [] for way in ways}
        for way in ways:
            ways[way]()  # once without counting
        context.in_turn(list(ways), lambda way, _: times[way].append(ways[way]()))
    _report(context, times)


def _plain_and_knock(
    context: Context, stack: ExitStack, ways: "Dict[str, Callable[[], List[float]]]", family: int, count: int,
    ordinary: bool = False,
) -> None:  # fmt: skip
    plain = stack.enter_context(topologies.direct())
    knock = stack.enter_context(topologies.direct())
    for network in (plain, knock):
        context.serve(network.server, ordinary=ordinary)
    context.protect(knock.server)
    context.equip(knock.client)

    def connect(network: Network) -> List[float]:
        times, failures = context.connect(network.client, network.server.address(family), count, ordinary=ordinary)
        assert not failures, failures
        return times

    which = _which(family, ordinary)
    ways[f"{PLAIN}, {which}"] = lambda: connect(plain)
    ways[f"{KNOCK}, {which}"] = lambda: connect(knock)


def _which(family: int, ordinary: bool) -> str:
    return f"IPv{family}, Python" if ordinary else f"IPv{family}"


# --- the others ---------------------------------------------------------------------------------------------------


def _others(context: Context, stack: ExitStack, ways: "Dict[str, Callable[[], List[float]]]") -> None:
    few, slow = (2, 1) if context.quick else (8, 2)
    starts: "List[Tuple[Tuple[str, ...], Callable[[], Way]]]" = [
        ((FWKNOP_UDP,), lambda: _fwknop(context, stack, udp=True)),
        ((FWKNOP_PCAP, FWKNOP_PEOPLE), lambda: _fwknop(context, stack, udp=False)),
        ((KNOCKD, KNOCKD_PEOPLE), lambda: _knockd(context, stack)),
    ]
    for names, start in starts:
        try:
            connect = start()
            for poll, number in ((POLL, few), (0, slow)):
                connect(poll, 1)  # does it work here at all?
                if len(names) == 1:
                    break
        except (Skip, AssertionError, OSError, subprocess.SubprocessError) as problem:
            for name in names:
                context.results.skip(PART, name, " ".join(str(problem).split())[:300])
            continue
        ways[names[0]] = partial(connect, POLL, few)
        if len(names) > 1:
            ways[names[1]] = partial(connect, 0, slow)


def _closed_network(context: Context, stack: ExitStack) -> Network:
    """A network whose server drops what comes to port 22, but for established connections."""
    network = stack.enter_context(topologies.direct())
    context.serve(network.server)
    for rule in (
        ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"],
        ["-p", "tcp", "--dport", "22", "-j", "DROP"],
    ):
        network.server.run(["iptables", "-w", "-A", "INPUT", *rule])
    return network


def _find(context: Context, package: str, program: str) -> str:
    """The path of a program. A package that is not installed is only unpacked, as it would start its service."""
    installed = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if installed:
        return installed
    folder = os.path.join(context.folder, "packages", package)
    if not os.path.isdir(folder):
        os.makedirs(folder)
        command = f"apt-get download -qq {package} && dpkg-deb -x *.deb ."
        result = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120)
        if result.returncode != 0:
            raise Skip(f"Debian's package {package} cannot be had: {result.stderr.strip()[-200:]}")
    for place in ("usr/sbin", "usr/bin"):
        path = os.path.join(folder, place, program)
        if os.access(path, os.X_OK):
            libraries = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=20).stdout
            missing = [line.split()[0] for line in libraries.splitlines() if "not found" in line]
            if missing:
                raise Skip(f"{program} wants libraries that are not installed: {', '.join(missing)}")
            return path
    raise Skip(f"Debian's package {package} has no {program}")


def _fwknop(context: Context, stack: ExitStack, udp: bool) -> Way:
    fwknop, fwknopd = _find(context, "fwknop-client", "fwknop"), _find(context, "fwknop-server", "fwknopd")
    network = _closed_network(context, stack)
    folder = os.path.join(context.folder, "fwknop-udp" if udp else "fwknop-pcap")
    os.makedirs(folder, mode=0o700)
    keys = subprocess.run([fwknop, "--key-gen"], capture_output=True, text=True, timeout=20, check=True).stdout
    key, hmac = (
        next(line.split(None, 1)[1] for line in keys.splitlines() if line.startswith(name + ":"))
        for name in ("KEY_BASE64", "HMAC_KEY_BASE64")
    )

    def write(name: str, *lines: str) -> str:
        path = os.path.join(folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        return path

    configuration = write(
        "fwknopd.conf", "PCAP_INTF eth0;", f"FWKNOP_RUN_DIR {folder};", f"FWKNOP_CONF_DIR {folder};",
        f"ENABLE_UDP_SERVER {'Y' if udp else 'N'};",
    )  # fmt: skip
    access = write(
        "access.conf", "SOURCE ANY", f"KEY_BASE64 {key}", f"HMAC_KEY_BASE64 {hmac}", "OPEN_PORTS tcp/22",
        "FW_ACCESS_TIMEOUT 600",
    )  # fmt: skip
    server = network.server.popen([fwknopd, "-f", "-c", configuration, "-a", access])
    server.wait_for_line("Starting fwknopd main event loop|Kicking off UDP server", 10)

    # Each knock opens the port for one address, so each connection has one of its own.
    addresses = iter(f"10.81.{net}.{host}" for net in range(100, 110) for host in range(1, 250))
    network.server.ip("route", "add", "10.81.0.0/16", "dev", "eth0")

    def connect(poll: int, count: int) -> List[float]:
        times: List[float] = []
        for _ in range(count):
            source = next(addresses)
            network.client.ip("addr", "add", f"{source}/32", "dev", "eth0")
            command = [fwknop, "--no-rc-file", "--no-save-args", "-A", "tcp/22", "-a", source,
                       "-D", network.server.ipv4, "--use-hmac",
                       "--key-base64-rijndael", key, "--key-base64-hmac", hmac]  # fmt: skip
            some, failures = context.connect(
                network.client, network.server.ipv4, 1, more=[str(poll), source, *command]
            )
            assert not failures, f"{failures}; fwknopd: {server.output[-300:]}"
            times += some
        return times

    return connect


def _knockd(context: Context, stack: ExitStack) -> Way:
    knockd, knock = _find(context, "knockd", "knockd"), _find(context, "knockd", "knock")
    network = _closed_network(context, stack)
    network.server.run(["iptables", "-w", "-N", "KNOCKED"])
    network.server.run(["iptables", "-w", "-I", "INPUT", "-j", "KNOCKED"])
    path = os.path.join(context.folder, "knockd.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(
            f"[options]\n\tlogfile = {path}.log\n\n[open]\n\tsequence = 7000,8000,9000\n\tseq_timeout = 5\n"
            "\ttcpflags = syn\n"
            "\tcommand = /usr/sbin/iptables -w -A KNOCKED -s %IP% -p tcp --dport 22 -j ACCEPT\n"
        )
    server = network.server.popen([knockd, "-i", "eth0", "-c", path, "-v"])
    # Its packet socket is open before; but what knocks until it says this is not seen.
    server.wait_for_line("^listening on", 10)

    def connect(poll: int, count: int) -> List[float]:
        times: List[float] = []
        for _ in range(count):
            command = [knock, network.server.ipv4, "7000", "8000", "9000"]
            some, failures = context.connect(network.client, network.server.ipv4, 1, more=[str(poll), "-", *command])
            network.server.run(["iptables", "-w", "-F", "KNOCKED"])
            assert not failures, f"{failures}; knockd: {server.output[-300:]}"
            times += some
        return times

    return connect


# --- what came of it ----------------------------------------------------------------------------------------------


def _report(context: Context, times: "Dict[str, List[List[float]]]") -> None:
    results = context.results
    medians = {way: [Summary.of(some).median for some in rounds] for way, rounds in times.items()}
    for family, ordinary in ((4, True), (4, False), (6, False)):
        which = _which(family, ordinary)
        plain, knock = medians[f"{PLAIN}, {which}"], medians[f"{KNOCK}, {which}"]
        more = Summary.of([ours - theirs for ours, theirs in zip(knock, plain)])
        results.add(
            PART, f"connect and first byte, {which}", "ms", knock, "plain", plain, at_most(1.5) if ordinary else None,
            note=f"more than plain: {more.median:.3f} ms",
        )  # fmt: skip
    ours = medians[f"{KNOCK}, IPv4"]
    for way, values in medians.items():
        if way.startswith((PLAIN, KNOCK)):
            continue
        wanted = TIMES_FASTER.get(way)
        results.add(PART, way, "ms", values, "tcpknock", ours, at_least(wanted) if wanted else None)
    results.panel(
        "Connect and first byte", "ms, less is better",
        [Bar(way, Summary.of(values), way.startswith(KNOCK)) for way, values in medians.items()], logarithmic=True,
    )  # fmt: skip
    results.details["connect"] = times
