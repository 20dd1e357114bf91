"""What the grid operator's files say of a month, beside what the gateways measured."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Literal, NamedTuple

from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.statements.fold.energy import MeteredSpan, slot_of
from gridtokenx_backend.statements.model.document import Reconciliation
from gridtokenx_backend.statements.model.months import Month
from gridtokenx_wire.units import format_kwh

UNKNOWN = -1
_DIRECTIONS: tuple[tuple[str, Literal["import", "export"]], ...] = (
    ("consumption", "import"),
    ("generation", "export"),
)


class OperatorFile(NamedTuple):
    """A file that says something of the month, by the journal's entry that took it."""

    entry: int
    source: str
    name: str


class OperatorFigures:
    """The state of the fold: of what several files say, the newest holds."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.by_meter: dict[str, dict[str, array[int]]] = {}
        """By meter and quantity: the energy of each interval of the month, or UNKNOWN."""
        self.files: dict[str, list[OperatorFile]] = {}
        """By meter, those that say something of it."""

    def add(self, entry: int, data: GridData, terms: CommunityTerms) -> set[str]:
        """Takes a file's whole consumption and generation; the meters that it concerns."""
        names = {meter.metering_point or meter.id: meter.id for meter in terms.meter}
        names |= {meter.id: meter.id for meter in terms.meter}
        concerned: set[str] = set()
        for series in data.series:
            meter = names.get(series.meter)
            if meter is None or series.quantity not in ("consumption", "generation"):
                continue
            for interval_ms, energy_uwh, _ in series.rows():
                if energy_uwh is None or not self._is_inside(interval_ms):
                    continue
                self._figures(meter, series.quantity)[slot_of(self.month, interval_ms)] = energy_uwh
                concerned.add(meter)
        for meter in concerned:
            self.files.setdefault(meter, []).append(OperatorFile(entry, data.source, data.name))
        return concerned

    def _figures(self, meter: str, quantity: str) -> array[int]:
        of_meter = self.by_meter.setdefault(meter, {})
        if quantity not in of_meter:
            of_meter[quantity] = array("q", [UNKNOWN]) * self.month.intervals
        return of_meter[quantity]

    def _is_inside(self, interval_ms: int) -> bool:
        return self.month.from_ms <= interval_ms < self.month.to_ms


def reconciled(metered: MeteredSpan, figures: OperatorFigures) -> list[Reconciliation]:
    """The gateway's energy of a metering point beside the grid operator's, for each direction.

    Only intervals that both know are summed up; what one of them lacks is counted.
    """
    found = []
    said = figures.by_meter.get(metered.meter, {})
    files = figures.files.get(metered.meter, [])
    for quantity, direction in _DIRECTIONS:
        if quantity in said:
            theirs = said[quantity][metered.first : metered.end]
            ours = _ours(metered, quantity)
            both = [slot for slot in ours if theirs[slot] != UNKNOWN]
            known = len(theirs) - theirs.count(UNKNOWN)
            ours_uwh = sum(ours[slot] for slot in both)
            theirs_uwh = sum(theirs[slot] for slot in both)
            found.append(
                Reconciliation(
                    metered.meter,
                    direction,
                    len(both),
                    format_kwh(ours_uwh),
                    format_kwh(theirs_uwh),
                    format_kwh(ours_uwh - theirs_uwh),
                    len(ours) - len(both),
                    known - len(both),
                    files[0].entry,
                    files[-1].entry,
                    [file.source for file in files],
                )
            )
    return found


def _ours(metered: MeteredSpan, quantity: str) -> Mapping[int, int]:
    """The gateway's energy of the intervals that it knows, counted from the span's begin."""
    month = metered.of_month
    if month is None:
        return {}
    energies = month.import_uwh if quantity == "consumption" else month.export_uwh
    return {
        slot: energies[metered.first + slot]
        for slot, quality in enumerate(metered.qualities)
        if quality != Quality.MISSING
    }
