"""Programs whose segments are signed (TCP MD5, RFC 2385), as BGP speakers have them."""

from .hosts import PYTHON, Host
from .processes import Program

_PROGRAM = """
import socket, struct, sys
what, address, port, peer = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
# struct tcp_md5sig of linux/tcp.h, for TCP_MD5SIG (14): the address of the peer, and the key.
name = struct.pack("=HH4s120s", family, 0, socket.inet_pton(family, peer), b"") if family == socket.AF_INET else (
    struct.pack("=HHI16s104s", family, 0, 0, socket.inet_pton(family, peer), b""))
s = socket.socket(family)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_TCP, 14, name + struct.pack("=BBHI80s", 0, 0, 6, 0, b"secret"))
if what == "listen":
    s.bind((address, int(port)))
    s.listen(5)
    print("listening", flush=True)
    while True:
        connection, _ = s.accept()
        connection.sendall(b"hello")
else:
    print("connecting", flush=True)
    s.connect((address, int(port)))
    print(s.recv(100).decode(), flush=True)
    sys.stdin.read()
"""


def signing_service(host: Host, peer: str, address: str = "0.0.0.0", port: int = 179) -> Program:
    """A service that takes only what that peer has signed."""
    program = host.popen([PYTHON, "-c", _PROGRAM, "listen", address, str(port), peer], name="signing service")
    program.wait_for_line("^listening$")
    return program


def signing_client(host: Host, address: str, port: int = 179) -> Program:
    """Connects, and says "hello" when it is connected; until then the kernel goes on trying."""
    program = host.popen([PYTHON, "-c", _PROGRAM, "connect", address, str(port), address], name="signing client")
    program.wait_for_line("^connecting$")
    return program
