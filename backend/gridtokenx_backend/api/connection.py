"""HTTP connections that do not wait for ever: uvicorn sets no time for a request to arrive."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_TIMEOUT_S = 20.0
"""From a connection's or a request's first byte to the request's last."""


class TimedConnection(HttpToolsProtocol):
    """Hangs up on whoever holds a connection without finishing a request.

    Else a few hundred of them take all of the backend's file descriptors. What an answer takes is
    not limited.
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
        self.transport.abort()  # `close` of TLS would wait for the other side's goodbye

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
