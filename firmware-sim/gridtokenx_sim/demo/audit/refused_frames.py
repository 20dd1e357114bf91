"""Frames that the journal keeps by their hash, as an auditor reads them."""

from __future__ import annotations

from typing import Any

import msgspec

from gridtokenx_sim.demo.audit.signed_messages import EvidenceError


class RefusedFrame(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the journal keeps of a large frame of which every reading was refused.

    `frame_hash` is the SHA-256 of the frame. `verdicts` are (reason, count), in the order of its
    readings. `summary` is (first_seq, head, left_out) of a summary.
    """

    device: bytes
    chain: bytes
    seq: int
    prev: bytes
    frame_hash: bytes
    size: int
    verdicts: list[tuple[int, int]]
    suspects: list[Any]
    summary: tuple[int, bytes, int] | None

    @property
    def readings(self) -> int:
        return sum(count for _, count in self.verdicts)


class RefusedOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="refused"):
    """The outcome of a frame that is kept by its hash, as all of its readings were refused."""

    previous: int
    device: bytes
    chain: bytes
    seq: int
    readings: int


_REFUSED_FRAMES = msgspec.msgpack.Decoder(RefusedFrame)


def read_refused_frame(raw: bytes) -> RefusedFrame:
    """Return what is kept of a refused frame. Raises EvidenceError."""
    try:
        return _REFUSED_FRAMES.decode(raw)
    except msgspec.DecodeError as error:
        raise EvidenceError(f"expected a refused frame: {error}") from None
