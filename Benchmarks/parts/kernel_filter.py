"""(g) The filter in the kernel (--kernel-filter): SYNs with wrong codes dropped, against a bare DROP rule.

All of a flood is dropped where the generator sends it, in its own time: so what arrives is what is dropped.
"""

import subprocess
from contextlib import ExitStack, contextmanager
from typing import Dict, Iterator, List

from harness import daemons, topologies
from harness.firewall import script
from harness.hosts import Host
from harness.processes import Program

from suite.context import FILTER_FLAG, Context
from suite.figures import Bar, Skip, Summary, at_least, at_most
from suite.load import cpu_of_subject, cpu_seconds, pin, received_packets

from . import flooded

TITLE = "The kernel filter against a bare DROP rule"
PART = "kernel"
BARE, FILTER, RULE, QUEUE = "bare DROP rule", "kernel filter", "kernel filter, asked by a rule", "queue"


def run(context: Context) -> None:
    if not context.has_filter or not context.rules_have_filter:
        raise Skip(f"{'server.sh' if context.has_filter else 'tcpknock-server'} has no {FILTER_FLAG}")
    with _file_system_for_bpf() as place:
        _drop_rates(context, place)
        flooded.run(context, PART, 50, lambda server: place.protect(context, server))


class Place:
    """A mount namespace with a BPF file system, which `ip netns exec` would hide; daemon and rules share it."""

    def __init__(self, holder: Program) -> None:
        self._holder = holder

    def _command(self, host: Host, command: List[str]) -> List[str]:
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--net=/run/netns/{host.name}", *command]

    def protect(self, context: Context, host: Host, way: str = "on") -> Program:
        """tcpknock-server with its filter in the kernel, and the rules that use it, in the best way or in a given one."""
        command = [daemons.program("tcpknock-server"), "--config", "", "--key-file", context.key_file, FILTER_FLAG, "on"]
        command += ["--control-socket", daemons.control_socket(host, "server")]
        command += ["--state-dir", daemons.state_folder(host)]
        # The program ends with the host, like all that runs in its namespace.
        daemon = Program(self._command(host, command), "tcpknock-server with its filter")
        try:
            daemon.wait_for_line(r"\bready\b", 10, which="stdout")
            rules = self._command(host, [script("server"), "up", FILTER_FLAG, way])
            result = subprocess.run(rules, capture_output=True, text=True, timeout=30)
            assert result.returncode == 0, result.stderr
        except AssertionError as problem:
            daemon.stop()
            raise Skip(f"{FILTER_FLAG} on does not work here: {' '.join(str(problem).split())[-300:]}") from None
        return daemon


@contextmanager
def _file_system_for_bpf() -> Iterator[Place]:
    command = "mount -t bpf bpf /sys/fs/bpf && echo mounted && exec sleep infinity"
    holder = Program(["unshare", "--mount", "--propagation", "private", "sh", "-c", command], "mount namespace")
    with holder:
        try:
            holder.wait_for_line("^mounted$", 10)
        except AssertionError as problem:
            raise Skip(f"no BPF file system: {' '.join(str(problem).split())[-200:]}") from None
        yield Place(holder)


def _drop_rates(context: Context, place: Place) -> None:
    seconds = 0.5 if context.quick else 2.0
    with ExitStack() as stack:
        bare, filtered, asked, queued = (stack.enter_context(topologies.direct()) for _ in range(4))
        for iptables in ("iptables", "ip6tables"):
            bare.server.run(
                [iptables, "-w", "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "22", "-j", "DROP"]
            )
        daemon = place.protect(context, filtered.server)
        by_rule = place.protect(context, asked.server, "rule")
        without = context.start_server(queued.server)
        context.put_server_rules(queued.server)
        for program in (daemon, by_rule, without):
            pin(program.pid, cpu_of_subject())
        networks = {BARE: bare, FILTER: filtered, RULE: asked, QUEUE: queued}
        generators = {name: context.generator(network.client, network.server) for name, network in networks.items()}
        for family in (4, 6):
            rates: Dict[str, List[float]] = {name: [] for name in networks}
            busy: List[float] = []

            def one(name: str, _: int) -> None:
                before, cpu = received_packets(networks[name].server), cpu_seconds(daemon.pid)
                sent = generators[name].send(family, "random", 0, seconds)
                rates[name].append((received_packets(networks[name].server) - before) / sent.seconds)
                if name == FILTER:
                    busy.append(100 * (cpu_seconds(daemon.pid) - cpu) / sent.seconds)

            context.in_turn(list(networks), one)
            _report(context, family, rates, busy)


def _report(context: Context, family: int, rates: "Dict[str, List[float]]", busy: List[float]) -> None:
    results = context.results
    name = f"SYNs with wrong codes dropped, IPv{family}"
    results.add(PART, name, "/s", rates[FILTER], BARE, rates[BARE], at_least(0.8))
    results.add(PART, f"{name}, {RULE}", "/s", rates[RULE], BARE, rates[BARE])
    results.add(PART, name, "/s", rates[FILTER], "through the queue", rates[QUEUE])
    results.add(PART, f"the daemon's CPU meanwhile, IPv{family}", "% of one", busy, target=at_most(1, "value"))
    results.panel(
        f"SYNs with wrong codes per second, IPv{family}", "more is better",
        [Bar(name, Summary.of(values), name == FILTER) for name, values in rates.items()],
    )  # fmt: skip
