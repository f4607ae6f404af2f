"""Packets as they are at a place inside a host's kernel, where no capture on an interface sees them."""

import os
import struct
from pathlib import Path
from typing import Any, List

from .capture import Capture
from .hosts import Host

_PAYLOAD = 9  # NFULA_PAYLOAD, linux/netfilter/nfnetlink_log.h


class Tap(Capture):
    """What the packets look like where a table's chain begins: `Tap(host, folder, "raw", "OUTPUT", "--sport 22")`."""

    def __init__(self, host: Host, folder: "os.PathLike[str]", table: str, chain: str, match: str, group: int) -> None:
        for iptables in ("iptables", "ip6tables"):
            host.run([iptables, "-w", "-t", table, "-I", chain, "-p", "tcp", *match.split(),
                      "-j", "NFLOG", "--nflog-group", str(group), "--nflog-threshold", "1"])  # fmt: skip
        super().__init__(host, folder, "", f"nflog:{group}")

    def packets(self) -> List[Any]:
        """The packets so far, by scapy."""
        from scapy.layers.inet import IP
        from scapy.layers.inet6 import IPv6

        found = []
        for payload in map(_payload, _records(Path(self.path).read_bytes())):
            found.append(IP(payload) if payload[0] >> 4 == 4 else IPv6(payload))
        return found


def _records(pcap: bytes) -> List[bytes]:
    records, at = [], 24
    while at + 16 <= len(pcap):
        length = struct.unpack_from("=I", pcap, at + 8)[0]
        records.append(pcap[at + 16 : at + 16 + length])
        at += 16 + length
    return [record for record in records if record]


def _payload(record: bytes) -> bytes:
    at = 4  # behind family, version and group
    while at + 4 <= len(record):
        length, kind = struct.unpack_from("=HH", record, at)
        if kind == _PAYLOAD:
            return record[at + 4 : at + length]
        at += (length + 3) & ~3
    raise AssertionError("a log message without its packet")
