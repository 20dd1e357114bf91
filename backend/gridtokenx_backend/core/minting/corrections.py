"""Corrections by the operator: the energy of a meter in a span of time where it was counted wrong.

A correction leaves the meter's registers as they are. Surplus that was not counted is minted, and
surplus that was counted wrongly is clawed back. Import that was not counted can be covered, and
import that was covered and is none counts towards the next.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.settlement_outcomes import (
    MeterCorrected,
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.minting import minting
from gridtokenx_backend.core.model import queues
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy
from gridtokenx_backend.core.model.local_time import utc_text
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_backend.core.settlement.deposits import MAX_TEXT, is_text
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.units import MAX_AMOUNT, energy_limit_uwh, format_kwh

LONGEST_MS = 31 * 86_400_000


def correct(
    community: Community, command: Correct, at_ms: int
) -> MeterCorrected | SettlementRefused:
    """Mint or claw back the difference between what a meter moved and what was counted."""
    meter = community.meters.get(command.meter)
    if refused := _unacceptable(meter, command):
        return refused
    assert meter is not None
    imported_uwh = command.import_uwh - command.counted_import_uwh
    exported_uwh = command.export_uwh - command.counted_export_uwh
    surplus_uwh = exported_uwh - (imported_uwh if meter.rules.policy == "net" else 0)
    member = community.members[meter.owner]
    movements = []
    if surplus_uwh > 0:
        minted = minting.mint(community, meter, meter.owner, surplus_uwh, at_ms)
        if minted is None:
            detail = "expected an amount for which GRID can be issued"
            return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
        movements = minted
    elif surplus_uwh < 0:
        movements = minting.claw_back(community, meter, meter.owner, -surplus_uwh, at_ms)
    rows = _correct_intervals(community, meter, command, at_ms)
    return MeterCorrected(
        meter=meter.id,
        owner=meter.owner,
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


def _unacceptable(meter: Meter | None, command: Correct) -> SettlementRefused | None:
    if not is_text(command.reason):
        detail = f"expected a reason of 1 to {MAX_TEXT} printable characters"
        return SettlementRefused(SettlementRefusal.BAD_TEXT, detail)
    if refused := unacceptable_span(meter, command.from_ms, command.to_ms):
        return refused
    assert meter is not None
    if command.revision != revision_of(meter, command.from_ms, command.to_ms):
        detail = "expected what is counted there now; it has changed since it was looked up"
        return SettlementRefused(SettlementRefusal.OUTDATED, detail)
    limit_uwh = energy_limit_uwh(meter.rules.max_power_w, command.to_ms - command.from_ms)
    limit_uwh = min(MAX_AMOUNT, limit_uwh + meter.rules.resolution_uwh)
    if not (0 <= command.import_uwh <= limit_uwh and 0 <= command.export_uwh <= limit_uwh):
        most = format_kwh(limit_uwh)
        detail = f"expected energy from 0 to {most} kWh, the most that its power allows there"
        return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
    return None


def unacceptable_span(meter: Meter | None, from_ms: int, to_ms: int) -> SettlementRefused | None:
    """Return why a meter cannot be corrected from `from_ms` to `to_ms`; None if it can."""
    if meter is None:
        detail = "expected the id of a meter"
        return SettlementRefused(SettlementRefusal.UNKNOWN_METER, detail)
    if from_ms % INTERVAL_MS or to_ms % INTERVAL_MS:
        detail = "expected a span from and to the start of a 15-minute interval"
        return SettlementRefused(SettlementRefusal.BAD_SPAN, detail)
    closed_ms = meter.interval_end_ms - INTERVAL_MS
    if from_ms < 0 or to_ms > closed_ms or not 0 < to_ms - from_ms <= LONGEST_MS:
        detail = (
            "expected a span of at most 31 days that ends at "
            f"{utc_text(max(0, closed_ms))} or before: later intervals of the meter are not closed"
        )
        return SettlementRefused(SettlementRefusal.BAD_SPAN, detail)
    return None


def _correct_intervals(
    community: Community, meter: Meter, command: Correct, at_ms: int
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
    member = community.members[meter.owner]
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
