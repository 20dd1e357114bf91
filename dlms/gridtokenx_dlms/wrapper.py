"""The wrapper for TCP and UDP (Green Book 7.4, IEC 62056-47): eight bytes before each message.

    00 01 | source port | destination port | length | message

The ports here are those of the wrapper: 1 is the management logical device, 16 the public client.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from gridtokenx_dlms.errors import MalformedError

VERSION = 1
HEADER_BYTES = 8
MAX_MESSAGE = 0xFFFF
_HEADER = struct.Struct(">HHHH")


class WrapperMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message between two wrapper ports, each 0 to 65535."""

    source: int
    destination: int
    message: bytes

    def to_bytes(self) -> bytes:
        """Return the message with its header.

        Raises ValueError for a message of more than 65,535 bytes.
        """
        if len(self.message) > MAX_MESSAGE:
            raise ValueError(f"expected at most {MAX_MESSAGE} bytes, got {len(self.message)}")
        header = _HEADER.pack(VERSION, self.source, self.destination, len(self.message))
        return header + self.message


def parse_datagram(datagram: bytes) -> WrapperMessage:
    """Return the message in one UDP datagram. Raises MalformedError."""
    (message, *more) = [*WrapperReader().feed(datagram), None]
    if message is None or more != [None]:
        raise MalformedError("expected one whole wrapper message in a datagram")
    return message


class WrapperReader:
    """A finder of messages in a stream of bytes.

    A wrong version ends it, as nothing tells what follows.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[WrapperMessage]:
        """Yield the messages that `data` completes. Raises MalformedError."""
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            version, source, destination, length = _HEADER.unpack_from(self._buffer)
            if version != VERSION:
                raise MalformedError(f"expected version 1 of the wrapper, got {version}")
            end = HEADER_BYTES + length
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[HEADER_BYTES:end])
            del self._buffer[:end]
            yield WrapperMessage(source=source, destination=destination, message=message)
