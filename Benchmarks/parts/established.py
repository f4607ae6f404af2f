"""(d) An established connection: throughput and CPU, against one with connection tracking and no rules of ours."""

import json
import shutil
from typing import Any, Dict, List

from harness import topologies
from harness.topologies import Network

from suite.context import Context
from suite.figures import Bar, Skip, Summary, at_least

TITLE = "An established connection: throughput and CPU"
PART = "established"
TRACKED, OURS = "tracked, no rules of ours", "verified connection"


def run(context: Context) -> None:
    if shutil.which("iperf3") is None:
        raise Skip("iperf3 is not installed")
    seconds = 1 if context.quick else 3
    with topologies.direct() as tracked, topologies.direct() as ours:
        tracked.server.run(["iptables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"])
        context.protect(ours.server)
        context.equip(ours.client)
        networks = {TRACKED: tracked, OURS: ours}
        for network in networks.values():
            network.server.popen(["iperf3", "-s", "-p", "22", "--forceflush"]).wait_for_line("listening", 10)
        for what, offload in (("64 KiB at a time", True), ("every segment by itself", False)):
            for network in networks.values():
                _set_offload(network, offload)
            measured: Dict[str, List[Dict[str, float]]] = {name: [] for name in networks}
            context.in_turn(
                list(networks), lambda name, _: measured[name].append(_transfer(networks[name], seconds))
            )
            _report(context, what, measured)


def _set_offload(network: Network, on: bool) -> None:
    """Whether the hosts hand over many segments as one, as they do on a virtual cable."""
    if not on and shutil.which("ethtool") is None:
        raise Skip("ethtool is not installed")
    word = "on" if on else "off"
    for host in (network.client, network.server):
        host.run(["ethtool", "-K", "eth0", "tso", word, "gso", word, "gro", word], check=False)


def _transfer(network: Network, seconds: int) -> "Dict[str, float]":
    command = ["iperf3", "-c", network.server.ipv4, "-p", "22", "-t", str(seconds), "-O", "0.3", "-J"]
    result = network.client.run(command, timeout=seconds + 20)
    end: Dict[str, Any] = json.loads(result.stdout)["end"]
    gigabytes = end["sum_received"]["bytes"] / 1e9
    busy = end["cpu_utilization_percent"]["host_total"] + end["cpu_utilization_percent"]["remote_total"]
    return {
        "gigabits": end["sum_received"]["bits_per_second"] / 1e9,
        "cpu": busy / 100 * end["sum_received"]["seconds"] / gigabytes,
    }


def _report(context: Context, what: str, measured: "Dict[str, List[Dict[str, float]]]") -> None:
    def values(name: str, key: str) -> List[float]:
        return [each[key] for each in measured[name]]

    results = context.results
    results.add(
        PART, f"throughput, {what}", "Gbit/s", values(OURS, "gigabits"), "tracked", values(TRACKED, "gigabits"),
        at_least(0.97),
    )  # fmt: skip
    results.add(PART, f"CPU of both ends, {what}", "s/GB", values(OURS, "cpu"), "tracked", values(TRACKED, "cpu"))
    results.panel(
        f"Throughput of an established connection, {what}", "Gbit/s, more is better",
        [Bar(name, Summary.of(values(name, "gigabits")), name == OURS) for name in measured],
    )  # fmt: skip
