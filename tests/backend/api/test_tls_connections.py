"""Connections over TLS: they have their places before the handshake."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.backend.api.bounded_server import bounded_server

from gridtokenx_backend.api.open_connections import OpenConnections
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.enrolment.preparation import initialise


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Settings:
    (tmp_path / "backend.toml").write_text("[broker]\ninsecure = true\n")
    settings = load_settings(tmp_path / "backend.toml")
    initialise(settings, "lane", [])
    return settings


async def test_who_begins_no_handshake_keeps_nobody_out(settings: Settings) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(settings.tls / "api.pem", settings.tls / "api.key")
    trusting = ssl.create_default_context(cafile=str(settings.ca / "ca.pem"))
    connections = OpenConnections(most=16, most_each=4)
    async with bounded_server(app, connections, tls) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        writer.write(b"GET / HTTP/1.1\r\nHost: lane\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"ok"), 5)).startswith(b"HTTP/1.1 200 ")
        assert connections.count <= 4
        writer.write(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200)
        assert b"HTTP/1.1 431 " in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        for _, each in silent:
            each.close()
    assert connections.closed_for_others >= 17
