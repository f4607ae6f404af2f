# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic of the tcpknock protocol, written from docs/PROTOCOL.md alone.

This is the second implementation: it shares no code with the daemons, so that where the two agree, the
document is what they agree on. Only the standard library is used. Section marks (§) are those of
docs/PROTOCOL.md, and names are its names: A, C, S, E, N, T, M.

Everything here is a pure function, save `read_key`.
"""

from __future__ import annotations

import enum
import hashlib
import ipaddress
import struct
from typing import NamedTuple, Union

KEY_FILE_SIZE = 65_536
SLOT_SECONDS = 60
WINDOW = 32_768
KDF_CONTEXT = b"tcpknock"

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF


class Mode(enum.IntEnum):
    """`M` of §2: which mask the client chose."""

    FULL = 0
    WINDOWED = 1

    @classmethod
    def parse(cls, value: "Mode | int | str") -> "Mode":
        """A mode from itself, its number or its name in any case."""
        if isinstance(value, str):
            return cls[value.upper()]
        return cls(value)


# --- §3 keys ----------------------------------------------------------------------------------------------


def read_key(path: str) -> bytes:
    """The bytes of a key file; ValueError if it has not the size of §3."""
    with open(path, "rb") as file:
        key = file.read(KEY_FILE_SIZE + 1)
    if len(key) != KEY_FILE_SIZE:
        raise ValueError(f"{path}: a key file has exactly {KEY_FILE_SIZE} bytes")
    return key


def master_key(key_bytes: bytes) -> bytes:
    """§3: `master`, 32 bytes."""
    if len(key_bytes) != KEY_FILE_SIZE:
        raise ValueError(f"a key has exactly {KEY_FILE_SIZE} bytes")
    return hashlib.blake2b(key_bytes, digest_size=32).digest()


def subkey(master: bytes, number: int) -> bytes:
    """§3: `k[id]`, 16 bytes."""
    return hashlib.blake2b(
        b"",
        digest_size=16,
        key=master,
        salt=struct.pack("<Q", number) + bytes(8),
        person=KDF_CONTEXT + bytes(8),
    ).digest()


def fingerprint(k4: bytes) -> str:
    """§3: `k4` as people see it, eight groups of four hexadecimal digits."""
    digits = k4.hex()
    return "-".join(digits[i : i + 4] for i in range(0, 32, 4))


class Keys(NamedTuple):
    """The keys of §3 that come from one key file."""

    master: bytes
    k1: bytes
    k2: bytes
    k3: bytes
    k4: bytes
    k5: bytes

    @classmethod
    def derive(cls, key_bytes: bytes) -> "Keys":
        """All keys from the 65,536 bytes of a key file."""
        master = master_key(key_bytes)
        return cls(master, *(subkey(master, number) for number in range(1, 6)))

    @property
    def fingerprint(self) -> str:
        """The fingerprint as it is written."""
        return fingerprint(self.k4)


def siphash24(key: bytes, message: bytes) -> bytes:
    """§3: `H(k, m)`, SipHash-2-4 with 8 bytes of output in the order of the reference implementation."""
    if len(key) != 16:
        raise ValueError("SipHash takes a key of 16 bytes")
    k0, k1 = struct.unpack("<QQ", key)
    v0 = k0 ^ 0x736F6D6570736575
    v1 = k1 ^ 0x646F72616E646F6D
    v2 = k0 ^ 0x6C7967656E657261
    v3 = k1 ^ 0x7465646279746573

    def rounds(count: int) -> None:
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0 = (v0 + v1) & _MASK64
            v1 = ((v1 << 13) | (v1 >> 51)) & _MASK64 ^ v0
            v0 = ((v0 << 32) | (v0 >> 32)) & _MASK64
            v2 = (v2 + v3) & _MASK64
            v3 = ((v3 << 16) | (v3 >> 48)) & _MASK64 ^ v2
            v0 = (v0 + v3) & _MASK64
            v3 = ((v3 << 21) | (v3 >> 43)) & _MASK64 ^ v0
            v2 = (v2 + v1) & _MASK64
            v1 = ((v1 << 17) | (v1 >> 47)) & _MASK64 ^ v2
            v2 = ((v2 << 32) | (v2 >> 32)) & _MASK64

    # The last word holds what is left of the message and, in its highest byte, the message's length mod 256.
    whole = len(message) & ~7
    last = message[whole:].ljust(7, b"\0") + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", message[:whole] + last):
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return struct.pack("<Q", v0 ^ v1 ^ v2 ^ v3)


# --- §2 quantities ----------------------------------------------------------------------------------------

Address = Union[str, bytes, ipaddress.IPv4Address, ipaddress.IPv6Address]


def address_bytes(address: Address) -> bytes:
    """§2: `A`, 16 bytes; an IPv4 address as an IPv4-mapped IPv6 address."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return bytes(10) + b"\xff\xff" + parsed.packed
    return parsed.packed


