"""Corrections: what a meter really moved in a span, where something else was counted.

The meter's registers stay what they are: a correction is beside them. More surplus than counted is
minted, less is clawed back; more import can be covered, less was covered ahead of time.
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


def correct(community: Community, given: Correct, at_ms: int) -> MeterCorrected | SettlementRefused:
    """Mints or claws back the difference between what a meter moved and what was counted."""
    meter = community.meters.get(given.meter)
    if refused := _unacceptable(meter, given):
        return refused
    assert meter is not None
    imported_uwh = given.import_uwh - given.counted_import_uwh
    exported_uwh = given.export_uwh - given.counted_export_uwh
    surplus_uwh = exported_uwh - (imported_uwh if meter.rules.policy == "net" else 0)
    member = community.members[meter.owner]
    movements = []
    if surplus_uwh > 0:
        minted = minting.mint(community, meter, surplus_uwh, at_ms)
        if minted is None:
            detail = "expected an amount for which GRID can be issued"
            return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
        movements = minted
    elif surplus_uwh < 0:
        movements = minting.claw_back(community, meter, -surplus_uwh, at_ms)
    rows = _correct_intervals(community, meter, given, at_ms)
    return MeterCorrected(
        meter=meter.id,
        owner=meter.owner,
        from_ms=given.from_ms,
        to_ms=given.to_ms,
        import_uwh=imported_uwh,
        export_uwh=exported_uwh,
        surplus_uwh=surplus_uwh,
        owed_uwh=member.owed_uwh,
        reason=given.reason,
        rows=rows,
        movements=movements,
    )


def revision_of(meter: Meter, from_ms: int, to_ms: int) -> int:
    """A number that grows with every change to the intervals of a span that were closed once."""
    revisions = meter.past.revisions if meter.past else {}
    return sum(number for at_ms, number in revisions.items() if from_ms <= at_ms < to_ms)


def _unacceptable(meter: Meter | None, given: Correct) -> SettlementRefused | None:
    if not is_text(given.reason):
        detail = f"expected a reason of 1 to {MAX_TEXT} printable characters"
        return SettlementRefused(SettlementRefusal.BAD_TEXT, detail)
    if refused := unacceptable_span(meter, given.from_ms, given.to_ms):
        return refused
    assert meter is not None
    if given.revision != revision_of(meter, given.from_ms, given.to_ms):
        detail = "expected what is counted there now; it has changed since it was looked up"
        return SettlementRefused(SettlementRefusal.OUTDATED, detail)
    limit_uwh = energy_limit_uwh(meter.rules.max_power_w, given.to_ms - given.from_ms)
    limit_uwh = min(MAX_AMOUNT, limit_uwh + meter.rules.resolution_uwh)
    if not (0 <= given.import_uwh <= limit_uwh and 0 <= given.export_uwh <= limit_uwh):
        most = format_kwh(limit_uwh)
        detail = f"expected energy from 0 to {most} kWh, the most that its power allows there"
        return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
    return None


def unacceptable_span(meter: Meter | None, from_ms: int, to_ms: int) -> SettlementRefused | None:
    """Why a meter cannot be corrected from `from_ms` to `to_ms`, if it cannot."""
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
    community: Community, meter: Meter, given: Correct, at_ms: int
) -> list[IntervalEnergy]:
    """Puts the right intervals in place of the span's, and their import where it can be covered.

    What no clearing has taken yet is taken right; only the rest is a difference.
    """
    before_uwh = _untaken(meter, given)
    span_ms = (given.from_ms, given.to_ms)
    rows = intervals.substitute(
        meter, community.limits, span_ms, given.import_uwh, given.export_uwh
    )
    if community.active_terms.sharing.is_sharing:
        community.sharing.note(meter.id, rows)
    untaken_uwh = _untaken(meter, given) - before_uwh
    member = community.members[meter.owner]
    imported_uwh = given.import_uwh - given.counted_import_uwh
    member.imported_uwh = max(0, member.imported_uwh + imported_uwh)
    taken_uwh = imported_uwh - untaken_uwh
    last_ms = given.to_ms - INTERVAL_MS
    if taken_uwh > 0 and last_ms >= at_ms - community.active_terms.cover_ms:
        retirement.add_import(member, last_ms, taken_uwh)
    elif taken_uwh < 0:
        open_uwh = queues.take_between(member.open_import, *span_ms, -taken_uwh)
        ahead_uwh = min(-taken_uwh - open_uwh, member.retired_uwh - member.ahead_uwh)
        member.ahead_uwh += ahead_uwh
        member.interval_import_uwh -= ahead_uwh
    return rows


def _untaken(meter: Meter, given: Correct) -> int:
    """What the span imported in intervals that no clearing has taken."""
    return sum(
        row.import_uwh
        for row in meter.closed_intervals or ()
        if given.from_ms <= row.interval_ms < given.to_ms
    )
