"""The API's HTTP server with any application, on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from tests.backend.parts import until

from gridtokenx_backend.api.acceptor import Acceptor
from gridtokenx_backend.api.http_server import _Server
from gridtokenx_backend.api.open_connections import OpenConnections


@asynccontextmanager
async def bounded_server(
    app: Callable[..., Any],
    connections: OpenConnections | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve, and yield the port."""
    connections = connections or OpenConnections(most=100, most_each=100)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config, connections, Acceptor(listener, connections, tls))
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving
    assert connections.count == 0
