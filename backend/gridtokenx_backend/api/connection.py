"""HTTP connections with a time limit for requests to arrive: uvicorn itself sets none."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_TIMEOUT_S = 20.0
"""From the first byte of a connection, or of a request, to the last byte of the request."""


class TimedConnection(HttpToolsProtocol):
    """A connection that is closed when a request takes too long to arrive.

    Without this limit, a few hundred idle connections take all of the backend's file descriptors.
    The time that an answer takes is not limited.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._begin()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._end()
        super().on_message_complete()

    def _begin(self) -> None:
        self._end()
        self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._abort)

    def _abort(self) -> None:
        self.transport.abort()  # TLS's `close` would wait for the other side to close as well

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
