"""The receipt of a frame: whether it is taken, and what is remembered of each that is.

It is the same for a frame that is judged and for one that the journal keeps by its hash.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.messages.refused_frames import RefusedFrameInput
from gridtokenx_backend.core.minting import chain
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.core.registration import enrolment
from gridtokenx_backend.core.state.community import Community

REMEMBERED_FRAMES = 16
REMEMBERED_VERDICTS = 1000
"""The most that a device's state keeps of frames with refused readings, for acks that were lost."""
_FIRST_QUARANTINE = 64
_PERHAPS_STORED = frozenset({FrameRefusal.DUPLICATE, FrameRefusal.OLD_NUMBER})


def refusal(community: Community, input_: FrameInput | RefusedFrameInput) -> FrameRefused | None:
    """Return why a frame is not taken, with the verdicts on it if it was before; None if it is."""
    frame = input_.frame
    device = community.devices.get(frame.device)
    if device is None:
        return FrameRefused(reason=FrameRefusal.UNKNOWN_DEVICE, device=frame.device)
    reason = _reason(community, device, input_)
    if reason is None:
        return None
    return FrameRefused(
        reason=reason,
        device=frame.device,
        chain=device.chain,
        next_seq=device.next_seq,
        verdicts=_verdicts_from(device, frame.seq) if reason in _PERHAPS_STORED else [],
        head=device.prev,
    )


def note(
    community: Community,
    device: Device,
    input_: FrameInput | RefusedFrameInput,
    at_ms: int,
    readings: int,
    verdicts: list[tuple[int, int]],
) -> int:
    """Note that a frame is stored by the next entry, and what became of its readings.

    Returns the number of the entry of the device's frame before it, 0 for the first.
    """
    frame = input_.frame
    chain.advance(device, input_)
    if community.rules >= 2:
        chain.remember(device, input_)
        device.newest_ms = at_ms
    device.thinned += frame.left_out
    community.counters.thinned += frame.left_out
    previous, device.last_entry = device.last_entry, community.entries + 1
    if device.former:
        enrolment.begin_overlap(community, device, at_ms)
    _count(community, device, frame.seq, readings, verdicts)
    return previous


def _reason(
    community: Community, device: Device, input_: FrameInput | RefusedFrameInput
) -> FrameRefusal | None:
    if device.status == "pending":
        return FrameRefusal.PENDING_DEVICE
    if device.status == "revoked":
        return FrameRefusal.REVOKED_DEVICE
    if device.held:
        return FrameRefusal.HELD_DEVICE
    if community.paused:
        return FrameRefusal.ORACLE_PAUSED
    return chain.place_refusal(device, input_)


def _verdicts_from(device: Device, seq: int) -> list[tuple[int, int, int]]:
    return [
        (stored, index, reason)
        for stored, verdicts in (device.verdicts or {}).items()
        if stored >= seq
        for index, reason in verdicts
    ]


def _count(
    community: Community,
    device: Device,
    seq: int,
    readings: int,
    verdicts: list[tuple[int, int]],
) -> None:
    counters = community.counters
    counters.frames += 1
    accepted = readings - len(verdicts)
    counters.accepted += accepted
    device.accepted += accepted
    if not verdicts:
        return
    for _, reason in verdicts:
        counters.refused[reason] = counters.refused.get(reason, 0) + 1
    quarantined = sum(reason >= _FIRST_QUARANTINE for _, reason in verdicts)
    rejected = len(verdicts) - quarantined
    counters.quarantined += quarantined
    device.quarantined += quarantined
    counters.rejected += rejected
    device.rejected += rejected
    kept = device.verdicts = device.verdicts or {}
    kept[seq] = verdicts
    remembered = sum(map(len, kept.values()))
    while len(kept) > REMEMBERED_FRAMES or remembered > REMEMBERED_VERDICTS:
        oldest = next(iter(kept))
        remembered -= len(kept.pop(oldest))
