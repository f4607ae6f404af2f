"""What baselines/first-byte.c does, as an ordinary program does it: `serve PORT`, `connect ADDRESS PORT COUNT TIMEOUT`.

The service has a thread for each connection. The client prints microseconds, or "failed" and why.
"""

import socket
import sys
import threading
import time


def serve(port: int) -> None:
    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"!")

    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def connect(address: str, port: int, count: int, timeout: float) -> None:
    for _ in range(count):
        start = time.monotonic()
        try:
            with socket.create_connection((address, port), timeout=timeout) as connection:
                connection.recv(1)
                print(f"{(time.monotonic() - start) * 1e6:.1f}", flush=True)
        except OSError as error:
            print(f"failed {error}", flush=True)


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if kind == "serve":
        serve(int(arguments[0]))
    else:
        connect(arguments[0], int(arguments[1]), int(arguments[2]), float(arguments[3]) / 1000)
