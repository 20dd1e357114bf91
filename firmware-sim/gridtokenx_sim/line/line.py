"""A serial line in software: two pseudo-terminals and the wire between them.

The meters' server opens one end as a serial port, the gateway opens the other through a
symbolic link. The wire carries bytes both ways, can damage replies, can take as long as real
bits do, and can be pulled out: then the gateway's port vanishes as a USB adapter does.

A paced wire is half-duplex: bytes arrive when their last bit would have (see pace).

A wrong baud rate is noticed: then the meters understand nothing and stay silent. Parity cannot
be: the kernel clears it on a pseudo-terminal, so a gateway must open the link with parity N (the
C library even answers "invalid argument" when parity is asked for a second time).
"""

from __future__ import annotations

import asyncio
import os
import termios
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gridtokenx_sim.line.alarm import Alarm
from gridtokenx_sim.line.timing import WireTiming

_READ_BYTES = 4096


_BAUD = {
    value: int(name[1:])
    for name, value in vars(termios).items()
    if name[:1] == "B" and name[1:].isdecimal()
}


class LineError(Exception):
    """An error for a line that cannot be made; its text is one line that says why."""


class _Terminal:
    """A pseudo-terminal whose far end, a serial port for others, stays open.

    Without our own descriptor of the far end, the kernel would report a hang-up for as long as
    nobody else has it open.
    """

    def __init__(self) -> None:
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)

    def listen(self, received: Callable[[bytes], None]) -> None:
        asyncio.get_running_loop().add_reader(self._near, self._read, received)

    def _read(self, received: Callable[[bytes], None]) -> None:
        try:
            data = os.read(self._near, _READ_BYTES)
        except BlockingIOError:
            return
        received(data)

    def write(self, data: bytes) -> None:
        """Write bytes. Those that do not fit are lost, as in a receiver that nobody empties."""
        if self.closed:
            return
        try:
            os.write(self._near, data)
        except BlockingIOError:
            return

    def speed(self) -> int:
        """Return the baud rate that the port's user has set, as a termios constant."""
        return int(termios.tcgetattr(self._far)[4])

    @property
    def closed(self) -> bool:
        return self._near < 0

    def close(self) -> None:
        if self.closed:
            return
        asyncio.get_running_loop().remove_reader(self._near)
        os.close(self._near)
        os.close(self._far)
        self._near = self._far = -1


class Line:
    """A serial line. `link` leads to the gateway's end; `meters_port` is the meters' end.

    `damage` sees each reply on its way and returns what arrives. `complain` hears about a
    gateway that talks at another baud rate than the meters. `follows_meters`: they change theirs
    as they talk, as in mode E.
    """

    def __init__(
        self,
        link: Path,
        baud: int,
        *,
        paced: bool = False,
        damage: Callable[[bytes], bytes] = lambda reply: reply,
        complain: Callable[[str], None] | None = None,
        follows_meters: bool = False,
    ) -> None:
        self.link = link
        self._baud = baud
        self._follows_meters = follows_meters
        self._speed = getattr(termios, f"B{baud}", None)
        if self._speed is None:
            raise LineError(f"{link}: expected a standard baud rate such as 9600, got {baud}")
        # HDLC frames need no silence between them; Modbus frames end by it.
        silence_s = 0.0 if follows_meters else None
        self._pace = WireTiming(baud, silence_s) if paced else None
        self._damage = damage
        self._complain = complain
        self._meters = _Terminal()
        self._gateway: _Terminal | None = None
        self._under_way: deque[tuple[float, bytes, _Terminal]] = deque()
        self._alarm: Alarm | None = None
        self._complained = False

    @property
    def meters_port(self) -> str:
        """The device that the meters' server opens."""
        return self._meters.path

    @property
    def plugged(self) -> bool:
        return self._gateway is not None

    def open(self) -> None:
        self._meters.listen(self._from_meters)
        if self._pace:
            self._alarm = Alarm(self._arrive)
        self.replug()

    def replug(self) -> None:
        """Put the adapter (back) in: a new terminal behind the link. Raises LineError."""
        if self._gateway is not None:
            return
        gateway = _Terminal()
        try:
            _point(self.link, gateway.path)
        except LineError:
            gateway.close()
            raise
        gateway.listen(self._from_gateway)
        self._gateway = gateway

    def unplug(self) -> None:
        """Pull the adapter out: open ports hang up, the link is gone."""
        if self._gateway is None:
            return
        gateway, self._gateway = self._gateway, None
        _unpoint(self.link, gateway.path)
        gateway.close()

    def close(self) -> None:
        self.unplug()
        self._meters.close()
        self._under_way.clear()
        if self._alarm:
            self._alarm.close()

    def _from_gateway(self, data: bytes) -> None:
        if self._gateway is None:
            return
        if self._gateway.speed() != self._meters_speed():
            if self._complain and not self._complained:
                self._complained = True
                self._complain(
                    f"{self.link}: opened at another baud rate than the meters'"
                    f" {_BAUD[self._meters_speed()]}; they stay silent"
                )
            return
        if self._pace is None:
            self._meters.write(data)
            return
        self._pace.set_baud(_BAUD[self._meters_speed()])
        at_s = self._pace.request(len(data), time.monotonic())
        if at_s is not None:
            self._deliver(at_s, data, self._meters)

    def _from_meters(self, data: bytes) -> None:
        if self._gateway is None:
            return
        data = self._damage(data)
        if self._pace is None:
            self._gateway.write(data)
            return
        self._pace.set_baud(_BAUD[self._meters_speed()])
        at_s = self._pace.reply(len(data), time.monotonic())
        self._deliver(at_s, data, self._gateway)

    def _meters_speed(self) -> int:
        """Return the baud rate that the meters talk at now, as a termios constant."""
        return self._meters.speed() if self._follows_meters else int(self._speed or 0)

    def _deliver(self, at_s: float, data: bytes, to: _Terminal) -> None:
        self._under_way.append((at_s, data, to))
        self._set_alarm()

    def _arrive(self) -> None:
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, data, to = self._under_way.popleft()
            to.write(data)
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm and self._under_way:
            self._alarm.set(self._under_way[0][0])


def _point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, over a stale one if need be."""
    if link.exists() and not link.is_symlink():
        raise LineError(f"{link}: expected nothing or an old link here, found a file")
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        raise LineError(f"{link}: cannot be made: {error.strerror}") from None


def _unpoint(link: Path, target: str) -> None:
    """Remove `link` unless it has come to lead elsewhere."""
    try:
        if str(link.readlink()) == target:
            link.unlink()
    except OSError:
        return
