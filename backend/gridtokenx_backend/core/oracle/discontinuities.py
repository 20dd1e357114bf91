"""Registers that go on from a refused value: the meter was changed, or a reading was wrong.

A single wrong reading is forgotten as soon as the registers go on from the last accepted one. If
readings go on from the refused one for an interval, they are the meter's registers from then on.
What lies between the two is not known, and waiting does not make it known: see `held_energy`.
"""

from __future__ import annotations

from gridtokenx_backend.core.model.held_energy import HoldReason, MeterGuard, SuspectRegisters
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.oracle.energy_window import possible_uwh

STEPS_KEPT = 16
"""The doubtful steps of a meter that wait for the operator. Until then no other one is taken."""


def moved_uwh(last_uwh: int, new_uwh: int, rules: MeterRules) -> int:
    """Return how far a register has moved, at the least; below zero if it can only have fallen."""
    if new_uwh < last_uwh < rules.rollover_uwh:
        return new_uwh + rules.rollover_uwh - last_uwh
    return new_uwh - last_uwh


def is_refused_jump(guard: MeterGuard, imported_uwh: int, exported_uwh: int) -> bool:
    """Return whether registers that moved so far moved as far as a jump that was refused."""
    suspect = guard.suspect
    return suspect is not None and (
        0 <= suspect.refused_import_uwh <= imported_uwh
        or 0 <= suspect.refused_export_uwh <= exported_uwh
    )


def suspect(
    meter: Meter, time_ms: int, import_uwh: int, export_uwh: int
) -> SuspectRegisters | None:
    """Note a reading that was refused for its registers, which came after the last accepted one.

    Return the line along which the meter's registers go, if this reading shows that they do.
    """
    guard = meter.guard = meter.guard or MeterGuard()
    known = guard.suspect
    if known is not None and time_ms <= known.last_ms:
        return None
    follows = known is not None and _follows(meter, known, time_ms, import_uwh, export_uwh)
    refused = _refused(meter, time_ms, import_uwh, export_uwh)
    first = (
        (known.first_ms, known.first_import_uwh, known.first_export_uwh)
        if known is not None and follows
        else (time_ms, import_uwh, export_uwh)
    )
    guard.suspect = SuspectRegisters(
        first_ms=first[0],
        first_import_uwh=first[1],
        first_export_uwh=first[2],
        last_ms=time_ms,
        last_import_uwh=import_uwh,
        last_export_uwh=export_uwh,
        refused_import_uwh=refused[0],
        refused_export_uwh=refused[1],
    )
    is_full = guard.held is not None and len(guard.held.steps) >= STEPS_KEPT
    return guard.suspect if time_ms - first[0] >= INTERVAL_MS and not is_full else None


def reason_of(meter: Meter, line: SuspectRegisters) -> HoldReason:
    """Return why the step from a meter's last accepted reading to this line is doubtful."""
    is_jump = line.refused_import_uwh >= 0 or line.refused_export_uwh >= 0
    has_fallen = (
        line.first_import_uwh < meter.last_import_uwh
        or line.first_export_uwh < meter.last_export_uwh
    )
    return "rollback" if has_fallen or not is_jump else "jump"


def _follows(
    meter: Meter, line: SuspectRegisters, time_ms: int, import_uwh: int, export_uwh: int
) -> bool:
    rules, guard = meter.rules, meter.guard
    assert guard is not None
    most_uwh = possible_uwh(rules.max_power_w, time_ms - line.first_ms) + rules.resolution_uwh
    return (
        line.last_import_uwh <= import_uwh
        and line.last_export_uwh <= export_uwh
        and import_uwh - line.first_import_uwh <= most_uwh - guard.excess_import_uwh
        and export_uwh - line.first_export_uwh <= most_uwh - guard.excess_export_uwh
    )


def _refused(meter: Meter, time_ms: int, import_uwh: int, export_uwh: int) -> tuple[int, int]:
    """Return the least movement of import and export that was refused as a jump, with this one."""
    rules, guard = meter.rules, meter.guard
    assert guard is not None
    possible = possible_uwh(rules.max_power_w, time_ms - meter.last_ms) + rules.resolution_uwh
    known = guard.suspect
    before = (known.refused_import_uwh, known.refused_export_uwh) if known else (-1, -1)
    moved = (
        moved_uwh(meter.last_import_uwh, import_uwh, rules),
        moved_uwh(meter.last_export_uwh, export_uwh, rules),
    )
    excess = (guard.excess_import_uwh, guard.excess_export_uwh)
    refused_import_uwh, refused_export_uwh = (
        far if far > possible - more and (least < 0 or far < least) else least
        for far, more, least in zip(moved, excess, before, strict=True)
    )
    return refused_import_uwh, refused_export_uwh
