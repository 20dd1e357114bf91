"""The server's end of an HDLC link: the secondary station, which speaks only when it is asked."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_dlms.errors import SequenceError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import LinkState
from gridtokenx_dlms.hdlc.events import Connected, Disconnected, LinkEvent, Message, Unnumbered
from gridtokenx_dlms.hdlc.frame import FrameKind, HdlcFrame
from gridtokenx_dlms.hdlc.parameters import LinkParameters, parse_parameters
from gridtokenx_dlms.hdlc.segments import Segments


class ServerLink:
    """One server's link with one client. Whoever reads the line hands it the frames for it.

    After a `Message` the server has the turn until it calls `send`. While `is_busy` it answers
    RNR instead of taking more.
    """

    def __init__(
        self, server: HdlcAddress, client: HdlcAddress, parameters: LinkParameters | None = None
    ) -> None:
        self.state = LinkState.CLOSED
        self.is_busy = False
        self.parameters = parameters or LinkParameters()
        self._offered = self.parameters
        self._server = server
        self._client = client
        self._segments = Segments()
        self._out = bytearray()
        self._owes_reply = False
        self._has_turn = False

    def send(self, message: bytes) -> None:
        """Send the reply to the last `Message`, now or when the client asks again.

        Raises SequenceError if none is due.
        """
        if self.state is not LinkState.OPEN or not self._owes_reply:
            raise SequenceError("expected a request before its reply")
        self._owes_reply = False
        self._segments.put(message)
        if self._has_turn:
            self._send_turn()

    def notify(self, message: bytes) -> None:
        """Send a message unasked (UI), connected or not. Raises ValueError if it is too long."""
        self._put(FrameKind.UI, poll=False, information=message)

    def data_to_send(self) -> bytes:
        """Return the bytes for the line, each once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive(self, frame: HdlcFrame) -> Iterator[LinkEvent]:
        """Yield what a frame from this link's client means."""
        match frame.kind:
            case FrameKind.SNRM:
                yield from self._connect(frame)
            case FrameKind.DISC:
                yield from self._disconnect()
            case FrameKind.UI:
                yield Unnumbered(frame.information)
            case FrameKind.UA | FrameKind.DM | FrameKind.FRMR:
                return  # only a secondary station sends these
            case _ if self.state is LinkState.OPEN:
                yield from self._numbered(frame)
            case _:
                self._put(FrameKind.DM)

    def _connect(self, frame: HdlcFrame) -> Iterator[LinkEvent]:
        self.parameters = self._offered.meet(parse_parameters(frame.information))
        self._segments.restart(self.parameters)
        self.state = LinkState.OPEN
        self._owes_reply = False
        # As meters do: some clients cannot read a UA without information.
        self._put(FrameKind.UA, information=self.parameters.to_bytes(explicit=True))
        yield Connected(self.parameters)

    def _disconnect(self) -> Iterator[LinkEvent]:
        if self.state is LinkState.CLOSED:
            self._put(FrameKind.DM)
            return
        self.state = LinkState.CLOSED
        self._put(FrameKind.UA)
        yield Disconnected(asked=False)

    def _numbered(self, frame: HdlcFrame) -> Iterator[LinkEvent]:
        self._segments.acknowledge(frame.receive_seq)
        self._has_turn = frame.poll
        message = None
        if frame.kind is FrameKind.INFORMATION and not self.is_busy:
            message = self._segments.take(frame)
        if message is not None:
            self._owes_reply = True
            yield Message(message)
        if not self._has_turn:
            return  # it was not given, or what answered at once has used it
        if self.is_busy:
            self._put(FrameKind.RECEIVE_NOT_READY)
        elif self._segments.is_sending:
            self._send_turn()
        elif message is None:
            self._put(FrameKind.RECEIVE_READY)

    def _send_turn(self) -> None:
        for seq, part, more, is_last in self._segments.turn():
            self._put(
                FrameKind.INFORMATION,
                send_seq=seq,
                information=part,
                segmented=more,
                poll=is_last,
            )

    def _put(
        self,
        kind: FrameKind,
        *,
        poll: bool = True,
        send_seq: int = 0,
        information: bytes = b"",
        segmented: bool = False,
    ) -> None:
        frame = HdlcFrame(
            destination=self._client,
            source=self._server,
            kind=kind,
            poll=poll,
            send_seq=send_seq,
            receive_seq=self._segments.expected,
            information=information,
            segmented=segmented,
        )
        self._out += frame.to_bytes()
        self._has_turn = self._has_turn and not poll
