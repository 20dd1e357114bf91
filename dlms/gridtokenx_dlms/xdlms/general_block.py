"""General block transfer (Green Book 9.3.13), as far as a pushing meter needs it: blocks are put
together as they come. None is asked for again; a lost one loses the message.

    E0 | last, streaming, window | block number | acknowledged | length | part of a message
"""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import encode_length
from gridtokenx_dlms.errors import MalformedError, SequenceError

GENERAL_BLOCK_TAG = 0xE0
MAX_MESSAGE = 1 << 16
_LAST, _STREAMING, _WINDOW = 0x80, 0x40, 0x3F


class GeneralBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `number` counts from 1, `acknowledged` is the newest the sender has heard."""

    number: int
    part: bytes
    is_last: bool
    is_streaming: bool = False
    window: int = 0
    acknowledged: int = 0

    def to_bytes(self) -> bytes:
        control = self.window | (_LAST if self.is_last else 0)
        control |= _STREAMING if self.is_streaming else 0
        head = bytes((GENERAL_BLOCK_TAG, control)) + self.number.to_bytes(2, "big")
        return (
            head + self.acknowledged.to_bytes(2, "big") + encode_length(len(self.part)) + self.part
        )


def parse_general_block(message: bytes) -> GeneralBlock:
    """Return the block in a message. Raises MalformedError."""
    reader = Reader(message)
    tag, control = reader.take(2)
    if tag != GENERAL_BLOCK_TAG:
        raise MalformedError(f"expected the tag of a general block, got 0x{tag:02X}")
    number, acknowledged = (int.from_bytes(reader.take(2), "big") for _ in range(2))
    part = reader.octets()
    reader.end()
    return GeneralBlock(
        number=number,
        part=part,
        is_last=bool(control & _LAST),
        is_streaming=bool(control & _STREAMING),
        window=control & _WINDOW,
        acknowledged=acknowledged,
    )


class BlockAssembler:
    """An assembler of what one meter sends in blocks."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._expected = 1

    def receive(self, message: bytes) -> bytes | None:
        """Return the whole message if this is its last block, or if it comes in no blocks at all.

        Block 1 begins anew. Raises SequenceError where a block is missing, MalformedError.
        """
        if message[:1] != bytes((GENERAL_BLOCK_TAG,)):
            return message
        block = parse_general_block(message)
        if block.number == 1:
            self._content.clear()
            self._expected = 1
        if block.number != self._expected:
            raise SequenceError(f"expected block {self._expected}, got {block.number}")
        self._content += block.part
        self._expected += 1
        if len(self._content) > MAX_MESSAGE:
            self._content.clear()
            self._expected = 1
            raise MalformedError(f"expected a message of at most {MAX_MESSAGE} bytes")
        if not block.is_last:
            return None
        whole = bytes(self._content)
        self._content.clear()
        self._expected = 1
        return whole
