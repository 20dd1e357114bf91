"""The bytes of a serial port or of a TCP connection, and how both are opened.

Both are file descriptors to the event loop, which reads and writes them without waiting. What keeps
them from being opened is said in one line.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import serial

from gridtokenx_edge.config.edge_config import SerialBus, TcpBus
from gridtokenx_edge.polling.faults import LineDown, LineUnfit

_READ_BYTES = 4096
# At most so much is read and thrown away before a request, if somebody floods the line.
_MOST_STALE_BYTES = 1 << 16


class Port(Protocol):
    """A serial port or a socket."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class ByteStream:
    """An open port. It calls `received` with bytes as they come, and `lost` once when the port has
    gone.
    """

    def __init__(
        self, port: Port, received: Callable[[bytes], None], lost: Callable[[], None]
    ) -> None:
        self._port = port
        self._fd = port.fileno()
        self._received = received
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)

    def write(self, data: bytes) -> None:
        """Write bytes. Those that do not fit at once are lost, as on a line that is stuck."""
        try:
            os.write(self._fd, data)
        except BlockingIOError:
            return
        except OSError:
            self._end()

    def discard(self) -> bool:
        """Throw away what has arrived and was not read yet, because it answers nothing any more.

        Return whether there was anything.
        """
        found = 0
        with suppress(OSError):  # nothing more there, or gone: then the loop's own read tells
            while found < _MOST_STALE_BYTES and (data := os.read(self._fd, _READ_BYTES)):
                found += len(data)
        return found > 0

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._port.close()
            self._fd = -1

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._received(data)
        else:
            self._end()

    def _end(self) -> None:
        self.close()
        self._lost()


def open_serial(bus: SerialBus) -> Port:
    """Return the serial port, opened for this process alone. Raises LineDown."""
    try:
        port: Port = serial.Serial(
            bus.port,
            baudrate=bus.baud,
            parity=bus.parity,
            stopbits=bus.stop_bits,
            timeout=0,
            write_timeout=0,
            exclusive=True,
        )
        _tell_nothing_from_gone(port.fileno())
    except termios.error:
        raise LineUnfit(
            f"{bus.port} does not take {bus.baud} baud, parity {bus.parity},"
            f" {bus.stop_bits} stop bits (a pseudo-terminal takes parity N only)"
        ) from None
    except (serial.SerialException, OSError, ValueError):
        raise LineDown(_why_no_port(bus.port)) from None
    return port


def _tell_nothing_from_gone(fd: int) -> None:
    """Make a read without data differ from a read at a port that has gone.

    With pyserial's VMIN of 0 both return nothing. With VMIN 1 a read without data fails with "would
    block", and nothing means that the port has gone: termios(3).
    """
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


async def open_tcp(bus: TcpBus, timeout_s: float) -> socket.socket:
    """Return a connection to the bus's server. Raises LineDown."""
    loop = asyncio.get_running_loop()
    at = f"{bus.host}:{bus.port}"
    reason = "no address"
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(bus.host, bus.port, type=socket.SOCK_STREAM)
            for family, kind, protocol, _, address in found:
                connection = socket.socket(family, kind, protocol)
                try:
                    connection.setblocking(False)
                    await loop.sock_connect(connection, address)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                except BaseException as error:
                    connection.close()
                    if not isinstance(error, OSError):
                        raise
                    reason = os.strerror(error.errno) if error.errno else str(error)
                else:
                    return connection
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s"
    except OSError as error:  # the name is unknown
        reason = error.strerror or str(error)
    except UnicodeError:
        reason = "this is no host name"
    raise LineDown(f"expected a Modbus server at {at}, found none ({reason.lower()})")


def _why_no_port(port: str) -> str:
    """Return what keeps a serial port from being opened, as an installer would say it."""
    if not Path(port).exists():
        return f"expected a serial port at {port}, found none (is the adapter plugged in?)"
    try:
        fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except PermissionError:
        return f"expected to be allowed to open {port} (add the user to the group dialout)"
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"expected {port} to be free, but another program uses it"
        return f"{port} cannot be opened: {error.strerror}"
    is_terminal = os.isatty(fd)
    os.close(fd)
    if not is_terminal:
        return f"expected a serial port at {port}, found a file"
    return f"expected {port} to be free, but another program uses it"
