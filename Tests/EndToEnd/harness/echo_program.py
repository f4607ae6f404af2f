"""The program behind echo.py: `serve PORT...`, `connect ADDRESS PORT COUNT SIZE TIMEOUT`, `hold ADDRESS PORT TIMEOUT`."""

import json
import os
import socket
import sys
import threading
from typing import List


def serve(ports: List[int]) -> None:
    def answer(connection: socket.socket) -> None:
        try:
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
        except OSError:
            pass

    def accept(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    listeners = [
        socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256) for port in ports
    ]
    threads = [threading.Thread(target=accept, args=(listener,), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    print("listening", flush=True)
    for thread in threads:
        thread.join()


def exchange(connection: socket.socket, size: int, timeout: float) -> None:
    """Sends random bytes and reads them back; raises if they are not the same in time."""
    sent = os.urandom(size)
    connection.settimeout(timeout)
    sender = threading.Thread(target=connection.sendall, args=(sent,), daemon=True)
    sender.start()
    received = bytearray()
    while len(received) < size:
        data = connection.recv(1 << 16)
        if not data:
            raise ConnectionError(f"closed after {len(received)} of {size} bytes")
        received += data
    sender.join(timeout)
    if received != sent:
        raise ValueError("other bytes came back than were sent")


def connect(address: str, port: int, count: int, size: int, timeout: float) -> None:
    complete, failures = 0, []
    for _ in range(count):
        try:
            with socket.create_connection((address, port), timeout=timeout) as connection:
                exchange(connection, size, timeout)
            complete += 1
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")
    print(json.dumps({"complete": complete, "failures": failures}))


def hold(address: str, port: int, timeout: float) -> None:
    with socket.create_connection((address, port), timeout=timeout) as connection:
        exchange(connection, 1, timeout)
        print(f"open {connection.getsockname()[1]}", flush=True)
        for line in sys.stdin:
            size, limit = line.split()
            try:
                exchange(connection, int(size), float(limit))
                print("ok", flush=True)
            except Exception as error:
                print(f"failed: {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    if kind == "serve":
        serve([int(port) for port in arguments])
    elif kind == "connect":
        connect(arguments[0], int(arguments[1]), int(arguments[2]), int(arguments[3]), float(arguments[4]))
    else:
        hold(arguments[0], int(arguments[1]), float(arguments[2]))
