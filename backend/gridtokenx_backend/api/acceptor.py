"""Accepts the API's connections: each gets a place first, then TLS, then the protocol."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from gridtokenx_backend.api.client_address import holder_of
from gridtokenx_backend.api.open_connections import OpenConnections, Place
from gridtokenx_backend.repeat_log import RepeatLog

_HANDSHAKE_TIMEOUT_S = 10.0
_PAUSE_S = 0.1


class Acceptor:
    """Accepts connections on a socket until it is cancelled.

    asyncio's own server would take every connection, and would tell of it only after the TLS
    handshake.
    """

    def __init__(
        self, listener: socket.socket, connections: OpenConnections, tls: ssl.SSLContext | None
    ) -> None:
        self._listener = listener
        self._connections = connections
        self._tls = tls
        self._log = RepeatLog()
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, protocol: Callable[[Place], asyncio.Protocol]) -> None:
        """Accept; `protocol` makes what speaks with the client that has a place."""
        self._listener.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    accepted, peer = await loop.sock_accept(self._listener)
                except OSError as error:  # the client has gone, or there is no file left
                    self._log.warn_about("connection not accepted", "api", reason=error.strerror)
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self._open(accepted, str(peer[0]), protocol)
                await asyncio.sleep(0)  # those that are connected have their turn after each
        finally:
            for task in self._opening:
                task.cancel()

    def _open(
        self, accepted: socket.socket, peer: str, protocol: Callable[[Place], asyncio.Protocol]
    ) -> None:
        holder = peer if self._connections.is_exempt(peer) else holder_of(peer)
        closed = self._connections.closed_for_others
        place = self._connections.take(holder)
        if place is None or self._connections.closed_for_others > closed:
            self._log.warn_about("too many connections", holder, open=self._connections.count)
        if place is None:
            accepted.close()
            return
        accepted.setblocking(False)
        task = asyncio.create_task(self._speak(accepted, place, protocol))
        place.close = lambda: _cancel(task)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _speak(
        self,
        accepted: socket.socket,
        place: Place,
        protocol: Callable[[Place], asyncio.Protocol],
    ) -> None:
        """Do the TLS handshake, if there is TLS, and hand the connection to its protocol."""
        timeout_s = _HANDSHAKE_TIMEOUT_S if self._tls is not None else None
        is_open = False
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol(place), accepted, ssl=self._tls, ssl_handshake_timeout=timeout_s
            )
            is_open = True
        except OSError as error:  # ssl.SSLError is one
            self._log.warn_about("no connection", place.holder, reason=str(error))
        finally:
            if not is_open:
                self._connections.leave(place)
                accepted.close()


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
