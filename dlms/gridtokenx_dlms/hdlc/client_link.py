"""The client's end of an HDLC link: the primary station. Bytes in, events out; no I/O, no clock.

            connect()            UA          disconnect()           UA, DM
    CLOSED ───────────▶ OPENING ─────▶ OPEN ──────────────▶ CLOSING ───────▶ CLOSED
       ▲                                │
       └────────── DM, FRMR ────────────┘

The two ends take turns: who sends a frame with the P/F bit hands the line over.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from gridtokenx_dlms.errors import LinkError, SequenceError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.events import (
    Busy,
    Connected,
    Disconnected,
    LinkEvent,
    Message,
    Unnumbered,
)
from gridtokenx_dlms.hdlc.frame import FrameKind, FrameReader, HdlcFrame
from gridtokenx_dlms.hdlc.parameters import LinkParameters, parse_parameters
from gridtokenx_dlms.hdlc.segments import Segments


class LinkState(Enum):
    """Where a link is in its life."""

    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"


class ClientLink:
    """One client talking to one server. Send what `data_to_send` gives whenever it gives any."""

    def __init__(
        self, client: HdlcAddress, server: HdlcAddress, parameters: LinkParameters | None = None
    ) -> None:
        self.state = LinkState.CLOSED
        self.parameters = parameters or LinkParameters()
        self._proposed = self.parameters
        self._client = client
        self._server = server
        self._reader = FrameReader()
        self._segments = Segments()
        self._out = bytearray()
        self._last = b""
        self._is_awaiting = False
        self.heard = 0
        """Frames that the peer has sent us, late ones included."""

    def connect(self) -> None:
        """Ask for a link (SNRM), from any state."""
        self._segments.restart(LinkParameters())
        self.state = LinkState.OPENING
        self._hand_over(self._frame(FrameKind.SNRM, information=self._proposed.to_bytes()))

    def disconnect(self) -> None:
        """End the link (DISC)."""
        self.state = LinkState.CLOSING
        self._hand_over(self._frame(FrameKind.DISC))

    def send(self, message: bytes) -> None:
        """Send a message, in segments if it is long. Raises SequenceError out of turn."""
        if self.state is not LinkState.OPEN:
            raise SequenceError("expected an open link")
        if self._is_awaiting:
            raise SequenceError("expected the reply before another request")
        self._segments.put(message)
        self._send_turn()

    def poll(self) -> None:
        """Ask a busy peer again."""
        if self.state is LinkState.OPEN:
            self._hand_over(self._frame(FrameKind.RECEIVE_READY))

    def repeat(self) -> None:
        """Send again what was not answered in time; on an open link, ask what the peer has."""
        if self.state is LinkState.OPEN:
            self.poll()
        elif self.state is not LinkState.CLOSED:
            self._hand_over(self._last)

    def data_to_send(self) -> bytes:
        """Return the bytes for the line, each once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    @property
    def has_data_to_send(self) -> bool:
        return bool(self._out)

    def silence(self) -> Iterator[LinkEvent]:
        """Yield what is left when nothing has come for longer than frames are apart: what began
        will not be completed.
        """
        for frame in self._reader.flush():
            yield from self._frame_received(frame)

    def receive(self, data: bytes) -> Iterator[LinkEvent]:
        """Yield what bytes from the line mean.

        Raises LinkError when the peer rejects a frame (FRMR).
        """
        for frame in self._reader.feed(data):
            yield from self._frame_received(frame)

    @property
    def is_receiving(self) -> bool:
        """Whether a frame has begun and not ended yet."""
        return self._reader.is_inside

    @property
    def skipped(self) -> int:
        """Bytes on the line that belonged to no frame."""
        return self._reader.skipped

    def _frame_received(self, frame: HdlcFrame) -> Iterator[LinkEvent]:
        if frame.destination != self._client or frame.source != self._server:
            return  # an echo of our own, or another pair's talk
        self.heard += 1
        match frame.kind:
            case FrameKind.UI:
                yield Unnumbered(frame.information)
            case FrameKind.UA:
                yield from self._accepted(frame)
            case FrameKind.DM:
                yield from self._ended()
            case FrameKind.FRMR:
                self.state = LinkState.CLOSED
                raise LinkError("the meter rejected a frame (FRMR)")
            case FrameKind.SNRM | FrameKind.DISC:
                return  # only a primary station sends these
            case _:
                if self.state is LinkState.OPEN:
                    yield from self._numbered(frame)

    def _accepted(self, frame: HdlcFrame) -> Iterator[LinkEvent]:
        if self.state is LinkState.OPENING:
            self.parameters = self._proposed.meet(parse_parameters(frame.information))
            self._segments.restart(self.parameters)
            self.state = LinkState.OPEN
            self._is_awaiting = False
            yield Connected(self.parameters)
        elif self.state is LinkState.CLOSING:
            yield from self._ended()

    def _ended(self) -> Iterator[LinkEvent]:
        if self.state is not LinkState.CLOSED:
            asked = self.state is LinkState.CLOSING
            self.state = LinkState.CLOSED
            self._is_awaiting = False
            yield Disconnected(asked)

    def _numbered(self, frame: HdlcFrame) -> Iterator[LinkEvent]:
        self._segments.acknowledge(frame.receive_seq)
        message = None
        is_repetition = False
        if frame.kind is FrameKind.INFORMATION:
            is_repetition = frame.send_seq != self._segments.expected
            message = self._segments.take(frame)
        if message is not None:
            self._is_awaiting = False
            yield Message(message)
        if not frame.poll or not self._is_awaiting:
            return  # more frames of the peer's window follow, or all is said
        if is_repetition and self._segments.is_sending:
            return  # a late reply to what was asked twice; the one to our frame is still to come
        if frame.kind is FrameKind.INFORMATION:
            self.poll()  # the next segments, or the ones that were lost
        elif self._segments.is_sending and frame.kind is FrameKind.RECEIVE_READY:
            self._send_turn()
        else:
            yield Busy()

    def _send_turn(self) -> None:
        turn = b"".join(
            self._frame(
                FrameKind.INFORMATION,
                send_seq=seq,
                information=part,
                segmented=more,
                poll=is_last,
            )
            for seq, part, more, is_last in self._segments.turn()
        )
        self._hand_over(turn)

    def _hand_over(self, frames: bytes) -> None:
        self._last = frames
        self._out += frames
        self._is_awaiting = True

    def _frame(
        self,
        kind: FrameKind,
        *,
        poll: bool = True,
        send_seq: int = 0,
        information: bytes = b"",
        segmented: bool = False,
    ) -> bytes:
        frame = HdlcFrame(
            destination=self._server,
            source=self._client,
            kind=kind,
            poll=poll,
            send_seq=send_seq,
            receive_seq=self._segments.expected,
            information=information,
            segmented=segmented,
        )
        return frame.to_bytes()
