#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The public test-vector key, and test vectors of the protocol computed with it.

    make_vectors.py > docs/vectors.json                   print the vectors
    make_vectors.py --key-file keys/test-vector.dat       write the key too (it is public: never use it)

Both are reproducible: the key follows from a formula, and nothing is random.
"""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import json
import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import knockprotocol as proto  # noqa: E402
from knockprotocol import Mode  # noqa: E402

SEED = "tcpknock test vector key "
FORMULA = (
    "the concatenation, for i from 0 to 1023, of BLAKE2b-512 (no key) of the ASCII string "
    f"'{SEED}' (with the space at its end) followed by i in decimal ASCII without padding"
)

V4, V4_OTHER, V6, V6_OTHER = "192.0.2.10", "203.0.113.254", "2001:db8::10", "2001:db8:ffff:1:a00:27ff:fe12:3456"
SECONDS = 1_710_000_000  # 2024-03-09 16:00 UTC, slot 28,500,000


def vector_key() -> bytes:
    """The 65,536 bytes of the key."""
    return b"".join(hashlib.blake2b(f"{SEED}{i}".encode("ascii")).digest() for i in range(1024))


def raw_nonce(keys: proto.Keys, a: bytes, c: int, s: int, mode: Mode) -> int:
    """The nonce before 0 is replaced by 1."""
    o = proto.siphash24(keys.k3, a + c.to_bytes(4, "big") + s.to_bytes(4, "big") + bytes([mode]))
    if proto.family_of(a) == 4:
        return int.from_bytes(o[:2], "big")
    return int.from_bytes(o[:3], "big") & 0xFFFFF


def find_zero_nonce(keys: proto.Keys, address: str, s: int, mode: Mode, start: int) -> int:
    """The first C from `start` on whose nonce is 0 before the replacement (the starts below are the finds)."""
    a = proto.address_bytes(address)
    c = start
    while raw_nonce(keys, a, c, s, mode) != 0:
        c = (c + 1) & 0xFFFFFFFF
    return c


def find_offset(keys: proto.Keys, address: str, s: int, wanted: int) -> int:
    """The first C whose windowed mask adds exactly `wanted` (1 to 32,768) to S."""
    a = proto.address_bytes(address)
    c = 0
    while (proto.seal(keys, a, c, s, Mode.WINDOWED)[1] - s) & 0xFFFFFFFF != wanted:
        c += 1
    return c


def make_case(
    keys: proto.Keys,
    name: str,
    address: str,
    mode: Mode,
    c: int,
    s: int,
    seconds: "int | None" = SECONDS,
    note: str = "",
    roaming: bool = False,
) -> "dict[str, Any]":
    """One case; `seconds` None is time switched off."""
    family = ipaddress.ip_address(address).version
    a = proto.ROAMING if roaming else proto.address_bytes(address)
    t = proto.time_slot(seconds or 0, seconds is not None)
    full, windowed = proto.syn_codes(keys.k1, a, c, t)
    n, e = proto.seal(keys, a, c, s, mode, family)
    p = proto.mask_value(keys.k2, a, c, n, mode)
    case: "dict[str, Any]" = {"name": name}
    if note:
        case["note"] = note
    case |= {
        "family": family,
        "address": str(ipaddress.ip_address(address)),
        "mode": mode.name.lower(),
        "seconds": seconds,
        "A": a.hex(),
        "C": f"{c:08x}",
        "S": f"{s:08x}",
        "T": f"{t:016x}",
        "M": f"{mode:02x}",
        "codeFull": f"{full:08x}",
        "codeWindowed": f"{windowed:08x}",
        "N": f"{n:08x}",
        "P": f"{p:08x}",
        "E": f"{e:08x}",
    }
    return case


def make_cases(keys: proto.Keys) -> "list[dict[str, Any]]":
    """All cases."""
    full, windowed = Mode.FULL, Mode.WINDOWED
    cases = []

    def add(name: str, *arguments: Any, **more: Any) -> None:
        cases.append(make_case(keys, name, *arguments, **more))

    for address, label in ((V4, "IPv4"), (V6, "IPv6")):
        for mode in Mode:
            what = f"{label}, {mode.name.lower()}"
            add(what, address, mode, 0x12345678, 0x9ABCDEF0)
            add(f"{what}, time off", address, mode, 0x12345678, 0x9ABCDEF0, None)
    add("IPv4, full, other address, next slot", V4_OTHER, full, 0xDEADBEEF, 0x00C0FFEE, SECONDS + 60)
    add("IPv6, windowed, other address, last second of the slot", V6_OTHER, windowed, 0xDEADBEEF, 0x00C0FFEE, SECONDS + 59)
    add("IPv4, windowed, last second of the slot before", V4, windowed, 1, 2, SECONDS - 1)
    add("IPv6, full, time beyond 32 bits", V6, full, 0x0BADCAFE, 0x31415926, 60 * 2**32 + 60)
    add("IPv4, full, all zero", V4, full, 0, 0)
    add("IPv6, full, all ones", V6, full, 0xFFFFFFFF, 0xFFFFFFFF)
    wraps = "E = S + 1 + (P mod 32768) goes beyond 2^32 and begins at 0 again"
    add("IPv4, windowed, S + 1 wraps", V4, windowed, 0x01020304, 0xFFFFFFFF, note=wraps)
    add("IPv6, windowed, S + 1 wraps", V6, windowed, 0x01020304, 0xFFFFFFFF, note=wraps)
    c = next(c for c in range(1000) if proto.seal(keys, proto.address_bytes(V4), c, 0xFFFFF000, windowed)[1] < 0x1000)
    add("IPv4, windowed, E wraps", V4, windowed, c, 0xFFFFF000, note=wraps)
    c = next(c for c in range(1000) if proto.seal(keys, proto.address_bytes(V6), c, 0xFFFFC000, windowed)[1] < 0x4000)
    add("IPv6, windowed, E wraps, time off", V6, windowed, c, 0xFFFFC000, None, note=wraps)
    c = next(c for c in range(1000) if proto.seal(keys, proto.address_bytes(V4), c, 0xFFFF8000, windowed)[1] > 0xFFFF8000)
    add("IPv4, windowed, E stays just below the wrap", V4, windowed, c, 0xFFFF8000)
    c = find_offset(keys, V4, 0xFFFFFFFE, 1)
    add("IPv4, windowed, smallest mask", V4, windowed, c, 0xFFFFFFFE, note="P mod 32768 is 0: E = S + 1")
    c = find_offset(keys, V4, 0xFFFF8000, 32_768)
    add("IPv4, windowed, largest mask", V4, windowed, c, 0xFFFF8000, note="P mod 32768 is 32767: E = S + 32768, here 0")
    zero = "the nonce came out as 0 and is replaced by 1"
    for mode, start in ((full, ZERO_NONCE_V4_FULL), (windowed, ZERO_NONCE_V4_WINDOWED)):
        c = find_zero_nonce(keys, V4, 0x5EED5EED, mode, start)
        add(f"IPv4, {mode.name.lower()}, nonce 0 replaced", V4, mode, c, 0x5EED5EED, note=zero)
    c = find_zero_nonce(keys, V6, 0x5EED5EED, full, ZERO_NONCE_V6_FULL)
    add("IPv6, full, nonce 0 replaced", V6, full, c, 0x5EED5EED, note=zero)
    note = "the code came out as 0 and is replaced by 1"
    add("IPv4, full, code 0 replaced", V4, full, ZERO_CODE_FULL, 0x5EED5EED, note=note)
    add("IPv4, windowed, code 0 replaced", V4, windowed, ZERO_CODE_WINDOWED, 0x5EED5EED, note=note)
    for address, label in ((V4, "IPv4"), (V6, "IPv6")):
        for mode in Mode:
            what = f"{label}, {mode.name.lower()}, roaming"
            add(what, address, mode, 0x12345678, 0x9ABCDEF0, note="A is all zero, whatever the address", roaming=True)
    return cases


def find_zero_hint(keys: proto.Keys) -> int:
    """The first slot whose hint comes out as 0 and is replaced by 1."""
    t = 0
    while proto.siphash24(keys.k5, t.to_bytes(8, "big"))[:2] != bytes(2):
        t += 1
    return t


def make_hints(keys: proto.Keys) -> "list[dict[str, str]]":
    """Hints of slots: around that of SECONDS, at the ends, and one that came out as 0."""
    now = SECONDS // 60
    slots = [0, 1, now - 1, now, now + 1, now + 2, now + 3, 2**32 - 1, 2**32, 2**32 + 1, 2**63, find_zero_hint(keys)]
    return [
        {
            "T": f"{t:016x}",
            "hint": f"{proto.hint(keys.k5, t):04x}",
            "identification": f"{proto.hint_field(keys.k5, t, 4):04x}",
            "flowLabel": f"{proto.hint_field(keys.k5, t, 6):05x}",
        }
        for t in slots
    ]


# Found by searching all C from 0 on. The nonces: 1 in 2^16 or 2^20, find_zero_nonce does it again from start 0.
ZERO_NONCE_V4_FULL = 0x000198B1
ZERO_NONCE_V4_WINDOWED = 0x0000F9C3
ZERO_NONCE_V6_FULL = 0x0005848E
# The codes: 1 in 2^32, for V4 in the slot of SECONDS; too long a search for Python.
ZERO_CODE_FULL = 0x19082A28
ZERO_CODE_WINDOWED = 0x1832930D


def make_document() -> "dict[str, Any]":
    """The whole document."""
    key = vector_key()
    keys = proto.Keys.derive(key)
    return {
        "about": "Test vectors of the tcpknock protocol, docs/PROTOCOL.md. Numbers are hexadecimal, in network order; "
        "N has 4 bytes as in 5.2; seconds (since 1970) gives T, null where time is switched off.",
        "key": {
            "file": "keys/test-vector.dat",
            "size": len(key),
            "formula": FORMULA,
            "sha256": hashlib.sha256(key).hexdigest(),
        },
        "master": keys.master.hex(),
        **{f"k{number}": keys[number].hex() for number in range(1, 6)},
        "fingerprint": keys.fingerprint,
        "hints": make_hints(keys),
        "cases": make_cases(keys),
    }


def main() -> None:
    """The command; see the top of the file."""
    parser = argparse.ArgumentParser(description="Print the test vectors of the tcpknock protocol as JSON.")
    parser.add_argument("--key-file", help="write the public test-vector key to this file (mode 0600)")
    options = parser.parse_args()
    if options.key_file:
        with open(os.open(options.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(vector_key())
    print(json.dumps(make_document(), indent=2))


if __name__ == "__main__":
    main()
