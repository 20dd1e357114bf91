"""Imports a file of the grid operator's: the input `grid_data`.

In the mode `imported` the next clearing allocates by its figures. In every mode the journal keeps
it with the file's SHA-256, so that it can be compared.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.grid_data import GridData, GridSeries
from gridtokenx_backend.core.messages.outcomes import Repeated
from gridtokenx_backend.core.messages.sharing_outcomes import (
    GridDataImported,
    GridDataRefusal,
    GridDataRefused,
)
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.model.sharing_keys import Participation, active_key, factor_at
from gridtokenx_backend.core.model.sharing_state import GridOperatorEnergy
from gridtokenx_backend.core.sharing.allocation import part_of
from gridtokenx_backend.core.state.community import Community

_READ = ("received", "consumption", "consumption_part", "generation", "generation_part")
MOST_SOURCES = 10_000


def import_file(
    community: Community, data: GridData, at_ms: int
) -> GridDataImported | GridDataRefused | Repeated:
    """Import a whole file, or refuse the whole. A file that was imported before changes nothing."""
    state = community.sharing
    if data.source in state.sources:
        return Repeated(state.sources[data.source])
    points = _points(community)
    for series in data.series:
        if series.meter not in points:
            return _refused(
                GridDataRefusal.UNKNOWN_METER,
                f"expected meters of this community, got {series.meter!r}: "
                "its metering_point belongs into community.toml",
            )
        if _end(series) > at_ms:
            return _refused(GridDataRefusal.NOT_YET, f"{series.meter}: expected the past")
    final_ms = at_ms - community.limits.finality_ms
    if any(_is_final(community, series, final_ms) for series in data.series):
        return _refused(
            GridDataRefusal.FINAL, "expected intervals that are not final: a correction is needed"
        )
    for series in data.series:
        _keep_figures(community, points[series.meter], series)
    while len(state.sources) >= MOST_SOURCES:
        del state.sources[next(iter(state.sources))]
    state.sources[data.source] = community.entries + 1
    values = sum(len(series.energies_uwh) for series in data.series)
    first_ms = min(series.start_ms for series in data.series)
    return GridDataImported(
        source=data.source, values=values, from_ms=first_ms, to_ms=max(map(_end, data.series))
    )


def _points(community: Community) -> dict[str, list[Meter]]:
    """Return the meters that each name stands for: a meter's id, or its metering point.

    At a metering point another meter may have been before, which counts for its own time. By rules
    version 1 only the last one counted.
    """
    points: dict[str, list[Meter]] = {}
    for meter in community.meters.values():
        name = meter.metering_point or meter.id
        others = points.get(name, []) if community.rules >= 2 else []
        points[name] = [*others, meter]
    return points | {name: [meter] for name, meter in community.meters.items()}


def _meter_at(meters: list[Meter], interval_ms: int) -> Meter:
    """Return which meter of a metering point counts in an interval.

    Before the first of them was known, that is the first one.
    """
    listed = [meter for meter in meters if meter.is_listed_at(interval_ms)]
    if listed:
        return max(listed, key=lambda meter: (meter.listed_ms, meter.rules.active))
    former = [meter for meter in meters if meter.listed_ms <= interval_ms]
    if former:
        return max(former, key=lambda meter: meter.unlisted_ms)
    return min(meters, key=lambda meter: meter.listed_ms)


def _refused(reason: GridDataRefusal, detail: str) -> GridDataRefused:
    return GridDataRefused(reason, detail)


def _end(series: GridSeries) -> int:
    return series.start_ms + len(series.energies_uwh) * INTERVAL_MS


def _is_final(community: Community, series: GridSeries, final_ms: int) -> bool:
    """Return whether a series would change an interval that is final."""
    if series.start_ms >= final_ms:
        return False
    key = active_key(community.sharing.keys, series.start_ms)
    return key is not None and key.mode == "imported"


def _keep_figures(community: Community, meters: list[Meter], series: GridSeries) -> None:
    """Keep a series for the next clearing, together with other figures of the same meters."""
    if series.quantity not in _READ:
        return
    state = community.sharing
    factors: dict[str, list[Participation]] = {}
    for each in state.participation:
        factors.setdefault(each.meter, []).append(each)
    for interval_ms, energy_uwh, quality in series.rows():
        key = active_key(state.keys, interval_ms)
        if energy_uwh is None or key is None or key.mode != "imported":
            continue
        meter = _meter_at(meters, interval_ms).id if len(meters) > 1 else meters[0].id
        factor_ppm = factor_at(factors.get(meter, []), interval_ms)
        reports = state.new_reports.setdefault(interval_ms, {})
        new = _operators(series.quantity, energy_uwh, factor_ppm, quality)
        reports[meter] = reports[meter].joined(new) if meter in reports else new


def _operators(
    quantity: str, energy_uwh: int, factor_ppm: int, quality: Quality
) -> GridOperatorEnergy:
    """Return one figure as a part that takes part; some quantities are such parts already."""
    match quantity:
        case "received":
            return GridOperatorEnergy(received_uwh=energy_uwh, quality=int(quality))
        case "consumption_part":
            return GridOperatorEnergy(consumed_uwh=energy_uwh)
        case "consumption":
            return GridOperatorEnergy(consumed_uwh=part_of(energy_uwh, factor_ppm))
        case "generation_part":
            return GridOperatorEnergy(generated_uwh=energy_uwh, quality=int(quality))
    return GridOperatorEnergy(generated_uwh=part_of(energy_uwh, factor_ppm), quality=int(quality))
