"""Compares what the gateways measured with what the grid operator says, by meter and by day.

Only intervals that both know are added up. What one of them lacks is counted, and never taken for
zero.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TextIO
from zoneinfo import ZoneInfo

import msgspec

from gridtokenx_backend.core.messages.grid_data import GridSeries
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_wire.units import UWH_PER_KWH, format_decimal, format_kwh

Direction = Literal["consumption", "generation"]
DayVerdict = Literal["ok", "differs", "incomplete"]
COMPARED: tuple[Direction, ...] = ("consumption", "generation")
GatewayEnergies = Mapping[tuple[str, Direction], Mapping[int, int]]
"""By meter and direction: the energy in µWh of each interval that is known."""


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the two may differ: up to the larger of both."""

    permille: int = 10
    least_uwh: int = UWH_PER_KWH // 10

    def allows(self, gateway_uwh: int, operator_uwh: int) -> bool:
        """Return whether a difference is within the tolerance."""
        most_uwh = max(self.least_uwh, operator_uwh * self.permille // 1000)
        return abs(gateway_uwh - operator_uwh) <= most_uwh


class ReconciledDay(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's energy of a local day in one direction, by its gateway and by the grid operator.

    `intervals` are those that both know, `only_gateway` and `only_operator` those that one lacks.
    """

    meter: str
    direction: Direction
    day: str
    intervals: int
    gateway_uwh: int
    operator_uwh: int
    only_gateway: int
    only_operator: int
    substitutes: int
    """How many of the intervals that both know the grid operator did not measure."""
    verdict: DayVerdict

    @property
    def difference_uwh(self) -> int:
        """How much more the gateway measured."""
        return self.gateway_uwh - self.operator_uwh


class OperatorEnergy(NamedTuple):
    """What the grid operator says of an interval; None is missing."""

    energy_uwh: int | None
    quality: Quality


def compare(
    series: Iterable[GridSeries],
    gateways: GatewayEnergies,
    zone: ZoneInfo,
    tolerance: Tolerance,
) -> list[ReconciledDay]:
    """Return a line for each day of the grid operator's series, by meter, direction and day.

    A day in which one of both lacks an interval is incomplete, unless it differs in what both know.
    """
    operators: dict[tuple[str, Direction], dict[int, OperatorEnergy]] = {}
    for each in series:
        if each.quantity in COMPARED:
            known = operators.setdefault((each.meter, each.quantity), {})
            for interval_ms, energy_uwh, quality in each.rows():
                known[interval_ms] = OperatorEnergy(energy_uwh, quality)
    lines = []
    for (meter, direction), known in sorted(operators.items()):
        days: dict[str, dict[int, OperatorEnergy]] = {}
        for interval_ms in sorted(known):
            local = datetime.fromtimestamp(interval_ms / 1000, UTC).astimezone(zone)
            days.setdefault(f"{local:%Y-%m-%d}", {})[interval_ms] = known[interval_ms]
        energies = gateways.get((meter, direction), {})
        lines += [
            _compare_day(meter, direction, day, intervals, energies, tolerance)
            for day, intervals in days.items()
        ]
    return lines


def _compare_day(
    meter: str,
    direction: Direction,
    day: str,
    operators: Mapping[int, OperatorEnergy],
    gateways: Mapping[int, int],
    tolerance: Tolerance,
) -> ReconciledDay:
    gateway_uwh = operator_uwh = compared = only_gateway = only_operator = substitutes = 0
    for interval_ms, (energy_uwh, quality) in operators.items():
        measured_uwh = gateways.get(interval_ms)
        if energy_uwh is not None and measured_uwh is not None:
            compared += 1
            operator_uwh += energy_uwh
            gateway_uwh += measured_uwh
            substitutes += quality is not Quality.MEASURED
        else:
            only_gateway += energy_uwh is None and measured_uwh is not None
            only_operator += energy_uwh is not None and measured_uwh is None
    verdict: DayVerdict = "ok"
    if not tolerance.allows(gateway_uwh, operator_uwh):
        verdict = "differs"
    elif compared < len(operators):
        verdict = "incomplete"
    return ReconciledDay(
        meter=meter,
        direction=direction,
        day=day,
        intervals=compared,
        gateway_uwh=gateway_uwh,
        operator_uwh=operator_uwh,
        only_gateway=only_gateway,
        only_operator=only_operator,
        substitutes=substitutes,
        verdict=verdict,
    )


HEADINGS = (
    "meter",
    "direction",
    "day",
    "intervals",
    "gateway_kwh",
    "operator_kwh",
    "difference_kwh",
    "only_gateway",
    "only_operator",
    "substitutes",
    "verdict",
)


def cells(line: ReconciledDay) -> tuple[str, ...]:
    """Return a line as text, in the order of the headings."""
    return (
        line.meter,
        line.direction,
        line.day,
        str(line.intervals),
        format_kwh(line.gateway_uwh),
        format_kwh(line.operator_uwh),
        format_decimal(line.difference_uwh, 9),
        str(line.only_gateway),
        str(line.only_operator),
        str(line.substitutes),
        line.verdict,
    )


def write_csv(stream: TextIO, lines: Iterable[ReconciledDay]) -> None:
    """Write the lines as CSV (RFC 4180)."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(HEADINGS)
    writer.writerows(map(cells, lines))
