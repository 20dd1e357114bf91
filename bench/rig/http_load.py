"""An HTTP load in a process of its own: POST /v1/orders on keep-alive connections, closed loop.

Usage: python -m bench.rig.http_load API BODIES CONNECTIONS — prints JSON with what it measured.
Requests are written and answers cut by hand, so that the load leaves the cores to the backend.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import uvloop


async def _client(host: str, port: int, bodies: Iterator[bytes], latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST /v1/orders HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: ".encode()
    for body in bodies:
        sent = time.perf_counter()
        writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await reader.readexactly(length)
        latencies.append(1000 * (time.perf_counter() - sent))
        assert answer.startswith(b"HTTP/1.1 201"), content
    writer.close()


async def main(api: str, path: str, connections: int) -> dict[str, object]:
    """Post every line of the file once."""
    where = urlsplit(api)
    lines = Path(path).read_bytes().splitlines()  # noqa: ASYNC240
    bodies = iter(lines)
    latencies: list[float] = []
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_client(where.hostname or "", where.port or 0, bodies, latencies))
    return {"elapsed_s": time.perf_counter() - started, "latencies_ms": latencies}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
