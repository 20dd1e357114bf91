"""Corrections by the operator: the energy of a meter in a span of time where it was counted wrong.

Who owned the meter in this time gains or owes, and not who owns it now. A correction leaves the
meter's registers as they are. Surplus that was not counted is minted, and
surplus that was counted wrongly is clawed back. Import that was not counted can be covered, and
import that was covered and is none counts towards the next.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.messages.settlement_outcomes import (
    MeterCorrected,
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.minting import correction_spans, minting
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy
from gridtokenx_backend.core.model.registry import Member, Meter
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.core.oracle import intervals, registers
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_backend.core.settlement.deposits import MAX_TEXT, is_text
from gridtokenx_backend.core.state.community import Community


def correct(
    community: Community, command: Correct, at_ms: int
) -> MeterCorrected | SettlementRefused:
    """Mint or claw back the difference between what a meter moved and what was counted.

    What may be corrected, and whose it is, is decided by `correction_spans`.
    """
    meter = community.meters.get(command.meter)
    if refused := _unacceptable(community, meter, command):
        return refused
    assert meter is not None
    owner = correction_spans.owner_of(community, meter, command)
    imported_uwh = command.import_uwh - command.counted_import_uwh
    exported_uwh = command.export_uwh - command.counted_export_uwh
    surplus_uwh = exported_uwh - (imported_uwh if meter.rules.policy == "net" else 0)
    member = community.members[owner]
    movements = []
    if surplus_uwh > 0:
        made_up_uwh = min(surplus_uwh, _lacking_uwh(community, meter, command.from_ms))
        surplus_uwh -= made_up_uwh
        minted = minting.mint(community, meter, owner, surplus_uwh, at_ms) if surplus_uwh else []
        if minted is None:
            detail = "expected an amount for which GRID can be issued"
            return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
        movements = minted
        if made_up_uwh:
            _make_up(meter, command.from_ms, made_up_uwh)
    elif surplus_uwh < 0:
        movements = minting.claw_back(community, meter, owner, -surplus_uwh, at_ms)
    rows = _correct_intervals(community, meter, member, command, at_ms)
    return MeterCorrected(
        meter=meter.id,
        owner=owner,
        from_ms=command.from_ms,
        to_ms=command.to_ms,
        import_uwh=imported_uwh,
        export_uwh=exported_uwh,
        surplus_uwh=surplus_uwh,
        owed_uwh=member.owed_uwh,
        reason=command.reason,
        rows=rows,
        movements=movements,
    )


def revision_of(meter: Meter, from_ms: int, to_ms: int) -> int:
    """Return a number that grows with every change to the closed intervals of a span."""
    revisions = meter.past.revisions if meter.past else {}
    return sum(number for at_ms, number in revisions.items() if from_ms <= at_ms < to_ms)


def _unacceptable(
    community: Community, meter: Meter | None, command: Correct
) -> SettlementRefused | None:
    if not is_text(command.reason):
        detail = f"expected a reason of 1 to {MAX_TEXT} printable characters"
        return SettlementRefused(SettlementRefusal.BAD_TEXT, detail)
    span = command.from_ms, command.to_ms
    if refused := correction_spans.unacceptable_span(community, meter, *span):
        return refused
    assert meter is not None
    if community.rules >= 2 and (
        refused := correction_spans.unknown_past(community, meter, command)
    ):
        return refused
    if command.revision != revision_of(meter, *span):
        detail = "expected what is counted there now; it has changed since it was looked up"
        return SettlementRefused(SettlementRefusal.OUTDATED, detail)
    return correction_spans.beyond_rating(community, meter, command)


def _lacking_uwh(community: Community, meter: Meter, from_ms: int) -> int:
    """Return by how much a net meter's surplus is below what its owner of a span was given for.

    New surplus makes that up first, whether it is metered or corrected. By rules version 1 it was
    minted again.
    """
    if community.rules < 2 or meter.rules.policy != "net":
        return 0
    former = meter.former_owner_at(from_ms)
    if former is not None:
        return former.deficit_uwh
    return max(0, meter.settled_uwh - registers.surplus_uwh(meter))


def _make_up(meter: Meter, from_ms: int, made_up_uwh: int) -> None:
    """Count surplus that was lacking, so that it is not made up twice."""
    former = meter.former_owner_at(from_ms)
    if former is None:
        meter.settled_uwh -= made_up_uwh
        return
    deficit_uwh = former.deficit_uwh - made_up_uwh
    less = msgspec.structs.replace(former, deficit_uwh=deficit_uwh)
    meter.former_owners = tuple(less if each is former else each for each in meter.former_owners)


def _correct_intervals(
    community: Community, meter: Meter, member: Member, command: Correct, at_ms: int
) -> list[IntervalEnergy]:
    """Replace the intervals of the span, and return their revisions.

    The import of an interval that no clearing has taken yet is corrected with the interval. Of the
    others the difference is booked: it can be covered, or it was covered already.
    """
    before_uwh = _untaken(meter, command)
    span_ms = (command.from_ms, command.to_ms)
    rows = intervals.substitute(
        meter, community.limits, span_ms, command.import_uwh, command.export_uwh
    )
    if community.active_terms.sharing.is_sharing:
        community.sharing.note(meter.id, rows)
    untaken_uwh = _untaken(meter, command) - before_uwh
    imported_uwh = command.import_uwh - command.counted_import_uwh
    member.imported_uwh = max(0, member.imported_uwh + imported_uwh)
    taken_uwh = imported_uwh - untaken_uwh
    last_ms = command.to_ms - INTERVAL_MS
    if taken_uwh > 0 and last_ms >= at_ms - community.active_terms.cover_ms:
        retirement.add_import(member, last_ms, taken_uwh)
    elif taken_uwh < 0:
        open_uwh = queues.take_between(member.open_import, *span_ms, -taken_uwh)
        ahead_uwh = min(-taken_uwh - open_uwh, member.retired_uwh - member.ahead_uwh)
        member.ahead_uwh += ahead_uwh
        member.interval_import_uwh -= ahead_uwh
    return rows


def _untaken(meter: Meter, command: Correct) -> int:
    """Return what the meter imported in intervals of the span that no clearing has taken."""
    return sum(
        row.import_uwh
        for row in meter.closed_intervals or ()
        if command.from_ms <= row.interval_ms < command.to_ms
    )
