"""The frames of a file that the operator brings, for a site that never comes online."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused, Result
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.ingest.acks import acks_of
from gridtokenx_backend.ingest.frame_intake import FrameIntake, is_suspect
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.hello import Hello


class FileOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file's frames.

    `results` are those of the frames up to the first that could not be put to the core, in order.
    `refusal` says why that frame could not, or why one was not stored; it is None if all are
    stored now. The file's own frames below `next_seq` are stored, each compared with the stored one
    if it was there before; 0 if none is.
    """

    results: list[Result]
    refusal: FrameRefusal | None
    next_seq: int = 0

    @property
    def accepted(self) -> int:
        return sum(isinstance(result, FrameAccepted) for result in self.results)

    @property
    def duplicates(self) -> int:
        return sum(
            type(result) is FrameRefused and result.reason is FrameRefusal.DUPLICATE
            for result in self.results
        )

    def acks(self) -> list[Ack]:
        """Return the acks of the file's frames.

        A file goes back to the gateway that it came from, and tells it nothing of frames that were
        not in it: they may come from a copy of the gateway's key.
        """
        if not self.next_seq:
            return []
        return [
            msgspec.structs.replace(ack, next_seq=min(ack.next_seq, self.next_seq))
            for ack in acks_of(self.results)
        ]


async def store_frames(
    messages: Sequence[bytes], device: Device | None, intake: FrameIntake
) -> FileOutcome:
    """Check, judge and store a device's frames; those that are stored already stay as they are.

    Frames behind one that fails its check are left out, because the frames are a chain. Raises
    Overloaded, JournalUnavailable.
    """
    if device is None:
        return FileOutcome(results=[], refusal=FrameRefusal.UNKNOWN_DEVICE)
    inputs, refusal = _before_refusal(await intake.check([(device, each) for each in messages]))
    committed = await intake.enqueue(inputs) if inputs else []
    results = [
        await intake.settle(input_, each.result) if is_suspect(each.result) else each.result
        for input_, each in zip(inputs, committed, strict=True)
    ]
    return FileOutcome(
        results=results,
        refusal=_first_refusal(results) or refusal,
        next_seq=_behind_stored(inputs, results),
    )


def _behind_stored(inputs: Sequence[FrameInput], results: Sequence[Result]) -> int:
    """Return the number behind the last frame that is stored, if none before it is not."""
    next_seq = 0
    for input_, result in zip(inputs, results, strict=True):
        if type(result) is FrameRefused and result.reason is not FrameRefusal.DUPLICATE:
            break
        next_seq = input_.frame.seq + 1
    return next_seq


def _before_refusal(
    checked: Sequence[FrameInput | Hello | FrameRefusal],
) -> tuple[list[FrameInput], FrameRefusal | None]:
    """Return the inputs in front of the first refusal, and that refusal if there is one."""
    inputs: list[FrameInput] = []
    for each in checked:
        if not isinstance(each, FrameInput):
            return inputs, FrameRefusal.MALFORMED if isinstance(each, Hello) else each
        inputs.append(each)
    return inputs, None


def _first_refusal(results: Sequence[Result]) -> FrameRefusal | None:
    """Return why a frame was not stored; duplicates are stored already."""
    for result in results:
        if type(result) is FrameRefused and result.reason is not FrameRefusal.DUPLICATE:
            return result.reason
    return None
