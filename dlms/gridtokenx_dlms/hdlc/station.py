"""A physical device on an HDLC line: the links of all its clients, without I/O.

The upper address of a server names a logical device, the lower one the physical device. A client
of one-byte addresses leaves the lower one out, which only works where one device is on the line.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gridtokenx_dlms.errors import DlmsError, SequenceError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import LinkState
from gridtokenx_dlms.hdlc.events import Connected, Disconnected, LinkEvent, Message
from gridtokenx_dlms.hdlc.frame import FrameKind, HdlcFrame
from gridtokenx_dlms.hdlc.llc import LLC_REQUEST, LLC_RESPONSE
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.hdlc.server_link import ServerLink

MAX_LINKS = 8


class Conversation(Protocol):
    """What answers a client's messages; `server.ServerAssociation` is one."""

    def handle(self, message: bytes) -> bytes: ...

    def close(self) -> None: ...


Associate = Callable[[int, int], Conversation | None]
"""A conversation for a client's and a logical device's address; None for one that is unknown."""


class Station:
    """A physical device, which answers the frames that are for it.

    It holds at most `MAX_LINKS` links.
    """

    def __init__(
        self, physical: int | None, associate: Associate, parameters: LinkParameters | None = None
    ) -> None:
        self.physical = physical
        self.is_busy = False
        """While it is set, requests are put off with RNR."""
        self._associate = associate
        self._parameters = parameters or LinkParameters()
        self._links: dict[tuple[HdlcAddress, HdlcAddress], tuple[ServerLink, Conversation]] = {}

    @property
    def is_connected(self) -> bool:
        """Whether any client has a link."""
        return any(link.state is LinkState.OPEN for link, _ in self._links.values())

    def is_for(self, address: HdlcAddress) -> bool:
        """Return whether a frame to this address is for this device."""
        return address.lower is None or self.physical is None or address.lower == self.physical

    def receive(self, frame: HdlcFrame) -> bytes:
        """Return what to answer to a frame from a client; nothing if it is not understood."""
        key = frame.destination, frame.source
        if key not in self._links and not self._add(key):
            return self._refuse(frame)
        link, conversation = self._links[key]
        link.is_busy = self.is_busy
        with suppress(DlmsError):  # what is malformed here is repeated or given up by the client
            for event in link.receive(frame):
                _pass_on(event, link, conversation)
        if link.state is LinkState.CLOSED:
            del self._links[key]
        return link.data_to_send()

    def notify(self, client: HdlcAddress, server: HdlcAddress, message: bytes) -> bytes:
        """Return the frame that brings a message unasked (UI).

        Raises ValueError if it is too long.
        """
        information = LLC_RESPONSE + message
        frame = HdlcFrame(
            destination=client,
            source=server,
            kind=FrameKind.UI,
            poll=False,
            information=information,
        )
        return frame.to_bytes()

    def close(self) -> None:
        """Forget all links, as when power fails or nobody has spoken for long."""
        for _, conversation in self._links.values():
            conversation.close()
        self._links.clear()

    def _add(self, key: tuple[HdlcAddress, HdlcAddress]) -> bool:
        server, client = key
        if len(self._links) >= MAX_LINKS:
            return False
        conversation = self._associate(client.upper, server.upper)
        if conversation is None:
            return False
        self._links[key] = ServerLink(server, client, self._parameters), conversation
        return True

    @staticmethod
    def _refuse(frame: HdlcFrame) -> bytes:
        """Return a frame that says "disconnected mode", if the other end gave us the turn."""
        if not frame.poll:
            return b""
        return HdlcFrame(
            destination=frame.source, source=frame.destination, kind=FrameKind.DM
        ).to_bytes()


def _pass_on(event: LinkEvent, link: ServerLink, conversation: Conversation) -> None:
    match event:
        case Connected() | Disconnected():
            conversation.close()
        case Message(message=message) if message[:3] == LLC_REQUEST:
            reply = conversation.handle(message[3:])
            if reply:
                link.send(LLC_RESPONSE + reply)
        case Message():
            raise SequenceError("expected the LLC bytes of a request")
