"""A socket between paho and the broker, which handles publications without paho.

paho reads a packet in pieces, with a system call for each, and needs 35 µs for a message. Here up
to a quarter of a megabyte is read at once; publications are cut out of it, and paho gets every
other packet, one at a time. What is sent is collected and written once in a turn of the event
loop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from gridtokenx_backend.ingest.mqtt_packets import PUBLISH, Publication, decode_publish, packet_size

_RECEIVE_BYTES = 1 << 18
# Over twice the largest frame. Of a larger packet only this much is kept; the rest is skipped.
_LARGEST_PACKET = 1 << 17
CONNECT_TIMEOUT_S = 5.0


class BufferedSocket:
    """The part of a socket that paho uses, and `receive`. `on_error` is called if sending fails."""

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
        """Read once, append publications, and call `others` for each packet of another kind.

        `others` must read that packet with `recv`. Return False if there was nothing to read.
        Raises ConnectionError when the peer has closed, OSError when the connection broke,
        ValueError for bytes that are not MQTT.
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
                self._skip = end - len(buffer)  # its beginning is enough to refuse it as too large
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
        """Return bytes of the one packet that paho is to read now."""
        if not self._for_paho:
            raise BlockingIOError
        piece, self._for_paho = self._for_paho[:size], self._for_paho[size:]
        return piece

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`; it is written at the end of this turn of the event loop."""
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
        """Do nothing: paho wants its socket non-blocking, and this one always is."""

    def close(self) -> None:
        """Send what can be sent at once, such as a DISCONNECT, and close."""
        if self._closed:
            return
        if self._outgoing:
            self._flush()
        self._closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()


def open_socket(host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Return a connected socket, after the TLS handshake if `tls` is not None.

    Blocks up to CONNECT_TIMEOUT_S. Raises OSError.
    """
    sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise
