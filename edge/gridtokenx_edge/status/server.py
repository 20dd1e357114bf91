"""A very small HTTP server: GET of three pages, for this machine only, with bounds on everything.

It is HTTP/1.0 as RFC 1945 has it, with the Host header of RFC 9112, 3.2. A page in a browser whose
name was made to resolve to this machine (DNS rebinding) names itself in that header, and is
refused.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.status.metrics import CONTENT_TYPE, metrics_text
from gridtokenx_edge.status.page import PAGE_POLICY, page_html
from gridtokenx_edge.status.state import GatewayState, ObservedGateway, gateway_state

_LOOPBACK = "127.0.0.1"
_MOST_CONNECTIONS = 8
_MOST_HEAD_BYTES = 4096
_TIMEOUT_S = 5.0
_BIND_AGAIN_S = 30.0
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_REQUEST = re.compile(r"(GET|HEAD) (/[!-~]*) HTTP/1\.[01]")

Response = tuple[str, str, bytes]
"""Status line, content type, body."""


def _page(state: GatewayState) -> Response:
    return "200 OK", "text/html; charset=utf-8", page_html(state).encode()


def _json(state: GatewayState) -> Response:
    return "200 OK", "application/json", msgspec.json.encode(state) + b"\n"


def _metrics(state: GatewayState) -> Response:
    return "200 OK", CONTENT_TYPE, metrics_text(state).encode()


_PAGES: dict[str, Callable[[GatewayState], Response]] = {
    "/": _page,
    "/status.json": _json,
    "/metrics": _metrics,
}


def _refusal(status: str, reason: str) -> Response:
    return status, "text/plain; charset=utf-8", f"{reason}\n".encode()


def answer(head: str, look: Callable[[], GatewayState]) -> Response:
    """Return the response to a request's head.

    This is pure but for `look`, which is called only when it is needed.
    """
    first, _, rest = head.partition("\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        return _refusal("405 Method Not Allowed", "expected GET")
    hosts = [
        value.strip()
        for name, _, value in (line.partition(":") for line in rest.split("\r\n"))
        if name.lower() == "host"
    ]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return _refusal("421 Misdirected Request", "expected this machine's own name: localhost")
    page = _PAGES.get(request[2].partition("?")[0])
    if page is None:
        return _refusal("404 Not Found", f"expected one of {', '.join(_PAGES)}")
    return page(look())


class StatusServer:
    """Serves until `stop`.

    If the port is taken, it is tried again. Polling does not depend on this server.
    """

    def __init__(self, port: int, gateway: ObservedGateway, log: Logger) -> None:
        self._port = port
        self._gateway = gateway
        self._faults = FaultLog(log)
        self._started_s = time.monotonic()
        self._open = 0
        self._waiting: dict[asyncio.StreamWriter, None] = {}
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        while not self._stopped.is_set():
            try:
                server = await asyncio.start_server(
                    self._talk, _LOOPBACK, self._port, limit=_MOST_HEAD_BYTES
                )
            except OSError as error:
                reason = f"port {self._port} cannot be used: {error.strerror}"
                self._faults.error("status_unavailable", reason=reason)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BIND_AGAIN_S):
                        await self._stopped.wait()
                continue
            self._faults.over("status_unavailable")
            async with server:
                await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._waiting) >= _MOST_CONNECTIONS:  # else eight that wait keep all others out
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.transport.abort()
        self._waiting[writer] = None
        self._open += 1
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._respond(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # a client that is slow, gone or no browser does not matter
            writer.transport.abort()  # what waits to be read would keep it open
        finally:
            self._waiting.pop(writer, None)
            self._open -= 1
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, kind, body = answer(head, self._look)
        writer.write(_head(status, kind, len(body)))
        if not head.startswith("HEAD"):
            writer.write(body)
        await writer.drain()

    def _look(self) -> GatewayState:
        return gateway_state(self._gateway, self._started_s)


def _head(status: str, kind: str, length: int) -> bytes:
    lines = (
        f"HTTP/1.0 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        "Cache-Control: no-store",
        f"Content-Security-Policy: {PAGE_POLICY}",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode()
