"""DLMS messages in frames of wired M-Bus, as Austrian customer interfaces send them. Pure.

EN 13757-2 long frames, and the segmentation of EN 13757-3 / IEC 62056-7-3:

    68 | L | L | 68 | C | A | CI | source | destination | data | sum of C..data | 16

The CI field's low four bits number the segments from 0; its fifth marks the last.
"""

from __future__ import annotations

from collections.abc import Iterator

START, STOP = 0x68, 0x16
_HEADER_BYTES, _TAIL_BYTES = 4, 2
# C, A, CI and the two service access points.
_FIXED_BYTES = 5
_NUMBER, _LAST = 0x0F, 0x10
_HIGHEST_CI = 0x1F
_LONGEST_MESSAGE = 4096


class MbusReader:
    """Finds messages in a stream of bytes. Damaged frames are left out.

    `segments` counts the frames that were parts of messages.
    """

    def __init__(self) -> None:
        self.segments = 0
        self._buffer = bytearray()
        self._message = bytearray()
        self._next = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that `data` completes."""
        self._buffer += data
        while (found := self._buffer.find(START)) >= 0:
            del self._buffer[:found]
            if len(self._buffer) < _HEADER_BYTES:
                return
            length = self._buffer[1]
            is_frame = self._buffer[2] == length and self._buffer[3] == START
            if not is_frame or length < _FIXED_BYTES:
                del self._buffer[:1]
                continue
            end = _HEADER_BYTES + length + _TAIL_BYTES
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[_HEADER_BYTES : end - _TAIL_BYTES])
            if self._buffer[end - 1] != STOP or self._buffer[end - 2] != sum(content) & 0xFF:
                del self._buffer[:1]
                continue
            del self._buffer[:end]
            yield from self._segment(content[2], content[_FIXED_BYTES:])
        self._buffer.clear()

    def _segment(self, ci: int, data: bytes) -> Iterator[bytes]:
        number = ci & _NUMBER
        if ci > _HIGHEST_CI or (number and number != self._next):
            self._next = 0
            self._message.clear()
            return
        if not number:
            self._message.clear()
        self.segments += 1
        self._message += data
        self._next = (number + 1) & _NUMBER
        if ci & _LAST or len(self._message) > _LONGEST_MESSAGE:
            message = bytes(self._message)
            self._message.clear()
            self._next = 0
            if len(message) <= _LONGEST_MESSAGE:
                yield message
