"""The filter in the kernel, on hosts: with the rules, its counts, and packets for it."""

import ctypes
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, List

import pytest

from .daemons import start_server
from .firewall import firewall, rule_counters, snapshot
from .hosts import Host
from .knock import proto, read_key
from .processes import Program
from .segments import segment, send
from .topologies import Network
from .waiting import eventually


def filtering_server(host: Host, key_file: str, pins: str, mode: str = "on", **options: Any) -> Program:
    """tcpknock-server with its filter; what flushes its rules is the test's business, so it puts none back."""
    more = ["--kernel-filter", mode, "--pin-folder", pins, "--rules-guard", "off", *options.pop("more", [])]
    return start_server(host, key_file, more=more, **options)


def rules_up(host: Host, pins: str, way: str, *more: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """server.sh up, with the filter in this way and in no other."""
    mode = ["--kernel-filter", "hook"] if way == "hook" else ["--kernel-filter", "rule"]
    if way == "hook" and list(Path(pins).glob("*-100/syn_code")) and not list(Path(pins).glob("*-100/syn_code_hook")):
        pytest.skip("this kernel has no BPF netfilter links (Linux 6.4)")
    return any_rules_up(host, pins, "nft" if way == "hook" else way, *mode, *more, check=check)


def any_rules_up(
    host: Host, pins: str, backend: str, *more: object, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """server.sh up, which chooses the way."""
    return firewall(host, "server", "up", "--iptables", backend, "--pin-folder", pins, *more, check=check)


def dropped(host: Host, family: int, way: str, pins: str) -> int:
    """How many SYNs of a family the rule with the filter has dropped; at the hook, of both families."""
    if way == "hook":
        return counted_wrong(pins)
    rules = rule_counters(host, family, way, "raw")
    (count,) = (count for rule, count in rules.items() if "--object-pinned" in rule)
    return count


def counted_wrong(pins: str) -> int:
    """How many wrong codes the programs have counted, from their map: a daemon may or may not be there to be asked."""
    (path,) = Path(pins).glob("*-100/counters")
    name = ctypes.create_string_buffer(os.fsencode(path))
    descriptor = bpf(7, struct.pack("=QII", ctypes.addressof(name), 0, 0))  # BPF_OBJ_GET
    try:
        key = ctypes.c_uint32(0)
        # struct syn_code_counters, for each CPU that there could be.
        values = ctypes.create_string_buffer(24 * 4096)
        bpf(1, struct.pack("=IIQQQ", descriptor, 0, ctypes.addressof(key), ctypes.addressof(values), 0))  # LOOKUP_ELEM
        return sum(wrong for wrong, _, _ in struct.iter_unpack("=QQQ", values.raw))
    finally:
        os.close(descriptor)


def bpf(command: int, attributes: bytes) -> int:
    """bpf(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    result = libc.syscall(number, command, attributes, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return int(result)


def send_to_be_dropped(client: Host, server: Host, family: int, way: str, pins: str, packets: List[Any]) -> None:
    """Sends packets, and waits until the filter has dropped all of them."""
    before = dropped(server, family, way, pins)
    send(client, packets)
    what = "the wrong SYNs to be dropped"
    eventually(lambda: dropped(server, family, way, pins) == before + len(packets), what=what)


def has_filter_rule(host: Host) -> bool:
    return "--object-pinned" in "".join(snapshot(host).values())


def codes(key_file: str, source: str, isn: int, *, slots_from_now: int = 0, no_time: bool = False) -> "tuple[int, int]":
    """Both right codes, by the second implementation."""
    slot = 0 if no_time else proto.time_slot(time.time()) + slots_from_now
    return proto.syn_codes(proto.Keys.derive(read_key(key_file)).k1, proto.address_bytes(source), isn, slot)


def syn(network: Network, family: int, isn: int, code: int, **more: Any) -> Any:
    source, destination = network.client.address(family), network.server.address(family)
    return segment(source, destination, sport=6000 + isn % 1000, dport=22, flags="S", seq=isn, ack=code, **more)


def fragments(whole: Any, number: int, size: int = 24) -> List[Any]:
    """The packet in fragments with so many bytes each; over IPv6, Linux wants the whole TCP header in the first."""
    from scapy.layers.inet import fragment
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment

    if IPv6 not in whole:
        return list(fragment(whole, fragsize=size))
    # By hand: scapy's fragments have 1280 bytes at least.
    data = bytes(IPv6(bytes(whole)).payload)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [
        IPv6(src=whole[IPv6].src, dst=whole[IPv6].dst)
        / IPv6ExtHdrFragment(nh=6, offset=size // 8 * position, m=position < len(pieces) - 1, id=number)
        / piece
        for position, piece in enumerate(pieces)
    ]
