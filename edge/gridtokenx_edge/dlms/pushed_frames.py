"""Finds pushed messages in the bytes of a serial port, and collects the bytes that make none."""

from __future__ import annotations

import termios
import time
from collections.abc import Callable, Iterator

from gridtokenx_dlms.aio.line import SerialLine
from gridtokenx_dlms.hdlc.frame import FrameKind, FrameReader
from gridtokenx_dlms.hdlc.llc import without_llc
from gridtokenx_edge.meters.mbus import MbusReader

_LONGEST_MESSAGE = 4096
# The longest HDLC frame has 2,049 bytes: so many without one are no DLMS. Fewer are believed to be
# none once they are so old, as every frame has ended by then at any rate.
_LONGEST_FRAMES = 2049
_FOREIGN_AFTER_S = 15.0
_FEWEST_FOREIGN = 16
_KEPT = 1024


class EvenLine(SerialLine):
    """A serial port at 8E1, where the driver of the port must know of the parity."""

    def _make_raw(self, baud: int) -> None:
        super()._make_raw(baud)
        attributes = termios.tcgetattr(self._fd)
        attributes[2] |= termios.PARENB
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)


class PushedFrames:
    """Finds messages in the bytes of a serial port: in HDLC frames, or in those of wired M-Bus."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._foreign = bytearray()
        self._count = 0
        self._since_s = 0.0
        self._hdlc = FrameReader()
        self._mbus = MbusReader()
        self._segments = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that `data` completes."""
        segments = self._mbus.segments
        is_part = False
        for frame in self._hdlc.feed(data):
            if frame.kind not in {FrameKind.UI, FrameKind.INFORMATION}:
                continue
            is_part = True
            self._segments += frame.information
            if frame.segmented and len(self._segments) <= _LONGEST_MESSAGE:
                continue
            message = without_llc(bytes(self._segments))
            self._segments.clear()
            yield message
        yield from self._mbus.feed(data)
        self._note(data, is_part=is_part or self._mbus.segments != segments)

    def foreign(self) -> bytes | None:
        """Return the newest bytes without a message among them, once they are enough to say what
        they are; then the next ones are collected.
        """
        is_old = self._now_s() - self._since_s >= _FOREIGN_AFTER_S
        if self._count < _FEWEST_FOREIGN or not (is_old or self._count > _LONGEST_FRAMES):
            return None
        foreign = bytes(self._foreign)
        self._forget()
        return foreign

    def _note(self, data: bytes, *, is_part: bool) -> None:
        if is_part:
            self._forget()
            return
        if not self._count:
            self._since_s = self._now_s()
        self._count += len(data)
        self._foreign += data
        del self._foreign[:-_KEPT]

    def _forget(self) -> None:
        self._foreign.clear()
        self._count = 0
