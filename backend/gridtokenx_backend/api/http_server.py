"""The HTTP server of the API: uvicorn on a socket that was opened beforehand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn

from gridtokenx_backend.api.acceptor import Acceptor
from gridtokenx_backend.api.app import make_app
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.connection import BoundedConnection
from gridtokenx_backend.api.open_connections import OpenConnections, Place
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.open_files import RESERVED_FILES

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
"""On every answer, also on those that no handler gives."""

_BACKLOG = 512
_GRACE_S = 3
_FEWEST = 16

log = structlog.get_logger()


@contextmanager
def listen(settings: Settings) -> Iterator[socket.socket]:
    """Open the socket of the API, so that a port in use is found before anything is started.

    Raises CannotStart.
    """
    api = settings.backend.api
    try:
        family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
        listener = socket.create_server((api.host, api.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(f"api: {api.host}:{api.port}: {error.strerror}") from None
    with listener:
        yield listener


@asynccontextmanager
async def serve(
    backend: Backend, settings: Settings, listener: socket.socket, open_files: int
) -> AsyncIterator[str]:
    """Answer requests on `listener`, and yield the API's address.

    `open_files` is the process's limit; the connections stay below it. At the end, requests that
    are being answered get a few seconds. Raises CannotStart if the certificate cannot be used.
    """
    api = settings.backend.api
    config = uvicorn.Config(
        make_app(backend),
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=list(SECURITY_HEADERS.items()),
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=settings.path(api.cert) if api.cert else None,
        ssl_keyfile=settings.path(api.key) if api.key else None,
    )
    _load(config)
    connections = backend.connections
    connections.most = max(_FEWEST, min(connections.most, open_files - RESERVED_FILES))
    log.info("limits", open_files=open_files, connections=connections.most)
    server = _Server(config, connections, Acceptor(listener, connections, config.ssl))
    serving = asyncio.create_task(server.serve())
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if api.cert else 'http'}://{shown}:{port}"
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn with our own way to accept connections, and without its handlers of signals."""

    def __init__(
        self, config: uvicorn.Config, connections: OpenConnections, acceptor: Acceptor
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._acceptor = acceptor
        self._accepting: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        self.servers: list[asyncio.Server] = []
        self._accepting = asyncio.create_task(self._acceptor.run(self._connection))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        assert self._accepting is not None
        self._accepting.cancel()
        await super().shutdown(sockets)

    def _connection(self, place: Place) -> BoundedConnection:
        return BoundedConnection(
            self.config, self.server_state, {}, connections=self._connections, place=place
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _load(config: uvicorn.Config) -> None:
    """Read the API's certificate. Raises CannotStart."""
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise CannotStart(f"api: cert or key cannot be used: {reason}") from None
