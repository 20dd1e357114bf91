"""What may be corrected: a span of closed intervals of one meter and one owner, within its rating.

By rules version 1 the present owner gained or owed, whenever it was. From version 2 on it is who
owned the span, which has to lie after the meter's first reading. Of a meter of an older journal the
core does not know both for all time: then the command has to say it, as it says what was counted.

From version 2 on no correction lets a meter mint more than its rating allows over any window of
time. Its readings may move one resolution step more than its power does in their time, so what
replaces them in a span has to be one step less than its power does there: then all windows across
the span hold, and those across several corrections, too. Or the energy of the span does not grow:
then no window does that holds all of it, and one that holds a part gets no more than its part of
what the readings were allowed in the whole span and in that next to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gridtokenx_backend.core.messages.settlement_outcomes import (
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.model.held_energy import MeterGuard
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.local_time import local_text
from gridtokenx_backend.core.model.ownership import interval_start_of
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.units import MAX_AMOUNT, energy_limit_uwh, format_kwh

LONGEST_MS = 31 * 86_400_000


def unacceptable_span(
    community: Community, meter: Meter | None, from_ms: int, to_ms: int
) -> SettlementRefused | None:
    """Return why a meter cannot be corrected from `from_ms` to `to_ms`; None if it can."""
    if meter is None:
        detail = "expected the id of a meter"
        return SettlementRefused(SettlementRefusal.UNKNOWN_METER, detail)
    at = partial(local_text, community.active_terms.time_zone)
    if from_ms % INTERVAL_MS or to_ms % INTERVAL_MS:
        return _bad_span("expected a span from and to the start of a 15-minute interval")
    if not meter.interval_end_ms:
        return _bad_span("expected a meter that was read, this one was never")
    closed_ms = meter.interval_start_ms
    if from_ms < 0 or to_ms > closed_ms or not 0 < to_ms - from_ms <= LONGEST_MS:
        return _bad_span(
            "expected a span of at most 31 days that ends at "
            f"{at(max(0, closed_ms))} or before: later intervals of the meter are not closed"
        )
    if community.rules < 2:
        return None
    first_ms = interval_start_of(meter.first_ms) if meter.first_ms >= 0 else 0
    if from_ms < first_ms:
        return _bad_span(
            f"expected a span from {at(first_ms)} on, where the meter was first read, "
            f"got {at(from_ms)}"
        )
    if meter.guard is not None and (detail := _held_or_decided(meter.guard, from_ms, to_ms, at)):
        return _bad_span(detail)
    for former in meter.former_owners:
        if from_ms < former.until_ms < to_ms:
            return _bad_span(
                f"expected a span of one owner: the meter has another from "
                f"{at(former.until_ms)} on, correct the time before and after it apart"
            )
    return None


def unknown_past(community: Community, meter: Meter, command: Correct) -> SettlementRefused | None:
    """Return what neither the core nor the command knows of the meter in the span, if anything."""
    if meter.first_ms < 0 and command.counted_from_ms != command.from_ms:
        return _bad_span(
            "expected a span that begins with a counted interval: "
            "nobody gains for a time before a meter's first reading"
        )
    if not owner_of(community, meter, command):
        return _bad_span("expected a span in which it is known that one member owned the meter")
    return None


def owner_of(community: Community, meter: Meter, command: Correct) -> str:
    """Return who gains or owes by an acceptable correction; empty if that is not known."""
    if community.rules < 2:
        return meter.owner
    if meter.is_owner_known_at(command.from_ms):
        return meter.owner_at(command.from_ms)
    return command.owner if command.owner in community.members else ""


def beyond_rating(community: Community, meter: Meter, command: Correct) -> SettlementRefused | None:
    """Return the refusal of energy below zero, or of more than the meter can have moved there."""
    import_uwh, export_uwh = command.import_uwh, command.export_uwh
    power_w, resolution_uwh = meter.rules.max_power_w, meter.rules.resolution_uwh
    if community.rules < 2:
        limit_uwh = energy_limit_uwh(power_w, command.to_ms - command.from_ms) + resolution_uwh
        most_import_uwh = most_export_uwh = limit_uwh
    else:
        since_ms = max(command.from_ms, meter.first_ms)
        limit_uwh = power_w * (command.to_ms - since_ms) * 10 // 36 - resolution_uwh
        most_import_uwh = max(limit_uwh, command.counted_import_uwh)
        most_export_uwh = max(limit_uwh, command.counted_export_uwh)
    for energy_uwh, most_uwh in ((import_uwh, most_import_uwh), (export_uwh, most_export_uwh)):
        limit_uwh = min(MAX_AMOUNT, most_uwh)
        if not 0 <= energy_uwh <= limit_uwh:
            most = format_kwh(limit_uwh)
            detail = f"expected energy from 0 to {most} kWh, the most that its power allows there"
            return SettlementRefused(SettlementRefusal.BAD_AMOUNT, detail)
    return None


def _held_or_decided(guard: MeterGuard, from_ms: int, to_ms: int, at: Callable[[int], str]) -> str:
    """Return what stands in the way where energy of a span is held, or was decided on."""
    if guard.held is not None and to_ms > (since_ms := guard.held.steps[0].from_ms):
        return (
            f"expected a span before {at(since_ms)}, since when the meter's energy is held: "
            "release or void it first"
        )
    for step_from_ms, step_to_ms in guard.released:
        if from_ms < step_to_ms and step_from_ms < to_ms:
            return (
                f"expected a span outside {at(step_from_ms)} to {at(step_to_ms)}, "
                "whose energy was held, and then released or void"
            )
    return ""


def _bad_span(detail: str) -> SettlementRefused:
    return SettlementRefused(SettlementRefusal.BAD_SPAN, detail)
