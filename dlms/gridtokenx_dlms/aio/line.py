"""Where bytes come and go: a serial port or a TCP connection, as a client and a server see it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
import time
from collections.abc import Callable
from typing import Protocol

from gridtokenx_dlms.errors import LinkError

_CHUNK = 4096
_BAUD_RATES = {
    300: termios.B300,
    600: termios.B600,
    1200: termios.B1200,
    2400: termios.B2400,
    4800: termios.B4800,
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}
_CONNECT_TIMEOUT_S = 5.0
_CHARACTER_BITS = 10


def _reason(error: OSError) -> str:
    """Return the system's own words; asyncio says "Connect call failed" for whatever it was."""
    if error.errno is not None and error.errno > 0:  # a name that is unknown has numbers below
        return os.strerror(error.errno)
    return error.strerror or str(error) or "no answer"


class ByteLine(Protocol):
    """Bytes in both directions; a baud rate where the line has one."""

    async def read(self) -> bytes:
        """Return the bytes that came next, at least one.

        Raises LinkError at the end of the line.
        """

    async def write(self, data: bytes) -> None:
        """Write all bytes, and return when they were taken. Raises LinkError."""

    async def drain(self, count: int) -> None: ...

    def set_baud(self, baud: int) -> None: ...

    def close(self) -> None: ...


class SerialLine:
    """A serial port in raw 8N1: parity is put on in software where it is needed.

    That works on pseudo-terminals and adapters alike. Only one program may have the port.
    """

    def __init__(self, port: str, baud: int = 9600) -> None:
        """Open the port. Raises LinkError, ValueError for a baud rate that is none."""
        _check_baud(baud)
        try:
            self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise LinkError(f"{port}: {error.strerror}") from None
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._baud = baud
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._make_raw(baud)
        except BlockingIOError:
            os.close(self._fd)
            raise LinkError(f"{port}: another program has the port") from None
        except (termios.error, OSError) as error:
            os.close(self._fd)
            raise LinkError(f"{port}: expected a serial port: {error}") from None

    def _make_raw(self, baud: int) -> None:
        attributes = termios.tcgetattr(self._fd)
        attributes[0] = attributes[1] = attributes[3] = 0
        attributes[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        attributes[4] = attributes[5] = _BAUD_RATES[baud]
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        termios.tcflush(self._fd, termios.TCIFLUSH)

    def set_baud(self, baud: int) -> None:
        """Change the rate. What was written must have been sent. Raises LinkError."""
        _check_baud(baud)
        try:
            attributes = termios.tcgetattr(self._fd)
            attributes[4] = attributes[5] = _BAUD_RATES[baud]
            termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        except (termios.error, OSError) as error:
            raise LinkError(f"{self._port}: {error}") from None
        self._baud = baud

    async def read(self) -> bytes:
        """Return the bytes that came next, at least one.

        Raises LinkError when the adapter is pulled out.
        """
        while True:
            try:
                if data := os.read(self._fd, _CHUNK):
                    return data
                raise LinkError(f"{self._port}: the line went down")
            except BlockingIOError:
                await self._until(self._loop.add_reader, self._loop.remove_reader)
            except OSError as error:
                raise LinkError(f"{self._port}: {error.strerror}") from None

    async def write(self, data: bytes) -> None:
        """Write all bytes, and return when the port has taken them. Raises LinkError."""
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._until(self._loop.add_writer, self._loop.remove_writer)
            except OSError as error:
                raise LinkError(f"{self._port}: {error.strerror}") from None

    async def drain(self, count: int) -> None:
        """Wait until `count` written bytes have left the port, before its rate is changed."""
        await asyncio.sleep(count * _CHARACTER_BITS / self._baud)

    async def _until(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()

        def now() -> None:
            if not ready.done():
                ready.set_result(None)

        add(self._fd, now)
        try:
            await ready
        finally:
            remove(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1


def _check_baud(baud: int) -> None:
    if baud not in _BAUD_RATES:
        raise ValueError(f"expected a standard baud rate such as 9600, got {baud}")


class StreamLine:
    """A TCP connection: the wrapper's, or HDLC frames through a serial device server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard_s = time.monotonic()
        """When the other side sent something, or connected; by the monotonic clock."""

    @classmethod
    async def connect(cls, host: str, port: int) -> StreamLine:
        """Open a connection. Raises LinkError."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                return cls(*await asyncio.open_connection(host, port))
        except OSError as error:
            raise LinkError(f"{host}:{port}: {_reason(error)}") from None
        except UnicodeError:
            raise LinkError(f"{host}:{port}: this is no host name") from None

    def set_baud(self, baud: int) -> None:
        """Do nothing: a connection has no baud rate, and the device server at its end keeps its
        own.
        """

    async def read(self) -> bytes:
        """Return the bytes that came next, at least one.

        Raises LinkError at the end of the connection.
        """
        try:
            data = await self._reader.read(_CHUNK)
        except OSError as error:
            raise LinkError(f"the connection ended: {error.strerror or error}") from None
        if not data:
            raise LinkError("the connection ended")
        self.heard_s = time.monotonic()
        return data

    async def write(self, data: bytes) -> None:
        """Write all bytes. Raises LinkError."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise LinkError(f"the connection ended: {error.strerror or error}") from None

    async def drain(self, count: int) -> None:
        """Do nothing: the bytes of a connection are on their way when they are written."""

    def close(self) -> None:
        self._writer.close()
