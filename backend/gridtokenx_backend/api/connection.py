"""HTTP connections with limits on what a request may hold and how long it may take to arrive.

uvicorn and its parser have none: they keep every header until the head is complete.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gridtokenx_backend.api.early_answers import MAX_FIELDS, MAX_HEAD_BYTES, early_answer
from gridtokenx_backend.api.open_connections import OpenConnections, Place

REQUEST_TIMEOUT_S = 20.0
"""From the first byte of a connection, or of a request, to the last byte of the request."""
WRITE_TIMEOUT_S = 30.0
"""How long a client may leave an answer unread that is waiting to be sent."""

_MAX_AHEAD = 16
"""Requests that a client may send before the first is answered."""
_READ_BYTES = 32_768
_LINGER_S = 2.0
_LINGER_PAUSE_S = 0.01
_CYCLE = "gridtokenx.cycle"
_TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


def _nothing() -> None:
    """Close what is closed already."""


class _Refused(Exception):
    """Stops the parser in the middle of what it was given."""


class BoundedConnection(HttpToolsProtocol, asyncio.BufferedProtocol):
    """A connection that refuses a request as soon as it is too large, and is closed if one takes
    too long to arrive or an answer too long to be read.

    Bytes are counted before they are parsed, and few are taken at a time, so that the other
    connections have their turn. The body's length is limited by each route; if an
    answer is ready before the body has been read to its end, the connection is closed after it.
    The time that it takes to work an answer out is not limited.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        connections: OpenConnections,
        place: Place,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._app = self.app
        self.app = self._answer
        self._connections = connections
        self._place = place
        self._due_s = math.inf
        self._watch: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._buffer = bytearray(_READ_BYTES)
        self._head_bytes = 0
        self._body_bytes = 0
        self._fields = 0
        self._has_ended = False
        self._refusal = HTTPStatus.BAD_REQUEST
        self._lingers = False

    # --- the connection -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._place.close = self._abort
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        self._was_read()
        self._unset_keepalive_if_required()
        self._connections.leave(self._place)
        super().connection_lost(exc)
        self._place.close, self.app = _nothing, self._app  # no circle for the rare collector

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        self._was_read()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self._wait_for_reader()
        else:
            self._abort()

    # --- what arrives ---------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes == _READ_BYTES or self._lingers:  # else uvloop would read on at once
            self.transport.pause_reading()
            self.loop.call_later(_LINGER_PAUSE_S if self._lingers else 0, self._read_on)
        if not self._lingers:
            self.data_received(bytes(memoryview(self._buffer)[:nbytes]))

    def _read_on(self) -> None:
        if not (self.flow.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._due_s == math.inf and not self._place.is_busy:
            self._begin()  # even an empty line begins something that must end
        while data and not (self._lingers or self.transport.is_closing()):
            room = self._room()
            self._feed(data[:room])
            data = data[room:]

    def _room(self) -> int:
        """Return how many bytes may be parsed before the limits have to be looked at again."""
        if self._body_bytes:
            return _READ_BYTES
        return MAX_HEAD_BYTES + 1 - self._head_bytes

    def _feed(self, piece: bytes) -> None:
        body_bytes = self._body_bytes
        self._has_ended = False
        try:
            self._parse(piece)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._has_ended:
            self._head_bytes = self._body_bytes = 0
            return
        self._head_bytes += len(piece) - (self._body_bytes - body_bytes)
        # around a chunk there may be as many bytes as in it
        if self._head_bytes > MAX_HEAD_BYTES + self._body_bytes:
            self._refuse(self._what_is_too_large())

    def _parse(self, piece: bytes) -> None:
        """Give the parser a piece. It stops at a wish for another protocol, which is not granted:
        nobody has to (RFC 9110, 7.8).
        """
        while piece:
            try:
                self.parser.feed_data(piece)
                piece = b""
            except httptools.HttpParserUpgrade as wish:
                piece = piece[wish.args[0] :]

    def _what_is_too_large(self) -> HTTPStatus:
        if self._body_bytes:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if len(getattr(self, "url", b"")) > MAX_HEAD_BYTES // 2:
            return HTTPStatus.REQUEST_URI_TOO_LONG
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    # --- what the parser finds ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _MAX_AHEAD:
            raise _Refused
        self._begin()
        self._fields = self._body_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1  # those behind a chunked body, its trailers, are counted with them
        if self._fields > MAX_FIELDS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.scope["extensions"] = {_CYCLE: self.cycle}  # type: ignore[dict-item]

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._end()
        self._has_ended = True
        self._place.is_busy = True
        super().on_message_complete()

    # --- what is answered -----------------------------------------------------------------------

    def _answer(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Let the application answer; the connection ends with an answer that comes too early.

        There is no coroutine of its own around the application's, as each request would pay for it.
        """
        cycle = scope["extensions"][_CYCLE]
        is_last = False

        def send_part(message: Any) -> Awaitable[None]:
            nonlocal is_last
            if message["type"] == "http.response.start":
                is_last = cycle.more_body or message["status"] in _TOO_LARGE
                if is_last:
                    headers = [*message.get("headers", ()), (b"connection", b"close")]
                    message = message | {"headers": headers}
            elif is_last and not message.get("more_body", False):
                cycle.keep_alive = True  # else uvicorn closes at once, and the answer is lost
                self._lingers = True
            sent: Awaitable[None] = send(message)
            return sent

        answered: Awaitable[None] = self._app(scope, receive, send_part)
        return answered

    def on_response_complete(self) -> None:
        if self._lingers:
            self.pipeline.clear()
        super().on_response_complete()
        if not self.pipeline:
            self._connections.answered(self._place)
        if self.transport.is_closing():
            self._wait_for_reader()
        elif self._lingers:
            self._linger()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer by itself, if no other answer is due before, and end the connection."""
        self._connections.bad_requests += 1
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            is_another_due = not cycle.more_body or cycle.response_started or self.pipeline
            cycle.disconnected = True
            cycle.message_event.set()
            if is_another_due:
                self._abort()
                return
        self.transport.write(early_answer(status, self.server_state.default_headers))
        self._linger()

    # --- how it ends ----------------------------------------------------------------------------

    def _linger(self) -> None:
        """Close when the client has, or after a while in which what comes is thrown away.

        To close while bytes arrive would reset the connection, and the answer might be lost.
        """
        self._lingers = True
        self._unset_keepalive_if_required()
        self._stop_watching()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        is_sent = not self.transport.get_write_buffer_size()
        wait_s = _LINGER_S if is_sent else WRITE_TIMEOUT_S
        self._watch = self.loop.call_later(wait_s, self._abort)

    def _begin(self) -> None:
        self._due_s = self.loop.time() + REQUEST_TIMEOUT_S
        if self._watch is None:
            self._watch = self.loop.call_later(REQUEST_TIMEOUT_S, self._look)

    def _end(self) -> None:
        self._due_s = math.inf

    def _look(self) -> None:
        """Hang up if a request is overdue. A timer for each request would cost more than this."""
        self._watch = None
        left_s = self._due_s - self.loop.time()
        if left_s <= 0:
            self._connections.late_requests += 1
            self._abort()
        elif left_s < math.inf:
            self._watch = self.loop.call_later(left_s, self._look)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _wait_for_reader(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(WRITE_TIMEOUT_S, self._hang_up_unread)

    def _hang_up_unread(self) -> None:
        self._connections.unread_answers += 1
        self._abort()

    def _was_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _abort(self) -> None:
        self.transport.abort()  # TLS's `close` would wait for the other side to close as well
