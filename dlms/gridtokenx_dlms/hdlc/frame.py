"""Frames of format type 3 (Green Book 8.4.1), and their reader for a stream of bytes.

    7E | format, length | destination | source | control | HCS | information | FCS | 7E

The length says where a frame ends, so that a 7E inside it is a byte like any other; there is no
byte stuffing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import msgspec

from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.hdlc.address import HdlcAddress, address_size
from gridtokenx_dlms.hdlc.checksum import check_sequence

FLAG = 0x7E
MAX_INFORMATION = 2030
_FORMAT = 0xA000
_SEGMENTED = 0x0800
_LONGEST = 0x07FF
_FLAG = bytes((FLAG,))
# Format, two addresses of one byte, control, and one check sequence.
_SHORTEST = 7


class FrameKind(Enum):
    """The kinds of frames, by their control field.

    The values of unnumbered ones are without the P/F bit.
    """

    INFORMATION = "I"
    RECEIVE_READY = "RR"
    RECEIVE_NOT_READY = "RNR"
    SNRM = 0x83
    DISC = 0x43
    UA = 0x63
    DM = 0x0F
    FRMR = 0x87
    UI = 0x03


_UNNUMBERED = {kind.value: kind for kind in FrameKind if isinstance(kind.value, int)}
_POLL_FINAL = 0x10


class HdlcFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame. `poll` is the P/F bit; `send_seq` and `receive_seq` are N(S) and N(R)."""

    destination: HdlcAddress
    source: HdlcAddress
    kind: FrameKind
    poll: bool = True
    send_seq: int = 0
    receive_seq: int = 0
    information: bytes = b""
    segmented: bool = False
    """More segments of the same message follow."""

    def to_bytes(self) -> bytes:
        """Return the frame with its flags.

        Raises ValueError if the information is too long for a frame.
        """
        addresses = self.destination.to_bytes() + self.source.to_bytes()
        length = 2 + len(addresses) + 1 + 2
        if self.information:
            length += len(self.information) + 2
        if length > _LONGEST:
            raise ValueError(f"expected a frame of at most {_LONGEST} bytes, got {length}")
        form = _FORMAT | (_SEGMENTED if self.segmented else 0) | length
        header = form.to_bytes(2, "big") + addresses + bytes((self._control(),))
        frame = header + check_sequence(header)
        if self.information:
            frame += self.information
            frame += check_sequence(frame)
        return _FLAG + frame + _FLAG

    def _control(self) -> int:
        poll = _POLL_FINAL if self.poll else 0
        match self.kind:
            case FrameKind.INFORMATION:
                return self.receive_seq << 5 | poll | self.send_seq << 1
            case FrameKind.RECEIVE_READY:
                return self.receive_seq << 5 | poll | 0x01
            case FrameKind.RECEIVE_NOT_READY:
                return self.receive_seq << 5 | poll | 0x05
        return int(self.kind.value) | poll


def parse_frame(frame: bytes) -> HdlcFrame:
    """Return a frame without its flags, of the length that it says. Raises MalformedError."""
    destination_size = address_size(frame, 2)
    source_at = 2 + destination_size
    source_size = address_size(frame, source_at) if destination_size else 0
    control_at = source_at + source_size
    if not source_size or control_at + 3 > len(frame):
        raise MalformedError("expected a frame to hold its addresses and control field")
    _check(frame, control_at + 1)
    information = b""
    if len(frame) > control_at + 3:
        if len(frame) < control_at + 6:
            raise MalformedError("expected information between two check sequences")
        _check(frame, len(frame) - 2)
        information = frame[control_at + 3 : -2]
    kind, poll, send_seq, receive_seq = _read_control(frame[control_at])
    return HdlcFrame(
        destination=HdlcAddress.from_bytes(frame[2:source_at]),
        source=HdlcAddress.from_bytes(frame[source_at:control_at]),
        kind=kind,
        poll=poll,
        send_seq=send_seq,
        receive_seq=receive_seq,
        information=information,
        segmented=bool(frame[0] & _SEGMENTED >> 8),
    )


def _check(frame: bytes, end: int) -> None:
    if check_sequence(frame[:end]) != frame[end : end + 2]:
        raise MalformedError("expected a right check sequence")


def _read_control(control: int) -> tuple[FrameKind, bool, int, int]:
    poll = bool(control & _POLL_FINAL)
    if not control & 0x01:
        return FrameKind.INFORMATION, poll, control >> 1 & 7, control >> 5
    if control & 0x0F == 0x01:
        return FrameKind.RECEIVE_READY, poll, 0, control >> 5
    if control & 0x0F == 0x05:
        return FrameKind.RECEIVE_NOT_READY, poll, 0, control >> 5
    kind = _UNNUMBERED.get(control & ~_POLL_FINAL)
    if kind is None:
        raise MalformedError(f"expected a known control field, got 0x{control:02X}")
    return kind, poll, 0, 0


def _may_be_frame(buffer: bytearray, size: int) -> bool:
    """Return whether nothing speaks against a frame of `size` bytes behind the flag.

    The header's own check sequence tells soon, so that noise does not hold up what follows it.
    """
    if len(buffer) >= size + 2 and buffer[size + 1] != FLAG:
        return False
    at = 3
    try:
        for _ in ("destination", "source"):
            used = address_size(buffer, at)
            if not used:
                return True
            at += used
    except MalformedError:
        return False
    end = at + 1
    return len(buffer) < end + 2 or check_sequence(buffer[1:end]) == buffer[end : end + 2]


class FrameReader:
    """A finder of frames in a stream. What is no frame is skipped, up to the next flag.

    `skipped` counts the bytes that belonged to no frame, for whoever watches a bad line.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.skipped = 0

    @property
    def is_inside(self) -> bool:
        """Whether a frame seems to have begun: more than a flag is held back."""
        return len(self._buffer) > 1

    def feed(self, data: bytes) -> Iterator[HdlcFrame]:
        """Yield the frames that `data` completes. Holds at most one frame's bytes back."""
        self._buffer += data
        while True:
            start = self._buffer.find(_FLAG)
            if start < 0:
                self.skipped += len(self._buffer)
                self._buffer.clear()
                return
            self.skipped += start
            while start + 1 < len(self._buffer) and self._buffer[start + 1] == FLAG:
                start += 1  # flags between frames; one may close a frame and open the next
            del self._buffer[:start]
            frame = self._next()
            if frame is None:
                return
            if isinstance(frame, HdlcFrame):
                yield frame

    def flush(self) -> Iterator[HdlcFrame]:
        """Yield the frames that lie in what is held back.

        The line was silent, so the frame that began will never end.
        """
        while len(self._buffer) > 1:
            self._skip()
            yield from self.feed(b"")
        self._buffer.clear()

    def _next(self) -> HdlcFrame | bool | None:
        """Return the frame behind the flag; True to look for another flag, None to wait
        for more.
        """
        buffer = self._buffer
        if len(buffer) < 3:
            return None
        length = int.from_bytes(buffer[1:3], "big")
        size = length & _LONGEST
        if length & 0xF000 != _FORMAT or size < _SHORTEST:
            return self._skip()
        if not _may_be_frame(buffer, size):
            return self._skip()
        if len(buffer) < size + 2:
            return None
        try:
            frame = parse_frame(bytes(buffer[1 : size + 1]))
        except MalformedError:
            return self._skip()
        del buffer[: size + 1]  # the closing flag may open the next frame
        return frame

    def _skip(self) -> bool:
        del self._buffer[:1]
        self.skipped += 1
        return True
