"""A stored frame of which every reading was refused: the journal has its hash in place of it.

Such a frame brings nothing, and a gateway may send many large ones. What is kept says all that the
core remembers of it, so that a replay leads to the same state. The next frame of the chain names
the hash as its `prev` and is signed, and whoever has the frame itself can compare the two.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gridtokenx_backend.core.model.held_energy import SuspectRegisters

_Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_Refusal = Annotated[int, msgspec.Meta(ge=1, le=254)]


class SummaryPlace(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """What a summary says of its place: see `Gap` of the wire.

    `left_out` is how many readings it says are missing.
    """

    first_seq: _Natural
    head: _Hash
    left_out: _Natural


class RefusedFrame(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """A frame by its hash: its place in the chain of its device, and what became of its readings.

    `frame_hash` is the SHA-256 of the whole signed frame, which has `size` bytes. `verdicts` are
    [reason, count] of neighbouring readings with one verdict, in their order. `suspects` has what
    the core keeps of refused registers after the frame, by meter: of each meter of which a register
    was refused. `summary` is set if the frame is a summary.
    """

    device: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    chain: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    seq: _Natural
    prev: _Hash
    frame_hash: _Hash
    size: _Natural
    verdicts: Annotated[list[tuple[_Refusal, _Count]], msgspec.Meta(min_length=1, max_length=1000)]
    suspects: list[tuple[str, SuspectRegisters]] = []
    summary: SummaryPlace | None = None

    @property
    def first_seq(self) -> int:
        """The first seq of the chain that it stands for: its own, unless it is a summary."""
        return self.summary.first_seq if self.summary else self.seq

    @property
    def head(self) -> bytes:
        """What the frame after it names as `prev`."""
        return self.summary.head if self.summary else self.frame_hash

    @property
    def left_out(self) -> int:
        """How many readings it says are missing."""
        return self.summary.left_out if self.summary else 0

    @property
    def readings(self) -> int:
        """How many readings it has."""
        return sum(count for _, count in self.verdicts)

    def indexed_verdicts(self) -> list[tuple[int, int]]:
        """Return (index, reason) of its readings, all of which were refused."""
        reasons = [reason for reason, count in self.verdicts for _ in range(count)]
        return list(enumerate(reasons))


class RefusedFrameInput(msgspec.Struct, frozen=True, gc=False):
    """What the journal keeps of a verified frame of which every reading was refused."""

    raw: bytes
    frame: RefusedFrame


class RefusedFrameStored(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="refused", gc=False
):
    """A frame that was stored by its hash, because all of its readings were refused.

    Its fields are those of `FrameAccepted`. The verdicts stand in the input.
    """

    previous: int
    device: bytes
    chain: bytes
    seq: int
    readings: int


_decoder = msgspec.msgpack.Decoder(RefusedFrame)


def refused_frame_input(frame: RefusedFrame) -> RefusedFrameInput:
    """Return the input that stands for a frame."""
    return RefusedFrameInput(msgspec.msgpack.encode(frame), frame)


def parse_refused_frame(raw: bytes) -> RefusedFrameInput:
    """Return the input that the journal keeps. Raises ValueError."""
    return RefusedFrameInput(raw, _decoder.decode(raw))
