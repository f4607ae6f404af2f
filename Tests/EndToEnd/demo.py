#!/usr/bin/python3
"""The main job, live: a real sshd behind a knock, in two network namespaces, shown step by step.

Everything it starts and makes is gone afterwards, also after ctrl-C. Exit status 0 only if every step went as claimed.
"""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any, Callable, List

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import daemons, topologies  # noqa: E402
from harness.capture import Capture  # noqa: E402
from harness.firewall import firewall  # noqa: E402
from harness.hosts import PYTHON  # noqa: E402
from harness.sshd import Sshd  # noqa: E402
from harness.waiting import eventually  # noqa: E402

PORT = 22
#: An address in the network of the client that no host has: what speaks from there is tests' own client.
STRANGER = "10.81.1.66"
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer", "knockpeer.py")

COLOUR = sys.stdout.isatty()


def _painted(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


class Steps:
    """Shows one step after the other, and remembers whether each went as claimed."""

    def __init__(self) -> None:
        self.results: List["tuple[str, bool]"] = []

    def title(self, text: str) -> None:
        print(f"\n{_painted(f'{len(self.results) + 1}. {text}', '1')}", flush=True)

    def show(self, text: str, prefix: str = "   ") -> None:
        print(textwrap.indent(text.rstrip(), prefix), flush=True)

    def claim(self, text: str, holds: bool) -> None:
        mark = _painted("as claimed", "32") if holds else _painted("NOT AS CLAIMED", "31")
        print(f"   => {text}: {mark}", flush=True)
        self.results.append((text, holds))

    def summary(self) -> int:
        print(f"\n{_painted('Summary', '1')}")
        for number, (text, holds) in enumerate(self.results, 1):
            print(f"   {number}. {text}: {'yes' if holds else 'NO'}")
        failed = sum(not holds for _, holds in self.results)
        print("\nEvery step went as claimed." if not failed else f"\n{failed} steps did not go as claimed.")
        return 1 if failed else 0


def main() -> int:
    if os.geteuid() != 0:
        print("demo: network namespaces need root: run this as root", file=sys.stderr)
        return 77
    signal.signal(signal.SIGTERM, _interrupt)
    steps = Steps()
    try:
        with tempfile.TemporaryDirectory(prefix="tcpknock-demo-") as folder, topologies.direct() as network:
            _demonstrate(network, Path(folder), steps)
    except KeyboardInterrupt:
        print("\ninterrupted; all that was made is removed", file=sys.stderr)
        return 130
    return steps.summary()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demonstrate(network: topologies.Network, folder: Path, steps: Steps) -> None:
    client, server = network.client, network.server
    print("Two hosts on one cable, each a network namespace of its own:")
    steps.show(f"client {client.ipv4}  {client.ipv6}\nserver {server.ipv4}  {server.ipv6}  (sshd, port {PORT})")

    key = str(folder / "port_protector.dat")
    keygen = subprocess.run([daemons.program("keygen"), key], capture_output=True, text=True, timeout=20, check=True)
    print("The key that both share, by its fingerprint:")
    steps.show(keygen.stdout.split()[0])

    sshd = Sshd(server, folder / "sshd", PORT)
    with daemons.start_server(server, key, lockout_seconds=60) as server_daemon:
        firewall(server, "server", "up")
        print("On the server: a real sshd, firewall/server.sh up, and tcpknock-server.")

        _scan(network, steps)
        _ordinary_ssh(network, sshd, steps)
        with daemons.start_client(client, key) as _:
            firewall(client, "client", "up")
            with Capture(client, folder, f"tcp port {PORT}") as capture:
                _ssh_through_the_knock(network, sshd, steps)
                packets = capture.packets()
            _explain(packets, steps)
            _wrong_third_ack(network, key, server_daemon, steps)
            _others_unaffected(network, sshd, steps)


def _scan(network: topologies.Network, steps: Steps) -> None:
    steps.title("A port scan finds nothing")
    command = ["nmap", "-n", "-Pn", "-sS", "-p", str(PORT), "--max-retries", "1", "--reason", network.server.ipv4]
    steps.show("client$ " + " ".join(command))
    result = network.client.run(command, timeout=60, check=False)
    line = next((line for line in result.stdout.splitlines() if line.startswith(f"{PORT}/tcp")), "")
    steps.show(line)
    steps.claim("the scan gets no answer", "filtered" in line and "no-response" in line)


def _ordinary_ssh(network: topologies.Network, sshd: Sshd, steps: Steps) -> None:
    steps.title("An ordinary ssh gets no answer, though it has the right ssh key")
    steps.show(f"client$ ssh -o ConnectTimeout=3 root@{network.server.ipv4} hostname")
    result = sshd.ssh(network.client, network.server.ipv4, ["hostname"], connect_timeout=3)
    steps.show(result.stderr)
    steps.claim("ssh without the knock fails", result.returncode == 255 and "timed out" in result.stderr)


def _ssh_through_the_knock(network: topologies.Network, sshd: Sshd, steps: Steps) -> None:
    steps.title("With firewall/client.sh up and tcpknock-client, the same ssh runs a command; over IPv6 too")
    answers = []
    for address in (network.server.ipv4, network.server.ipv6):
        steps.show(f"client$ ssh root@{address} 'echo here I am: $SSH_CONNECTION'")
        result = sshd.ssh(network.client, address, ["echo here I am: $SSH_CONNECTION"])
        steps.show(result.stdout + result.stderr)
        answers.append(result.returncode == 0 and address in result.stdout)
    steps.claim("ssh through the knock runs a command", all(answers))


def _explain(packets: List[Any], steps: Steps) -> None:
    from scapy.layers.inet import IP, TCP

    steps.title("The packets of that IPv4 handshake, as they were on the wire")

    def first(what: Callable[[Any], bool]) -> Any:
        return next((packet[IP] for packet in packets if IP in packet and TCP in packet and what(packet)), None)

    syn = first(lambda p: p[TCP].flags & 0x12 == 0x02)
    syn_ack = first(lambda p: p[TCP].flags & 0x12 == 0x12)
    ack = first(lambda p: p[TCP].flags & 0x12 == 0x10 and p[IP].src == syn.src) if syn else None
    if not (syn and syn_ack and ack):
        steps.claim("the capture holds a handshake", False)
        return
    true_isn = (ack[TCP].ack - 1) % 2**32
    steps.show(
        f"SYN      client -> server  seq {syn[TCP].seq:08x}  ack {syn[TCP].ack:08x}\n"
        "         The ack field of a SYN means nothing to TCP. Here it is the code: made from the key, this\n"
        "         sequence number, the client's address and the minute. It is good once.\n"
        f"SYN/ACK  server -> client  seq {syn_ack[TCP].seq:08x}  ack {syn_ack[TCP].ack:08x}  IP ID {syn_ack.id:04x}\n"
        "         The sequence number is masked with the key. The IP ID looks random, and proves to the\n"
        "         client that the server holds the key.\n"
        f"ACK      client -> server  seq {ack[TCP].seq:08x}  ack {ack[TCP].ack:08x}\n"
        f"         It acknowledges {true_isn:08x}, the true ISN, which only a holder of the key knows."
    )
    steps.claim(
        "the SYN carries a code, the SYN/ACK a masked ISN and a proof",
        syn[TCP].ack != 0 and syn_ack.id != 0 and syn_ack[TCP].seq != true_isn,
    )


def _wrong_third_ack(network: topologies.Network, key: str, server_daemon: Any, steps: Steps) -> None:
    steps.title(f"Another client, {STRANGER}, knows the code but sends a wrong third ACK: it is locked out")

    def knock(*more: str) -> Any:
        command = [PYTHON, PEER, "--key-file", key, "--server", network.server.ipv4, "--port", str(PORT)]
        return network.client.run([*command, "--source", STRANGER, "--timeout", "2", *more], timeout=30, check=False)

    steps.show(knock("--wrong-ack").stdout)
    logged = eventually(
        lambda: next((line for line in server_daemon.lines("stderr") if "locked out" in line), None), 5, "the log line"
    )
    steps.show(f"server's log: {logged}")
    steps.show("It tries once more, and does everything right this time:")
    again = knock()
    steps.show(again.stdout)
    steps.claim("a wrong third ACK locks its sender out", STRANGER in logged and again.returncode == 1)


def _others_unaffected(network: topologies.Network, sshd: Sshd, steps: Steps) -> None:
    steps.title("The first client is unaffected")
    steps.show(f"client$ ssh root@{network.server.ipv4} echo still welcome")
    result = sshd.ssh(network.client, network.server.ipv4, ["echo", "still", "welcome"])
    steps.show(result.stdout + result.stderr)
    steps.claim("others go on as before", result.stdout.strip() == "still welcome")


if __name__ == "__main__":
    sys.exit(main())
