"""The program behind crowd.py: `serve PORT`, and `connect ADDRESS PORT COUNT SIZE TIMEOUT`."""

import asyncio
import collections
import json
import os
import resource
import socket
import sys
import time
from typing import List

_BACKLOG = 8192


def _allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))


async def serve(port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    server = await asyncio.start_server(answer, sock=listener, backlog=_BACKLOG)
    print("listening", flush=True)
    await server.serve_forever()


async def connect(address: str, port: int, count: int, size: int, timeout: float) -> None:
    begin = time.monotonic()
    opened: List[float] = []

    async def exchange() -> None:
        reader, writer = await asyncio.open_connection(address, port)
        opened.append(time.monotonic() - begin)
        try:
            sent = os.urandom(size)
            writer.write(sent)
            if await reader.readexactly(size) != sent:
                raise ValueError("other bytes came back than were sent")
        finally:
            writer.close()

    async def one() -> str:
        try:
            await asyncio.wait_for(exchange(), timeout)
            return ""
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    print("begun", flush=True)
    results = await asyncio.gather(*(one() for _ in range(count)))
    failures = collections.Counter(filter(None, results))
    print(json.dumps({
        "complete": results.count(""), "failures": failures, "opened_within": max(opened, default=0.0),
        "seconds": time.monotonic() - begin,
    }), flush=True)  # fmt: skip


if __name__ == "__main__":
    _allow_many_sockets()
    kind, *arguments = sys.argv[1:]
    if kind == "serve":
        asyncio.run(serve(int(arguments[0])))
    else:
        address, port, count, size, timeout = arguments
        asyncio.run(connect(address, int(port), int(count), int(size), float(timeout)))
