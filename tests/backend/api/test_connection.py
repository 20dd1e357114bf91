"""Slow HTTP at a real socket: a connection is closed if its request does not end, else never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from tests.backend.parts import until

from gridtokenx_backend.api import connection
from gridtokenx_backend.api.connection import TimedConnection

HEAD = b"GET / HTTP/1.1\r\nHost: lane\r\n"
WHOLE = HEAD + b"\r\n"
TIMEOUT_S = 0.2


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Answer after the whole request, and more slowly than a request may arrive."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(2 * TIMEOUT_S)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(name="port")
async def _port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", TIMEOUT_S)
    config = uvicorn.Config(
        app, port=0, http=TimedConnection, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def talk(port: int, *parts: bytes) -> bytes:
    """Return all that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answer = b""
        for part in parts:
            writer.write(part)
            if part.endswith(WHOLE):
                answer += await asyncio.wait_for(reader.readuntil(b"ok"), 5)
        return answer + await asyncio.wait_for(reader.read(), 3)  # uvicorn's keep-alive is 5 s
    finally:
        writer.close()


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (HEAD,),
        (b"POST / HTTP/1.1\r\nHost: lane\r\nContent-Length: 9\r\n\r\nhalf",),
    ],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_does_not_finish_a_request_is_hung_up_on(
    port: int, parts: tuple[bytes, ...]
) -> None:
    assert await talk(port, *parts) == b""


async def test_an_answer_may_take_longer_and_a_second_request_is_timed_as_well(port: int) -> None:
    assert (await talk(port, WHOLE, HEAD)).count(b"200 OK") == 1
