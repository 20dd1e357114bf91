"""What the operator's decision on held energy changes of the intervals that a community shares.

While a meter's energy is held, what it exports is in its intervals, and is not shared (see
`interval_allocation`). Released energy is shared in the intervals that it belongs to: a step is
spread evenly over its time, and stands in its intervals from then on. What is void stands in none.
Intervals that are final stay as they are. What changed is allocated again at the next clearing.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.messages.held_outcomes import HeldDecision
from gridtokenx_backend.core.model.held_energy import HeldEnergy, HeldStep
from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    EstimatedSpan,
    IntervalEnergy,
    Quality,
)
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.oracle import intervals, late_readings, registers
from gridtokenx_backend.core.state.community import Community


def decide(
    community: Community, meter: Meter, held: HeldEnergy, decision: HeldDecision
) -> list[IntervalEnergy]:
    """Let the meter's intervals say what counts by a decision, and allocate them again.

    Returns those that have other energy now. Where nothing is shared, none has.
    """
    if not community.active_terms.sharing.is_sharing:
        return []
    first = held.steps[0]
    final_ms = _final_ms(community)
    known = community.sharing.readings_of(meter.id, max(final_ms, first.first_interval_ms))
    match decision:
        case "release":
            rows = _release(community, meter, held.steps, known, final_ms)
        case "void":
            rows = []
        case "void_all":
            rows = _void(community, meter, held, known)
    intervals.replace_closed(meter, rows)
    changed = {row.interval_ms: row for row in rows}
    community.sharing.note(meter.id, (known | changed).values())
    return rows


def _final_ms(community: Community) -> int:
    """Return the start of the first interval that the next clearing can allocate again."""
    next_ms = community.cleared_ms + INTERVAL_MS
    return max(0, community.sharing.final_ms, next_ms - community.limits.finality_ms)


def _release(
    community: Community,
    meter: Meter,
    steps: list[HeldStep],
    known: dict[int, IntervalEnergy],
    final_ms: int,
) -> list[IntervalEnergy]:
    """Return the meter's intervals with the energy of the steps."""
    limits, past = community.limits, meter.past
    assert past is not None  # a step began the registers anew
    rows: dict[int, IntervalEnergy] = {}
    for step in steps:
        community.members[step.owner].imported_uwh += step.import_uwh
        if not (step.import_uwh or step.export_uwh):
            continue
        last_ms = step.to_ms - step.to_ms % INTERVAL_MS
        late_readings.drop(past, limits, step.first_interval_ms, last_ms + INTERVAL_MS)
        for start_ms in range(max(final_ms, step.first_interval_ms), step.to_ms, INTERVAL_MS):
            part = _part_of(step, start_ms, limits.boundary_tolerance_ms)
            if start_ms >= meter.interval_start_ms:  # it is open, and closes with this part
                meter.interval_start_import_uwh -= part.import_uwh
                meter.interval_start_export_uwh -= part.export_uwh
                continue
            row = rows.get(start_ms, known.get(start_ms))
            if row is not None:
                revision = row.revision
                if start_ms not in rows:
                    revision = late_readings.next_revision(past, start_ms)
                rows[start_ms] = IntervalEnergy(
                    interval_ms=start_ms,
                    import_uwh=row.import_uwh + part.import_uwh,
                    export_uwh=row.export_uwh + part.export_uwh,
                    quality=max(row.quality, part.quality),
                    revision=revision,
                )
            elif step.from_ms <= start_ms and start_ms + INTERVAL_MS <= step.to_ms:
                rows[start_ms] = part
    return [rows[start_ms] for start_ms in sorted(rows)]


def _part_of(step: HeldStep, start_ms: int, tolerance_ms: int) -> IntervalEnergy:
    """Return what of a step belongs to an interval, as if its registers had been believed."""
    span = EstimatedSpan(
        from_ms=step.from_ms,
        from_import_uwh=0,
        from_export_uwh=0,
        to_ms=step.to_ms,
        to_import_uwh=step.import_uwh,
        to_export_uwh=step.export_uwh,
        base_import_uwh=0,
        base_export_uwh=0,
    )
    end_ms = start_ms + INTERVAL_MS
    start = span.at(max(start_ms, step.from_ms), tolerance_ms)
    end = span.at(min(end_ms, step.to_ms), tolerance_ms)
    is_near = step.from_ms - start_ms <= tolerance_ms and end_ms - step.to_ms <= tolerance_ms
    return IntervalEnergy(
        interval_ms=start_ms,
        import_uwh=end.import_uwh - start.import_uwh,
        export_uwh=end.export_uwh - start.export_uwh,
        quality=Quality.of_boundaries(start, end) if is_near else Quality.INTERPOLATED,
    )


def _void(
    community: Community, meter: Meter, held: HeldEnergy, known: dict[int, IntervalEnergy]
) -> list[IntervalEnergy]:
    """Return the meter's intervals without what was held of them."""
    first, past = held.steps[0], meter.past
    assert past is not None  # a step began the registers anew
    late_readings.drop(past, community.limits, first.interval_ms, meter.interval_end_ms)
    counted_uwh = registers.counted_registers(meter).export_uwh
    if meter.interval_start_ms >= first.interval_ms:
        open_uwh = counted_uwh - meter.interval_start_export_uwh
        free_uwh = held.unheld_uwh(meter.interval_start_ms, open_uwh)
        meter.interval_start_export_uwh = counted_uwh - free_uwh
    return [
        msgspec.structs.replace(
            row,
            export_uwh=free_uwh,
            quality=Quality.SUBSTITUTE,
            revision=late_readings.next_revision(past, at_ms),
        )
        for at_ms, row in known.items()
        if (free_uwh := held.unheld_uwh(at_ms, row.export_uwh)) < row.export_uwh
    ]
