"""Single TCP segments, made by hand and sent past the TCP of the sending host."""

from typing import Any, Iterable

from .hosts import Host

_SENDER = """
import socket, sys
for line in sys.stdin:
    packet = bytes.fromhex(line)
    if packet[0] >> 4 == 4:
        sender, to = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW), packet[16:20]
        sender.sendto(packet, (socket.inet_ntop(socket.AF_INET, to), 0))
    else:
        sender, to = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW), packet[24:40]
        sender.sendto(packet, (socket.inet_ntop(socket.AF_INET6, to), 0))
"""


def segment(source: str, destination: str, *, extension_header: bool = False, **tcp: Any) -> Any:
    """A scapy packet; `tcp` are the fields of scapy's TCP. IPv6 may get an extension header before the TCP header."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt

    if ":" not in destination:
        return IP(src=source, dst=destination) / TCP(**tcp)
    ip = IPv6(src=source, dst=destination)
    return ip / IPv6ExtHdrDestOpt() / TCP(**tcp) if extension_header else ip / TCP(**tcp)


def send(host: Host, packets: Iterable[Any]) -> None:
    """Sends the packets from the host, in order."""
    lines = "".join(bytes(packet).hex() + "\n" for packet in packets)
    host.run(["/usr/bin/python3", "-c", _SENDER], input=lines)
