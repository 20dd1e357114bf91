"""The HTTP server of the API: uvicorn on a socket that was opened beforehand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from gridtokenx_backend.api.app import make_app
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.connection import TimedConnection
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.errors import CannotStart

_BACKLOG = 512
_GRACE_S = 3


@contextmanager
def listen(settings: Settings) -> Iterator[socket.socket]:
    """Open the socket of the API, so that a port in use is found before anything is started.

    Raises CannotStart.
    """
    api = settings.backend.api
    try:
        listener = socket.create_server((api.host, api.port), backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(f"api: {api.host}:{api.port}: {error.strerror}") from None
    with listener:
        yield listener


@asynccontextmanager
async def serve(
    backend: Backend, settings: Settings, listener: socket.socket
) -> AsyncIterator[str]:
    """Answer requests on `listener`, and yield the API's address.

    At the end, requests that are being answered get a few seconds. Raises CannotStart if the
    certificate cannot be used.
    """
    api = settings.backend.api
    config = uvicorn.Config(
        make_app(backend),
        http=TimedConnection,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=settings.path(api.cert) if api.cert else None,
        ssl_keyfile=settings.path(api.key) if api.key else None,
    )
    _load(config)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    try:
        yield f"{'https' if api.cert else 'http'}://{host}:{port}"
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn without its handlers of signals: the caller has its own."""

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
