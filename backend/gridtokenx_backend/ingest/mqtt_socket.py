"""A socket under paho that takes the hot path's packets out before paho sees them.

paho reads a packet in pieces, a system call each, and spends 35 µs on a message. Here bytes come
in by the quarter megabyte; publications are cut out of them, and every other packet is left for
paho to read, one at a time. What is sent is gathered and written once a turn of the loop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from gridtokenx_backend.ingest.mqtt_packets import PUBLISH, Publication, decode_publish, packet_size

_RECEIVE_BYTES = 1 << 18
# Over twice the largest frame. Of a larger packet only so much is kept, and the rest passed over.
_LARGEST_PACKET = 1 << 17
CONNECT_TIMEOUT_S = 5.0


class BufferedSocket:
    """What paho uses of a socket, and `receive`. `on_error` is called when sending fails."""

    def __init__(self, sock: socket.socket, on_error: Callable[[], None]) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_error = on_error
        self._received = b""
        self._for_paho = b""
        self._skip = 0
        self._outgoing = bytearray()
        self._flush_scheduled = False
        self._closed = False
        sock.setblocking(False)

    def receive(self, publications: list[Publication], others: Callable[[], object]) -> bool:
        """Reads once; appends the publications, and calls `others` for each other packet.

        False when there was nothing to read. Raises ConnectionError when the peer has closed,
        OSError when the connection broke, ValueError for bytes that are not MQTT.
        """
        try:
            data = self._sock.recv(_RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not data:
            raise ConnectionError("closed by the broker")
        if self._skip:
            data, self._skip = data[self._skip :], max(0, self._skip - len(data))
        buffer = self._received + data if self._received else data
        start = 0
        while start < len(buffer):
            body, end = packet_size(buffer, start)
            if end > len(buffer) > start + _LARGEST_PACKET:
                self._skip = end - len(buffer)  # its start is enough to see that it is too large
                end = len(buffer)
            if not end or end > len(buffer):
                break
            if buffer[start] & 0xF0 == PUBLISH:
                publications.append(decode_publish(buffer[start], buffer[body:end]))
            else:
                self._for_paho = buffer[start:end]
                others()
            start = end
        self._received = buffer[start:]
        return True

    def recv(self, size: int) -> bytes:
        """For paho: bytes of the one packet that it is to read now."""
        if not self._for_paho:
            raise BlockingIOError
        piece, self._for_paho = self._for_paho[:size], self._for_paho[size:]
        return piece

    def send(self, data: bytes | bytearray) -> int:
        """Takes everything; it is written at the end of this turn of the loop."""
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
