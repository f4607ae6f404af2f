"""Packets as they were on the wire."""

import os
from typing import Any, List

from .hosts import Host
from .waiting import eventually


class Capture:
    """tcpdump on an interface of a host, capturing when the `with` block begins."""

    def __init__(self, host: Host, folder: "os.PathLike[str]", expression: str = "tcp", interface: str = "eth0") -> None:
        self.path = os.path.join(folder, f"{host.name}-{interface}-{os.urandom(4).hex()}.pcap")
        # In immediate mode each packet takes as much of the buffer as the longest could: so, not too long (-s).
        self._program = host.popen(
            ["tcpdump", "-i", interface, "-n", "-p", "-U", "--immediate-mode", "-Z", "root", "-B", "8192",
             "-s", "2048", "-w", self.path, expression],  # fmt: skip
            name=f"tcpdump on {host.role}",
        )

    def packets(self) -> List[Any]:
        """The packets so far, by scapy."""
        import logging

        logging.getLogger("scapy").setLevel(logging.ERROR)
        import scapy.layers.inet6  # noqa: F401  (teaches scapy IPv6)
        from scapy.error import Scapy_Exception
        from scapy.utils import rdpcap

        try:
            return list(rdpcap(self.path))
        except (Scapy_Exception, EOFError):
            return []

    def wait_for(self, wanted: Any, timeout: float = 5.0, what: str = "a packet") -> Any:
        """The first packet for which the function `wanted` is true."""
        return eventually(lambda: next((p for p in self.packets() if wanted(p)), None), timeout, what)

    def stop(self) -> List[Any]:
        """Ends the capture and returns its packets."""
        self._program.stop()
        return self.packets()

    def __enter__(self) -> "Capture":
        self._program.wait_for_line("listening on", 10, which="stderr")
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()
