"""Frames that the operator brings in a file: the same way into the core as over the broker."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.messages.inputs import FrameInput, Input
from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    FrameRefusal,
    FrameRefused,
    Result,
)
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import decode_frame


class FramesTaken(msgspec.Struct, frozen=True):
    """What came of frames: in their order, up to the first that could not be put to the core.

    `refusal` says why that one could not, or why one was not taken; None if all are stored now.
    """

    results: list[Result]
    refusal: FrameRefusal | None

    @property
    def accepted(self) -> int:
        return sum(type(result) is FrameAccepted for result in self.results)

    @property
    def duplicates(self) -> int:
        return sum(
            type(result) is FrameRefused and result.reason is FrameRefusal.DUPLICATE
            for result in self.results
        )


async def take(
    messages: Sequence[bytes], device: Device | None, writer: Writer, verifier: Verifier
) -> FramesTaken:
    """Checks, judges and stores a device's frames; those that are stored already stay as they are.

    Raises Overloaded.
    """
    if device is None:
        return FramesTaken([], FrameRefusal.UNKNOWN_DEVICE)
    jobs = []
    payloads = []
    for message in messages:
        signature, signed, payload = cose.split(message)  # the sequence was read by this form
        jobs.append((device.public_key, signature, signed))
        payloads.append(payload)
    valid = await verifier.verify(jobs)
    given: list[Input] = []
    refusal = None
    for message, payload, signed_by_it in zip(messages, payloads, valid, strict=True):
        refusal = _refusal(given, device, message, payload, signed_by_it=signed_by_it)
        if refusal:
            break
    results = [settled.result for settled in await writer.submit(given)] if given else []
    return FramesTaken(results, _first_refusal(results) or refusal)


def _refusal(
    given: list[Input], device: Device, message: bytes, payload: bytes, *, signed_by_it: bool
) -> FrameRefusal | None:
    """Adds a frame to what is given to the core, or says why it may not be."""
    if not signed_by_it:
        return FrameRefusal.BAD_SIGNATURE
    try:
        frame = decode_frame(payload)
    except WireError:
        return FrameRefusal.MALFORMED
    if frame.device != device.id:
        return FrameRefusal.WRONG_DEVICE
    given.append(FrameInput(message, frame))
    return None


def _first_refusal(results: Sequence[Result]) -> FrameRefusal | None:
    for result in results:
        if type(result) is FrameRefused and result.reason is not FrameRefusal.DUPLICATE:
            return result.reason
    return None
