"""TCP Fast Open: data in the SYN of a guest does not reach the service before the third ACK, unless that is wanted."""

import re
from typing import Sequence

import pytest

from harness.hosts import Host
from harness.knock import FAMILIES, counted, equip, protect
from harness.topologies import Network

# Both sides, and no cookie that would have to be fetched first (ip-sysctl.rst of Linux, tcp_fastopen).
WITHOUT_COOKIES = {"net.ipv4.tcp_fastopen": 0x207}

SERVICE = """
import socket, sys
family = socket.AF_INET if sys.argv[1] == "4" else socket.AF_INET6
with socket.socket(family, socket.SOCK_STREAM) as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.bind((sys.argv[2], 22))
    listener.listen()
    print("ready", flush=True)
    connection, _ = listener.accept()
    print("got", connection.recv(100).decode(), flush=True)
    connection.sendall(b"answer")
    connection.close()
"""

CLIENT = """
import socket, sys
family = socket.AF_INET if sys.argv[1] == "4" else socket.AF_INET6
with socket.socket(family, socket.SOCK_STREAM) as connection:
    connection.settimeout(15)
    connection.sendto(b"early", socket.MSG_FASTOPEN, (sys.argv[2], 22))
    print(connection.recv(100).decode())
"""


def opened_early(host: Host) -> int:
    """How many connections the host's kernel has opened with the data of a SYN."""
    names, values = re.findall(r"^TcpExt: (.*)$", host.run(["cat", "/proc/net/netstat"]).stdout, re.MULTILINE)
    return int(dict(zip(names.split(), values.split()))["TCPFastOpenPassive"])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("more", ((), ("--fast-open",)), ids=("as it comes", "--fast-open"))
def test_data_in_the_syn(direct: Network, key_file: str, more: Sequence[str], family: int) -> None:
    for host in (direct.client, direct.server):
        host.sysctl(WITHOUT_COOKIES)
    daemon = protect(direct.server, key_file, more=more)
    equip(direct.client, key_file)
    address = direct.server.address(family)
    service = direct.server.popen(["/usr/bin/python3", "-c", SERVICE, str(family), address])
    service.wait_for_line("ready", 5, which="stdout")

    # An unmodified program gets its answer either way: its kernel sends the SYN again, without data.
    assert direct.client.python(CLIENT, family, address).stdout == "answer\n"
    service.wait_for_line("got early", 5, which="stdout")
    assert opened_early(direct.server) == (1 if more else 0)
    if more:
        assert "syn-with-data" not in counted(daemon, "syn-accepted")
    else:
        counted(daemon, "syn-with-data")
    counted(daemon, "acknowledgment-verified")
