"""The project's firewall scripts, and what they leave in the kernel."""

import os
import re
import subprocess
from typing import Any, Dict, List

from .hosts import Host

PROJECT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BACKENDS = ("nft", "legacy")


def script(role: str) -> str:
    """The path of server.sh or client.sh."""
    return os.path.join(PROJECT, "firewall", f"{role}.sh")


def firewall(
    host: Host, role: str, *arguments: object, check: bool = True, **run: Any
) -> "subprocess.CompletedProcess[str]":
    """Runs `firewall/ROLE.sh ARGUMENTS` on the host."""
    return host.run([script(role), *map(str, arguments)], check=check, **run)


def snapshot(host: Host) -> Dict[str, str]:
    """Everything in the host's tables, of both families and backends, without counters and times.

    Legacy tables that hold nothing are left out: they come into being when somebody looks, and cannot be removed.
    """
    saved = {"nft": host.run(["nft", "list", "ruleset"]).stdout}
    for backend in BACKENDS:
        for name in ("iptables", "ip6tables"):
            text = host.run([f"{name}-{backend}-save"]).stdout
            text = re.sub(r"\[\d+:\d+\]", "[0:0]", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
            if backend == "legacy":
                text = re.sub(r"\*\w+\n(:[A-Z]+ ACCEPT \[0:0\]\n)+COMMIT\n", "", text)
            saved[f"{name}-{backend}"] = text
    saved["nft"] = re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", saved["nft"])
    return saved


def rule_counters(host: Host, family: int, backend: str, table: str = "mangle") -> Dict[str, int]:
    """Packets seen by each rule of a table, by the rule's text as iptables-save has it."""
    name = "iptables" if family == 4 else "ip6tables"
    lines = host.run([f"{name}-{backend}-save", "-c", "-t", table]).stdout.splitlines()
    matches = [re.match(r"\[(\d+):\d+\] -A (.*)$", line) for line in lines]
    return {match[2]: int(match[1]) for match in matches if match}


def connection_marks(host: Host, family: int, port: int) -> List[int]:
    """The marks of all connections to a TCP port that connection tracking knows."""
    ip = "ipv4" if family == 4 else "ipv6"
    listed = host.run(["conntrack", "-L", "-f", ip, "-p", "tcp", "--dport", str(port)]).stdout
    return [int(mark) for mark in re.findall(r"\bmark=(\d+)", listed)]
