"""Both directions of a numbered exchange: segments go out until they are acknowledged,
and come in.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.hdlc.frame import FrameKind, HdlcFrame
from gridtokenx_dlms.hdlc.parameters import LinkParameters

_MODULUS = 8
MAX_MESSAGE = 1 << 20


class _Segment(msgspec.Struct, frozen=True):
    information: bytes
    is_last: bool


class Segments:
    """The numbers, windows and reassembly of a link, the same for the primary and the secondary
    station.
    """

    def __init__(self) -> None:
        self.restart(LinkParameters())

    def restart(self, parameters: LinkParameters) -> None:
        """Begin a new link: all counts start from zero, and nothing is under way."""
        self._length = parameters.transmit_length
        self._window = parameters.transmit_window
        self._waiting: list[_Segment] = []
        self._first = 0  # N(S) of the first one waiting
        self.expected = 0
        self._incoming = bytearray()

    def put(self, message: bytes) -> None:
        """Cut a message into segments, to be sent as the window allows."""
        for start in range(0, max(len(message), 1), self._length):
            part = message[start : start + self._length]
            self._waiting.append(_Segment(part, start + self._length >= len(message)))

    @property
    def is_sending(self) -> bool:
        """Whether something is not acknowledged yet."""
        return bool(self._waiting)

    def acknowledge(self, receive_seq: int) -> None:
        """Forget what the peer has: everything before N(R).

        An N(R) outside the window is ignored.
        """
        count = (receive_seq - self._first) % _MODULUS
        if count <= min(self._window, len(self._waiting)):
            del self._waiting[:count]
            self._first = receive_seq

    def turn(self) -> Iterator[tuple[int, bytes, bool, bool]]:
        """Yield what may be sent now: N(S), information, whether segments follow, whether it is
        last.

        What was sent before and is not acknowledged is sent again.
        """
        count = min(self._window, len(self._waiting))
        for position, segment in enumerate(self._waiting[:count]):
            seq = (self._first + position) % _MODULUS
            yield seq, segment.information, not segment.is_last, position == count - 1

    def take(self, frame: HdlcFrame) -> bytes | None:
        """Take a numbered frame, and return the whole message if it is the last of one.

        One that is not the next is dropped: N(R) tells the peer. Raises MalformedError if the
        message grows beyond all measure.
        """
        assert frame.kind is FrameKind.INFORMATION
        if frame.send_seq != self.expected:
            return None
        self.expected = (self.expected + 1) % _MODULUS
        self._incoming += frame.information
        if len(self._incoming) > MAX_MESSAGE:
            self._incoming.clear()
            raise MalformedError(f"expected a message of at most {MAX_MESSAGE} bytes")
        if frame.segmented:
            return None
        message = bytes(self._incoming)
        self._incoming.clear()
        return message
