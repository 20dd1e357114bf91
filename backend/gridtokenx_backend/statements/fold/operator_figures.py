"""What the grid operator's files say of a month, beside what the gateways measured.

Consumption and generation are compared with the gateways'. What members received by a file is
compared with what they were given by it.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Literal

import msgspec

from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.statements.fold.energy import MeteredSpan, slot_of
from gridtokenx_backend.statements.fold.metering_points import MeteringPoints
from gridtokenx_backend.statements.model.document import Reconciliation
from gridtokenx_backend.statements.model.months import Month
from gridtokenx_wire.units import format_kwh

UNKNOWN = -1
ComparedQuantity = Literal["consumption", "generation"]
_DIRECTIONS: tuple[tuple[ComparedQuantity, Literal["import", "export"]], ...] = (
    ("consumption", "import"),
    ("generation", "export"),
)


class OperatorFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that says something of the month. `source` is its SHA-256, `entry` the journal's."""

    entry: int
    source: str
    name: str


class OperatorFigures:
    """The figures of all files so far; where several say something, the newest holds."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.by_meter: dict[str, dict[str, array[int]]] = {}
        """By meter and quantity: the energy of each interval of the month in µWh, or UNKNOWN."""
        self.files: dict[str, list[OperatorFile]] = {}
        """By meter, the files that say something of it."""

    def add(
        self, entry: int, data: GridData, terms: CommunityTerms, points: MeteringPoints | None
    ) -> set[str]:
        """Take a file's energies; return the meters whose comparison it concerns.

        By rules version 1 a file could only name meters of the newest terms: then there are no
        `points`.
        """
        ids = {meter.metering_point or meter.id: meter.id for meter in terms.meter}
        ids |= {meter.id: meter.id for meter in terms.meter}
        concerned: set[str] = set()
        for series in data.series:
            is_compared = series.quantity in ("consumption", "generation")
            if not is_compared and not (points and series.quantity == "received"):
                continue
            for interval_ms, energy_uwh, _ in series.rows():
                if energy_uwh is None or not self.month.has(interval_ms):
                    continue
                name = series.meter
                meter = points.meter_at(name, interval_ms) if points else ids.get(name)
                if meter is None:
                    continue
                self._figures(meter, series.quantity)[slot_of(self.month, interval_ms)] = energy_uwh
                if is_compared:
                    concerned.add(meter)
        file = OperatorFile(entry=entry, source=data.source, name=data.name)
        for meter in concerned:
            self.files.setdefault(meter, []).append(file)
        return concerned

    def received_at(self, slot: int) -> dict[str, int]:
        """Return what each meter received in an interval of the month, as far as files say it."""
        return {
            meter: energy_uwh
            for meter, quantities in self.by_meter.items()
            if "received" in quantities and (energy_uwh := quantities["received"][slot]) != UNKNOWN
        }

    def _figures(self, meter: str, quantity: str) -> array[int]:
        of_meter = self.by_meter.setdefault(meter, {})
        if quantity not in of_meter:
            of_meter[quantity] = array("q", [UNKNOWN]) * self.month.intervals
        return of_meter[quantity]


def reconcile(metered: MeteredSpan, figures: OperatorFigures) -> list[Reconciliation]:
    """Return the gateway's energy of a metering point beside the grid operator's, by direction.

    Only intervals that both know are added up; what one of them lacks is counted.
    """
    span = metered.span
    by_quantity = figures.by_meter.get(span.meter, {})
    files = figures.files.get(span.meter, [])
    compared = []
    for quantity, direction in _DIRECTIONS:
        if quantity not in by_quantity:
            continue
        operators = by_quantity[quantity][span.first : span.end]
        gateways = _gateway_energies(metered, quantity)
        both = [slot for slot in gateways if operators[slot] != UNKNOWN]
        known = len(operators) - operators.count(UNKNOWN)
        gateway_uwh = sum(gateways[slot] for slot in both)
        operator_uwh = sum(operators[slot] for slot in both)
        compared.append(
            Reconciliation(
                meter=span.meter,
                direction=direction,
                intervals=len(both),
                gateway_kwh=format_kwh(gateway_uwh),
                operator_kwh=format_kwh(operator_uwh),
                difference_kwh=format_kwh(gateway_uwh - operator_uwh),
                only_gateway=len(gateways) - len(both),
                only_operator=known - len(both),
                first_entry=files[0].entry,
                last_entry=files[-1].entry,
                files=[file.source for file in files],
            )
        )
    return compared


def _gateway_energies(metered: MeteredSpan, quantity: ComparedQuantity) -> Mapping[int, int]:
    """Return the energy of the intervals that the gateway knows, counted from the span's begin."""
    month = metered.month
    if month is None:
        return {}
    energies = month.import_uwh if quantity == "consumption" else month.export_uwh
    return {
        slot: energies[metered.span.first + slot]
        for slot, quality in enumerate(metered.qualities)
        if quality != Quality.MISSING
    }
