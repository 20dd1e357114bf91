"""Intake of a verified frame: its place in the chain, the oracle's verdicts, and the mint."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gridtokenx_backend.core.messages.held_outcomes import HeldSurplus
from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameHeld, FrameRefused
from gridtokenx_backend.core.minting import frame_receipt, held_energy, minting, owner_parts
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.registry import Device, Meter
from gridtokenx_backend.core.oracle import registers, validation
from gridtokenx_backend.core.oracle.accepted_readings import AcceptedReadings
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.frame import Frame
from gridtokenx_wire.verdict import Reason

_ACCEPTED = Reason.ACCEPTED
REGISTER_REASONS = (Reason.REGISTER_ROLLBACK, Reason.IMPLAUSIBLE_JUMP)
"""Refusals of registers. What was refused is kept, see `oracle.discontinuities`."""


def apply_frame(
    community: Community, input_: FrameInput, at_ms: int
) -> FrameAccepted | FrameRefused:
    """Judge a frame's readings and mint their surplus, if it is the next of its device's chain.

    A frame that was applied before is refused as a duplicate, with its verdicts; another one with
    its number is no duplicate, and it may come from a copy of the key. A summary is the
    next one wherever it continues the chain, even if some of the frames that it stands for were
    applied: their acks were lost, and readings that were taken are not taken again.
    """
    refused = frame_receipt.refusal(community, input_)
    if refused is not None:
        return refused
    frame = input_.frame
    device = community.devices[frame.device]
    verdicts, accepted = _judge_readings(community, frame, at_ms)
    movements, held = _mint(community, accepted, at_ms)
    if community.active_terms.sharing.is_sharing:
        for name, rows in accepted.intervals.items():
            community.sharing.note(name, rows)
    readings = len(frame.time_ms)
    previous = frame_receipt.note(community, device, input_, at_ms, readings, verdicts)
    outcome = FrameAccepted(
        previous=previous,
        device=frame.device,
        chain=frame.chain,
        seq=frame.seq,
        readings=readings,
        verdicts=verdicts,
        movements=movements,
        intervals=list(accepted.intervals.items()),
    )
    return FrameHeld(**msgspec.structs.asdict(outcome), held=held) if held else outcome


def _judge_readings(
    community: Community, frame: Frame, at_ms: int
) -> tuple[list[tuple[int, int]], AcceptedReadings]:
    """Judge the readings of a frame in their order, and take each one that is accepted.

    Returns the verdicts that are not `accepted`, as (index, reason), and what was taken.
    """
    verdicts: list[tuple[int, int]] = []
    version = community.rules
    accepted = AcceptedReadings(limits=community.limits, at_ms=at_ms, rules=version)
    judge, take, take_calm = validation.judge, accepted.take, accepted.take_calm
    limits, synchronised = community.limits, frame.clock.synchronised
    sender = community.devices[frame.device]
    improbable = 0
    meters = [bound_meter(community, sender, name) for name in frame.meters]
    imported_uwh = [0] * len(meters)
    for index, (which, time_ms, import_uwh, export_uwh, power_w) in enumerate(_rows(frame)):
        meter = meters[which]
        if meter is None:
            verdicts.append((index, Reason.UNBOUND_METER))
            continue
        reason = judge(
            meter,
            limits,
            at_ms,
            time_ms,
            import_uwh,
            export_uwh,
            power_w,
            synchronised=synchronised,
            version=version,
        )
        if reason is None:
            imported_uwh[which] += take_calm(meter, time_ms, import_uwh, export_uwh)
            continue
        if reason is not _ACCEPTED and version > 1:
            if reason is Reason.PRODUCTION_RATIO:
                improbable += 1
                reason = _ACCEPTED
            elif (
                reason in REGISTER_REASONS
                and synchronised
                and time_ms > meter.last_ms
                and abs(power_w) <= meter.rules.max_power_w
                and accepted.suspect(meter, time_ms, import_uwh, export_uwh)
            ):
                continue
        if reason is not _ACCEPTED:
            verdicts.append((index, reason))
            continue
        imported_uwh[which] += take(meter, time_ms, import_uwh, export_uwh)
    if accepted.reopened:
        accepted.revise_reopened()
    _book_imports(community, meters, imported_uwh)
    sender.improbable += improbable
    community.counters.improbable += improbable
    return verdicts, accepted


def _book_imports(
    community: Community, meters: list[Meter | None], imported_uwh: list[int]
) -> None:
    for meter, of_meter_uwh in zip(meters, imported_uwh, strict=True):
        if meter is not None:
            community.members[meter.owner].imported_uwh += of_meter_uwh


def _rows(frame: Frame) -> Iterable[tuple[int, int, int, int, int]]:
    """Return for each reading the index of its meter, its time, its registers, and its power."""
    return zip(
        frame.meter_index,
        frame.time_ms,
        frame.import_uwh,
        frame.export_uwh,
        frame.power_w,
        strict=True,
    )


def bound_meter(community: Community, sender: Device, name: str) -> Meter | None:
    """Return the meter with this id if the sender may send its readings."""
    meter = community.meters.get(name)
    if meter is None or meter.device == sender.id:
        return meter
    if meter.site:
        return meter if meter.site == sender.site else None
    return meter if community.devices[meter.device].line == sender.line else None


def _mint(
    community: Community, accepted: AcceptedReadings, at_ms: int
) -> tuple[list[Movement], list[HeldSurplus]]:
    """Mint each meter's surplus beyond its settled mark to its owner of then, and move the mark.

    A mint that the ledger refuses (64 bits are full) leaves the mark, so the energy stays due. What
    is doubtful is held, and so is what its meter counts after it. Returns the transfers, and what
    was held.
    """
    movements: list[Movement] = []
    held: list[HeldSurplus] = []
    for meter in accepted.advanced.values():
        if meter.id in accepted.doubtful or (meter.guard is not None and meter.guard.held):
            posted, now_held = held_energy.hold(community, meter, accepted, at_ms)
            movements += posted
            held += now_held
            continue
        newest_uwh = registers.surplus_uwh(meter)
        minted_uwh = newest_uwh - meter.settled_uwh
        if minted_uwh <= 0:
            continue
        if meter.former_owners:
            rows = accepted.intervals.get(meter.id, ())
            movements += owner_parts.mint(community, meter, rows, minted_uwh, at_ms)
            continue
        minted = minting.mint(community, meter, meter.owner, minted_uwh, at_ms)
        if minted is not None:
            meter.settled_uwh = newest_uwh
            movements += minted
    return movements, held
