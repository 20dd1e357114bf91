"""Slow HTTP at a real socket: a connection is closed if its request does not end, else never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.backend.api.bounded_server import bounded_server
from tests.backend.parts import until

from gridtokenx_backend.api import connection
from gridtokenx_backend.api.open_connections import OpenConnections

HEAD = b"GET / HTTP/1.1\r\nHost: lane\r\n"
WHOLE = HEAD + b"\r\n"
POST = b"POST / HTTP/1.1\r\nHost: lane\r\n"
TIMEOUT_S = 0.2
LONG = 8 << 20


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer after the whole request, and more slowly than a request may arrive.

    At /early the answer does not wait for the body; at /long it is of many megabytes.
    """
    content = b"o" * LONG if scope["path"] == "/long" else b"ok"
    if scope["path"] == "/":
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(2 * TIMEOUT_S)
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(name="connections")
def _connections() -> OpenConnections:
    return OpenConnections(most=100, most_each=100)


@pytest.fixture(name="port")
async def _port(
    monkeypatch: pytest.MonkeyPatch, connections: OpenConnections
) -> AsyncIterator[int]:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", TIMEOUT_S)
    monkeypatch.setattr(connection, "WRITE_TIMEOUT_S", TIMEOUT_S)
    async with bounded_server(app, connections) as port:
        yield port


async def talk(port: int, *parts: bytes) -> bytes:
    """Return all that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answer = b""
        for part in parts:
            writer.write(part)
            if part.endswith(WHOLE):
                answer += await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        try:
            return answer + await asyncio.wait_for(reader.read(), 3)  # the keep-alive is 5 s
        except ConnectionResetError:
            return answer
    finally:
        writer.close()


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (HEAD,),
        (b"\r\n",),
        (POST + b"Content-Length: 9\r\n\r\nhalf",),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",),
    ],
    ids=["nothing", "half a head", "an empty line", "half a body", "half a chunk"],
)
async def test_who_does_not_finish_a_request_is_hung_up_on(
    port: int, connections: OpenConnections, parts: tuple[bytes, ...]
) -> None:
    assert await talk(port, *parts) == b""
    assert counted(connections) == {"late_request": 1}


def counted(connections: OpenConnections) -> dict[str, int]:
    """Return what the metrics tell of connections that were closed."""
    return {why: count for why, count in connections.closed_by_reason().items() if count}


@pytest.mark.parametrize("part", [HEAD, b"\r\n"], ids=["half a head", "an empty line"])
async def test_an_answer_may_take_longer_and_a_second_request_is_timed_as_well(
    port: int, part: bytes
) -> None:
    assert (await talk(port, WHOLE, part)).count(b"200 OK") == 1


async def test_who_does_not_read_an_answer_is_hung_up_on(
    port: int, connections: OpenConnections
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /long HTTP/1.1\r\nHost: lane\r\n\r\n")
    await until(lambda: connections.count == 1)
    await until(lambda: connections.count == 0)
    assert counted(connections) == {"unread_answer": 1}
    writer.close()


async def test_who_reads_slowly_gets_all_of_it(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /long HTTP/1.1\r\nHost: lane\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.endswith(b"o" * LONG)
    writer.close()


async def test_an_answer_before_the_end_of_the_body_is_read_and_the_last(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(POST.replace(b"/ ", b"/early ") + b"Content-Length: 900000000\r\n\r\n")
    writer.write(b"a" * 1_000_000)
    answer = await asyncio.wait_for(reader.read(), 3)
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"ok")
    writer.close()


async def test_requests_behind_one_another_are_answered_in_turn_and_too_many_are_not(
    port: int, connections: OpenConnections
) -> None:
    early = b"GET /early HTTP/1.1\r\nHost: lane\r\n\r\n"
    last = early.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert (await talk(port, early * 9 + last)).count(b"200 OK") == 10
    assert counted(connections) == {}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(early * 5000)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1 << 20), 3)
    assert counted(connections) == {"bad_request": 1}
    writer.close()
