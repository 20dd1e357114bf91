"""Frames of which every reading was refused: how the journal keeps them, and how they are applied.

A frame is judged as any other. If nothing of it is accepted and it is large, the journal gets its
hash, the verdicts, and what the core remembers of the refused registers. Applied again, that leads
to the state to which the frame itself has led.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.messages.refused_frames import (
    RefusedFrame,
    RefusedFrameInput,
    RefusedFrameStored,
    SummaryPlace,
    refused_frame_input,
)
from gridtokenx_backend.core.minting import frame_receipt
from gridtokenx_backend.core.minting.frames import REGISTER_REASONS, bound_meter
from gridtokenx_backend.core.model.held_energy import MeterGuard, SuspectRegisters
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.frame import Frame, frame_hash

SMALLEST_BYTES = 4096
"""Smaller frames are kept whole. What a gateway sends day by day is smaller: it is evidence."""
SMALLEST_SAVING = 2
"""What is kept is at least so many times smaller than the frame, or else the frame is kept."""


def keep_hash(
    community: Community, input_: FrameInput, outcome: FrameAccepted
) -> tuple[RefusedFrameInput, RefusedFrameStored] | None:
    """Return what the journal keeps in place of a frame; None if it keeps the frame itself.

    The community is as it is right after the frame was applied.
    """
    if len(input_.raw) < SMALLEST_BYTES or len(outcome.verdicts) < outcome.readings:
        return None
    assert not outcome.movements
    assert not outcome.intervals
    frame, gap = input_.frame, input_.frame.gap
    kept = refused_frame_input(
        RefusedFrame(
            device=frame.device,
            chain=frame.chain,
            seq=frame.seq,
            prev=frame.prev,
            frame_hash=frame_hash(input_.raw),
            size=len(input_.raw),
            verdicts=[
                (reason, len(list(run)))
                for reason, run in groupby(map(itemgetter(1), outcome.verdicts))
            ],
            suspects=_suspects(community, frame, outcome.verdicts),
            summary=SummaryPlace(first_seq=gap.first_seq, head=gap.head, left_out=frame.left_out)
            if gap
            else None,
        )
    )
    if SMALLEST_SAVING * len(kept.raw) > len(input_.raw):
        return None
    return kept, RefusedFrameStored(
        previous=outcome.previous,
        device=outcome.device,
        chain=outcome.chain,
        seq=outcome.seq,
        readings=outcome.readings,
    )


def apply_refused_frame(
    community: Community, input_: RefusedFrameInput, at_ms: int
) -> RefusedFrameStored | FrameRefused:
    """Apply what the journal keeps of a frame. It is refused where the frame would have been."""
    refused = frame_receipt.refusal(community, input_)
    if refused is not None:
        return refused
    frame = input_.frame
    device = community.devices[frame.device]
    meters = [bound_meter(community, device, name) for name, _ in frame.suspects]
    if community.rules < 2 or frame.first_seq > frame.seq or None in meters:
        return FrameRefused(reason=FrameRefusal.MALFORMED, device=frame.device)
    for meter, (_, suspect) in zip(meters, frame.suspects, strict=True):
        assert meter is not None
        guard = meter.guard = meter.guard or MeterGuard()
        guard.suspect = suspect
    verdicts = frame.indexed_verdicts()
    previous = frame_receipt.note(community, device, input_, at_ms, len(verdicts), verdicts)
    return RefusedFrameStored(
        previous=previous,
        device=frame.device,
        chain=frame.chain,
        seq=frame.seq,
        readings=len(verdicts),
    )


def _suspects(
    community: Community, frame: Frame, verdicts: list[tuple[int, int]]
) -> list[tuple[str, SuspectRegisters]]:
    """Return what is kept of refused registers, of each meter of the frame that had one."""
    refused = {frame.meter_index[index] for index, why in verdicts if why in REGISTER_REASONS}
    kept = [(name, community.meters[name].guard) for name in _names(frame, refused)]
    return [(name, guard.suspect) for name, guard in kept if guard and guard.suspect]


def _names(frame: Frame, indices: set[int]) -> list[str]:
    """Return the meters with these indices, each once: a frame may name one twice."""
    return list(dict.fromkeys(frame.meters[index] for index in sorted(indices)))
