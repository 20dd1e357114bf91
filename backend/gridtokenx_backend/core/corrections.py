"""Corrections: what a meter really moved in a span, where something else was counted.

The meter's registers stay what they are: a correction is beside them. More surplus than counted is
minted, less is clawed back; more import can be covered, less was covered ahead of time.
"""

from __future__ import annotations

from gridtokenx_backend.core import minting, queues, retirement
from gridtokenx_backend.core.community import Community
from gridtokenx_backend.core.deposits import MAX_TEXT, is_text
from gridtokenx_backend.core.registry import Member, Meter
from gridtokenx_backend.core.settled import Corrected, SettlementRefusal, SettlementRefused
from gridtokenx_backend.core.settlement import Correct
from gridtokenx_wire.units import MAX_AMOUNT, energy_limit_uwh, format_kwh

INTERVAL_MS = 900_000
LONGEST_MS = 31 * 86_400_000


def correct(community: Community, given: Correct, at_ms: int) -> Corrected | SettlementRefused:
    """Mints or claws back the difference between what a meter moved and what was counted."""
    meter = community.meters.get(given.meter)
    if refused := _unacceptable(meter, given, at_ms):
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
    _correct_import(community, member, given, imported_uwh, at_ms)
    return Corrected(
        meter.id,
        meter.owner,
        given.from_ms,
        given.to_ms,
        imported_uwh,
        exported_uwh,
        surplus_uwh,
        member.owed_uwh,
        given.reason,
        movements,
    )


def _unacceptable(meter: Meter | None, given: Correct, at_ms: int) -> SettlementRefused | None:
    if not is_text(given.reason):
        detail = f"expected a reason of 1 to {MAX_TEXT} printable characters"
        return SettlementRefused(SettlementRefusal.BAD_TEXT, detail)
    if meter is None:
        detail = "expected the id of a meter"
        return SettlementRefused(SettlementRefusal.UNKNOWN_METER, detail)
    if given.from_ms % INTERVAL_MS or given.to_ms % INTERVAL_MS:
        detail = "expected a span from and to the start of a 15-minute interval"
        return SettlementRefused(SettlementRefusal.BAD_SPAN, detail)
    if not 0 <= given.from_ms < given.to_ms <= at_ms or given.to_ms - given.from_ms > LONGEST_MS:
        detail = "expected a span in the past of at most 31 days"
        return SettlementRefused(SettlementRefusal.BAD_SPAN, detail)
    limit_uwh = energy_limit_uwh(meter.rules.max_power_w, given.to_ms - given.from_ms)
    limit_uwh = min(MAX_AMOUNT, limit_uwh + meter.rules.resolution_uwh)
    if not (0 <= given.import_uwh <= limit_uwh and 0 <= given.export_uwh <= limit_uwh):
        most = format_kwh(limit_uwh)
        detail = f"expected energy from 0 to {most} kWh, the most that its power allows there"
        return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
    return None


def _correct_import(
    community: Community, member: Member, given: Correct, imported_uwh: int, at_ms: int
) -> None:
    member.imported_uwh = max(0, member.imported_uwh + imported_uwh)
    last_ms = given.to_ms - INTERVAL_MS
    if imported_uwh > 0 and last_ms >= at_ms - community.in_force.cover_ms:
        retirement.add_import(member, last_ms, imported_uwh)
    elif imported_uwh < 0:
        open_uwh = queues.take_between(
            member.open_import, given.from_ms, given.to_ms, -imported_uwh
        )
        covered_uwh = min(-imported_uwh - open_uwh, member.retired_uwh - member.ahead_uwh)
        member.ahead_uwh += covered_uwh
        member.interval_import_uwh -= covered_uwh
