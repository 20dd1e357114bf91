"""Surplus that is held in place of being minted, until the operator decides what it is.

It is a transfer that is pending: it stands in nobody's balance, can be neither sold nor retired,
and nothing about it is decided by waiting.
"""

from __future__ import annotations

from typing import Literal

from gridtokenx_backend.core.messages.held_outcomes import (
    HeldDecided,
    HeldDecision,
    HeldSurplus,
)
from gridtokenx_backend.core.messages.settlement_outcomes import (
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.minting import held_intervals, minting, owner_parts
from gridtokenx_backend.core.model.held_energy import HeldEnergy, HeldStep, HoldReason, MeterGuard
from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer
from gridtokenx_backend.core.model.local_time import TimeZone, local_text
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.settlement import DecideHeld
from gridtokenx_backend.core.oracle import registers
from gridtokenx_backend.core.oracle.accepted_readings import AcceptedReadings
from gridtokenx_backend.core.oracle.energy_window import possible_uwh
from gridtokenx_backend.core.settlement.deposits import MAX_TEXT, is_text
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.units import MAX_AMOUNT, format_kwh

RELEASED_KEPT = 64
"""The times of decided energy of a meter that are remembered, so that none is counted again."""


def hold(
    community: Community, meter: Meter, accepted: AcceptedReadings, at_ms: int
) -> tuple[list[Movement], list[HeldSurplus]]:
    """Hold what a meter has counted in a frame, but for what it counted before the first doubt.

    Returns the transfers of that part, and what was held.
    """
    movements: list[Movement] = []
    guard = meter.guard = meter.guard or MeterGuard()
    rows = accepted.intervals.get(meter.id, ())
    before_uwh = accepted.before.get(meter.id, 0)
    if guard.held is None:
        guard.held = HeldEnergy(entry=community.entries + 1)
        community.held_meters.add(meter.id)
        for owner, part_uwh in owner_parts.parts_of(meter, rows, before_uwh):
            minted = minting.mint(community, meter, owner, part_uwh, at_ms) if part_uwh else None
            if minted is not None:  # else 64 bits are full, and the energy waits with the rest
                movements += minted
                before_uwh -= part_uwh
    held = guard.held
    changes: list[HeldSurplus] = []
    for step in accepted.doubtful.get(meter.id, []):
        held.steps.append(step)
        span_ms = (step.from_ms, step.to_ms)
        changes.append(_change(meter, held, step.owner, step.reason, span_ms, step.surplus_uwh))
    newest_uwh = registers.surplus_uwh(meter)
    later_uwh = max(0, newest_uwh - meter.settled_uwh) + before_uwh
    meter.settled_uwh = max(newest_uwh, meter.settled_uwh)
    span_ms = (held.steps[-1].to_ms, meter.last_ms)
    for owner, part_uwh in owner_parts.parts_of(meter, rows, later_uwh) if later_uwh else ():
        held.later_uwh[owner] = held.later_uwh.get(owner, 0) + part_uwh
        changes.append(_change(meter, held, owner, "", span_ms, part_uwh))
    return movements, changes


def _change(
    meter: Meter,
    held: HeldEnergy,
    owner: str,
    reason: HoldReason | Literal[""],
    span_ms: tuple[int, int],
    surplus_uwh: int,
) -> HeldSurplus:
    return HeldSurplus(
        meter=meter.id,
        owner=owner,
        entry=held.entry,
        reason=reason,
        from_ms=span_ms[0],
        to_ms=span_ms[1],
        surplus_uwh=surplus_uwh,
    )


def decide(
    community: Community, command: DecideHeld, at_ms: int
) -> HeldDecided | SettlementRefused:
    """Mint or void what is held of a meter, as the operator has decided."""
    meter = community.meters.get(command.meter)
    if not is_text(command.reason):
        detail = f"expected a reason of 1 to {MAX_TEXT} printable characters"
        return SettlementRefused(SettlementRefusal.BAD_TEXT, detail)
    held = meter.guard.held if meter is not None and meter.guard is not None else None
    if meter is None or held is None:
        detail = "expected the id of a meter whose energy is held"
        return SettlementRefused(SettlementRefusal.UNKNOWN_METER, detail)
    if (command.entry, command.steps) != (held.entry, len(held.steps)):
        detail = "expected what is held of the meter now; it has changed since it was looked up"
        return SettlementRefused(SettlementRefusal.OUTDATED, detail)
    if command.decision == "release" and (
        refused := _impossible(meter, held.steps, community.active_terms.time_zone)
    ):
        return refused
    minted_uwh, voided_uwh = _shares(held, command)
    issued_uwh = -community.ledger.posted(issuer(GRID), GRID)
    if issued_uwh + sum(minted_uwh.values()) > MAX_AMOUNT:
        detail = "expected an amount for which GRID can be issued"
        return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
    movements: list[Movement] = []
    for owner, amount_uwh in minted_uwh.items():
        movements += minting.mint(community, meter, owner, amount_uwh, at_ms) or []
    assert meter.guard is not None
    rows = held_intervals.decide(community, meter, held, command.decision)
    meter.guard.held = None
    community.held_meters.discard(meter.id)
    spans = (*meter.guard.released, *_decided_spans(held, meter, command.decision))
    meter.guard.released = spans[-RELEASED_KEPT:]
    if meter.guard.is_empty:
        meter.guard = None
    return HeldDecided(
        meter=meter.id,
        entry=held.entry,
        decision=command.decision,
        reason=command.reason,
        minted_uwh=minted_uwh,
        voided_uwh=voided_uwh,
        movements=movements,
        rows=rows,
    )


def _decided_spans(held: HeldEnergy, meter: Meter, decision: HeldDecision) -> list[tuple[int, int]]:
    """Return the times whose energy no correction may count again, or take back."""
    match decision:
        case "release":
            return [(step.from_ms, step.to_ms) for step in held.steps]
        case "void":
            return []
        case "void_all":
            return [(held.steps[0].from_ms, max(held.steps[-1].to_ms, meter.last_ms))]


def _impossible(meter: Meter, steps: list[HeldStep], zone: TimeZone) -> SettlementRefused | None:
    """Return why a step cannot be real: the meter's power does not allow it in that time.

    A resolution less than that, because the readings before and after it may each have used one.
    """
    for step in steps:
        if step.reason == "first_reading":
            continue  # it was counted in the energy window when it came
        most_uwh = possible_uwh(meter.rules.max_power_w, step.to_ms - step.from_ms)
        most_uwh = max(0, most_uwh - meter.rules.resolution_uwh)
        if step.surplus_uwh > most_uwh:
            since, until = (local_text(zone, at_ms) for at_ms in (step.from_ms, step.to_ms))
            detail = (
                f"expected at most {format_kwh(most_uwh)} kWh from {since} to {until}, which is "
                "what max_power_kw allows: raise it if the meter can carry more, or void the step"
            )
            return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
    return None


def _shares(held: HeldEnergy, command: DecideHeld) -> tuple[dict[str, int], dict[str, int]]:
    """Return what of held energy is minted and what is voided, by owner."""
    minted: dict[str, int] = {}
    voided: dict[str, int] = {}
    for step in held.steps:
        into = minted if command.decision == "release" else voided
        into[step.owner] = into.get(step.owner, 0) + step.surplus_uwh
    for owner, amount_uwh in held.later_uwh.items():
        into = voided if command.decision == "void_all" else minted
        into[owner] = into.get(owner, 0) + amount_uwh
    return (
        {owner: amount for owner, amount in minted.items() if amount},
        {owner: amount for owner, amount in voided.items() if amount},
    )
