"""A socket for paho that reads and writes in large pieces on the event loop.

paho asks its socket for one byte, then another, then a packet, and sends each packet by itself: six
system calls a message. Here they are answered from one buffer and gathered into another, which
halves what a message costs (docs/benchmarks.md, "ingest").
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

_RECEIVE_BYTES = 1 << 18
CONNECT_TIMEOUT_S = 5.0


class BufferedSocket:
    """What paho uses of a socket. `on_error` is called once if sending fails."""

    def __init__(self, sock: socket.socket, on_error: Callable[[], None]) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_error = on_error
        self._received = b""
        self._position = 0
        self._outgoing = bytearray()
        self._flush_scheduled = False
        self._closed = False
        sock.setblocking(False)

    @property
    def buffered(self) -> bool:
        """Whether bytes were received that paho has not read."""
        return self._position < len(self._received)

    def recv(self, size: int) -> bytes:
        if not self.buffered:
            self._received = self._sock.recv(_RECEIVE_BYTES)
            self._position = 0
        start = self._position
        self._position = start + size
        return self._received[start : start + size]

    def send(self, data: bytes) -> int:
        self._outgoing += data
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        return len(data)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._closed:
            return
        try:
            sent = self._sock.send(self._outgoing)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError:
            self._on_error()
            return
        del self._outgoing[:sent]
        if self._outgoing:
            self._flush_scheduled = True
            self._loop.add_writer(self._sock, self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._sock)
        self._flush()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001
        """paho sets its socket non-blocking; this one always is."""

    def close(self) -> None:
        """Sends what still fits, such as a DISCONNECT, and closes."""
        if self._closed:
            return
        if self._outgoing:
            self._flush()
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()


def open_socket(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """A connected socket, TLS shaken hands. Blocks up to CONNECT_TIMEOUT_S; raises OSError."""
    sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise
