"""A hostile HTTP client in a process of its own, for a few seconds.

Usage: python -m bench.rig.http_attack API KIND SECONDS — prints JSON with what it could send. It
connects again whenever the server hangs up, as an attacker would.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from urllib.parse import urlsplit

GET = b"GET /v1/health HTTP/1.1\r\nHost: lane\r\n"
_PART_BYTES = 256 << 10
_GIB_24 = 24 << 30
_TIMEOUT_S = 1.0


def tiny_headers() -> Iterator[bytes]:
    """Ten million headers of one letter, in one request."""
    yield GET
    yield from repeat(b"a:\r\n" * (_PART_BYTES // 4), 10_000_000 * 4 // _PART_BYTES)


def endless_header() -> Iterator[bytes]:
    yield GET + b"a: "
    yield from repeat(b"a" * _PART_BYTES)


def endless_target() -> Iterator[bytes]:
    yield b"GET /"
    yield from repeat(b"a" * _PART_BYTES)


def endless_body() -> Iterator[bytes]:
    yield GET + f"Content-Length: {_GIB_24}\r\n\r\n".encode()
    yield from repeat(bytes(_PART_BYTES))


def endless_trailers() -> Iterator[bytes]:
    yield GET.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    yield from repeat(b"a:\r\n" * (_PART_BYTES // 4))


def endless_chunks() -> Iterator[bytes]:
    """Chunks of a byte each, with an extension."""
    yield GET.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from repeat(b"1;a\r\nx\r\n" * (_PART_BYTES // 8))


def pipeline() -> Iterator[bytes]:
    """Requests one behind the other, without waiting for an answer."""
    yield from repeat((GET + b"\r\n") * (_PART_BYTES // len(GET)))


def empty_lines() -> Iterator[bytes]:
    yield from repeat(b"\r\n" * (_PART_BYTES // 2))


STREAMS: dict[str, Callable[[], Iterator[bytes]]] = {
    "tiny_headers": tiny_headers,
    "endless_header": endless_header,
    "endless_target": endless_target,
    "endless_body": endless_body,
    "endless_trailers": endless_trailers,
    "endless_chunks": endless_chunks,
    "pipeline": pipeline,
    "empty_lines": empty_lines,
}
IDLE = {"idle": b"", "slow_heads": GET}
"""What is sent on each of many connections, before nothing more comes."""
IDLE_CONNECTIONS = 1_500


def stream(where: tuple[str, int], parts: Callable[[], Iterator[bytes]], until_s: float) -> int:
    """Send until the time is over, and return the number of bytes."""
    sent = 0
    while time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(where, timeout=_TIMEOUT_S) as connection:
            for part in parts():
                connection.sendall(part)
                sent += len(part)
                if time.monotonic() > until_s:
                    return sent
    return sent


def hold(where: tuple[str, int], head: bytes, until_s: float) -> int:
    """Hold many connections; return how many could be opened."""
    held: list[socket.socket] = []
    opened = 0
    while time.monotonic() < until_s:
        with suppress(OSError):
            connection = socket.create_connection(where, timeout=_TIMEOUT_S)
            connection.sendall(head)
            opened += 1
            held.append(connection)
        if len(held) > IDLE_CONNECTIONS:
            held.pop(0).close()
    return opened


def main(api: str, kind: str, seconds: float) -> dict[str, int]:
    address = urlsplit(api)
    where = (address.hostname or "", address.port or 0)
    until_s = time.monotonic() + seconds
    if kind in IDLE:
        return {"opened": hold(where, IDLE[kind], until_s)}
    return {"sent_bytes": stream(where, STREAMS[kind], until_s)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
