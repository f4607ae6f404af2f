"""Sockets of this very process in a host's namespace, for tests that drive a connection step by step."""

import ctypes
import os
import socket
from contextlib import contextmanager
from typing import Iterator

from .hosts import Host

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


@contextmanager
def inside(host: Host) -> Iterator[None]:
    """The calling thread is in the host's network namespace; what it opens there stays there afterwards."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/run/netns/{host.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def listen(host: Host, port: int = 22) -> socket.socket:
    """A listening socket for IPv4 and IPv6 on the host."""
    with inside(host):
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    listener.settimeout(10)
    return listener


def connect(host: Host, address: str, port: int = 22, timeout: float = 5.0) -> socket.socket:
    """A connection from the host, by its kernel's TCP."""
    with inside(host):
        return socket.create_connection((address, port), timeout)


def gets_in(host: Host, address: str, port: int = 22, timeout: float = 1.0) -> bool:
    """True if the host can connect, False if there is no answer at all in time; a refusal is an error."""
    try:
        connect(host, address, port, timeout).close()
    except TimeoutError:
        return False
    return True


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes, or less at the end of the connection."""
    data = bytearray()
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return bytes(data)


def echoes(connection: socket.socket, text: bytes = b"still there?") -> bool:
    """True if what is sent comes back within the connection's timeout."""
    try:
        connection.sendall(text)
        return receive(connection, len(text)) == text
    except OSError:
        return False
