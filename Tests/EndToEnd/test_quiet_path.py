"""After its handshake a connection is the kernel's alone: not one of its packets goes to a daemon."""

from typing import Dict

import pytest

from harness.hosts import PYTHON, Host
from harness.knock import FAMILIES, counted, equip, protect
from harness.queues import queue_counters
from harness.topologies import Network

GIGABYTE = 1_000_000_000

# Arguments: server or client, sends or receives, the server's address, how many bytes.
_PROGRAM = """
import socket, sys
end, sends, address, size = sys.argv[1], sys.argv[2] == "sends", sys.argv[3], int(sys.argv[4])
if end == "server":
    listener = socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True)
    print("listening", flush=True)
    connection = listener.accept()[0]
    connection.sendall(b"welcome")
else:
    connection = socket.create_connection((address, 22), timeout=60)
    assert connection.recv(7) == b"welcome"
    print("connected", flush=True)
    sys.stdin.readline()
    connection.sendall(b"go")
connection.settimeout(60)
if end == "server":
    assert connection.recv(2) == b"go"
if sends:
    block = memoryview(bytes(1 << 20))
    while size:
        size -= connection.send(block[:size])
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(6) == b"thanks"
else:
    room, received = bytearray(1 << 20), 0
    while count := connection.recv_into(room):
        received += count
    connection.sendall(b"thanks")
    print("received", received, flush=True)
"""


def queued(host: Host) -> Dict[int, int]:
    """How many packets have ever been put into each queue of the host, by the kernel's count."""
    return {number: counters.id_sequence for number, counters in queue_counters(host).items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("direction", ("to the server", "to the client"))
def test_a_gigabyte(direct: Network, family: int, direction: str, key_file: str) -> None:
    server = protect(direct.server, key_file)
    equip(direct.client, key_file)
    roles = ("sends", "receives") if direction == "to the server" else ("receives", "sends")
    address = direct.server.address(family)
    serving, calling = (
        [PYTHON, "-c", _PROGRAM, end, role, address, str(GIGABYTE)]
        for end, role in (("server", roles[1]), ("client", roles[0]))
    )
    server_end = direct.server.popen(serving, name="server's end")
    server_end.wait_for_line("^listening$")
    client_end = direct.client.popen(calling, name="client's end")
    client_end.wait_for_line("^connected$")
    before = queued(direct.server), queued(direct.client)
    assert before == ({100: 3}, {200: 2}), "SYN, SYN/ACK and ACK have been there"
    client_end.write_line("go")
    receiver = server_end if direction == "to the server" else client_end
    assert receiver.wait_for_line(r"^received (\d+)$", 60)[1] == str(GIGABYTE)
    assert (client_end.wait(5), server_end.wait(5)) == (0, 0)
    assert (queued(direct.server), queued(direct.client)) == before
    counted(server, "acknowledgment-verified")