def family_of(a: bytes) -> int:
    """4 or 6: the family of the packets that come from `A`."""
    return 4 if a[:12] == bytes(10) + b"\xff\xff" else 6


def time_slot(seconds: float, time_enabled: bool = True) -> int:
    """§2: `T` as a number; 0 where time is switched off."""
    return int(seconds // SLOT_SECONDS) if time_enabled else 0


ROAMING = bytes(16)
"""§4.2: `A` of a client that is bound to no address."""


# --- §4 phase 1 -------------------------------------------------------------------------------------------


def syn_codes(k1: bytes, a: bytes, c: int, t: int) -> "tuple[int, int]":
    """§4: the SYN codes (full, windowed) for address `A`, client ISN `C` and time slot `T`."""
    o = siphash24(k1, a + struct.pack("!IQ", c, t))
    full, windowed = struct.unpack("!II", o)
    return full or 1, windowed or 1


def syn_code(k1: bytes, a: bytes, c: int, t: int, mode: "Mode | int | str") -> int:
    """§4: the SYN code of one mode."""
    return syn_codes(k1, a, c, t)[Mode.parse(mode)]


def judge_code(k1: bytes, a: bytes, c: int, now: "int | None", code: int) -> "tuple[Mode, int] | None":
    """§4 steps 1 and 3, the server's view: the mode and slot a code is good for, or None.

    `now` is the current time slot, None where time is switched off. (No constant time here: for tests only.)
    """
    if code == 0:
        return None
    slots = (0,) if now is None else (now, now - 1, now + 1)
    for mode in Mode:
        for t in slots:
            if t >= 0 and syn_code(k1, a, c, t, mode) == code:
                return mode, t
    return None


def hint(k5: bytes, t: int) -> int:
    """§4.1: the hint of a key for a time slot, 16 bits, never 0."""
    return int.from_bytes(siphash24(k5, t.to_bytes(8, "big"))[:2], "big") or 1


def hint_field(k5: bytes, t: int, family: int) -> int:
    """§4.1: what the identification field (family 4) or the flow label (family 6) of a SYN becomes."""
    if family == 4:
        return hint(k5, t)
    return (siphash24(k5, t.to_bytes(8, "big"))[2] & 0x0F) << 16 | hint(k5, t)


# --- §5 phase 2 -------------------------------------------------------------------------------------------


def nonce(k3: bytes, a: bytes, c: int, s: int, mode: "Mode | int | str", family: "int | None" = None) -> int:
    """§5.1: `N`, the nonce that proves the server; 16 bits for IPv4, 20 bits for IPv6, never 0."""
    o = siphash24(k3, a + struct.pack("!IIB", c, s, Mode.parse(mode)))
    if (family or family_of(a)) == 4:
        n = int.from_bytes(o[0:2], "big")
    else:
        n = int.from_bytes(o[0:3], "big") & 0xFFFFF
    return n or 1


def mask_value(k2: bytes, a: bytes, c: int, n: int, mode: "Mode | int | str") -> int:
    """§5.2: `P`."""
    o = siphash24(k2, a + struct.pack("!IIB", c, n, Mode.parse(mode)))
    return int.from_bytes(o[0:4], "big")


def mask(s: int, p: int, mode: "Mode | int | str") -> int:
    """§5.2: `E` from `S` and `P`."""
    if Mode.parse(mode) is Mode.FULL:
        return s ^ p
    return (s + 1 + p % WINDOW) & _MASK32


def unmask(e: int, p: int, mode: "Mode | int | str") -> int:
    """§5.2: `S` from `E` and `P`."""
    if Mode.parse(mode) is Mode.FULL:
        return e ^ p
    return (e - 1 - p % WINDOW) & _MASK32


def seal(keys: Keys, a: bytes, c: int, s: int, mode: "Mode | int | str", family: "int | None" = None) -> "tuple[int, int]":
    """§5, the server's part: (N, E) for the SYN/ACK."""
    n = nonce(keys.k3, a, c, s, mode, family)
    return n, mask(s, mask_value(keys.k2, a, c, n, mode), mode)


def open_sealed(
    keys: Keys, a: bytes, c: int, e: int, n: int, mode: "Mode | int | str", family: "int | None" = None
) -> "tuple[int, bool]":
    """§5.2, the client's part: (S, whether the proof holds). A nonce of 0 is no proof."""
    s = unmask(e, mask_value(keys.k2, a, c, n, mode), mode)
    return s, n != 0 and nonce(keys.k3, a, c, s, mode, family) == n
