"""What a link tells its user."""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.hdlc.parameters import LinkParameters


class Connected(msgspec.Struct, frozen=True):
    """The link is up, with these parameters."""

    parameters: LinkParameters


class Disconnected(msgspec.Struct, frozen=True):
    """The link is down; `asked` says whether by a DISC of ours."""

    asked: bool


class Message(msgspec.Struct, frozen=True):
    """A whole message, put together from its segments."""

    message: bytes


class Unnumbered(msgspec.Struct, frozen=True):
    """What came in a UI frame: outside of the sequence, such as a data notification."""

    message: bytes


class Busy(msgspec.Struct, frozen=True):
    """The peer is there but has no reply yet: wait a little, then `poll`."""


LinkEvent = Connected | Disconnected | Message | Unnumbered | Busy
