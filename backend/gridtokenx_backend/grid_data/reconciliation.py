"""What the gateways measured beside what the grid operator says, meter by meter and day by day.

Only intervals that both know are summed up: what one of them lacks is counted, never taken for
zero.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TextIO
from zoneinfo import ZoneInfo

from gridtokenx_backend.core.messages.grid_data import GridSeries
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_wire.units import UWH_PER_KWH, format_decimal, format_kwh

Direction = Literal["consumption", "generation"]
Verdict = Literal["ok", "differs", "incomplete"]
COMPARED: tuple[Direction, ...] = ("consumption", "generation")


class Tolerance(NamedTuple):
    """A difference is tolerated up to the larger of both."""

    permille: int = 10
    least_uwh: int = UWH_PER_KWH // 10

    def allows(self, ours_uwh: int, theirs_uwh: int) -> bool:
        most_uwh = max(self.least_uwh, theirs_uwh * self.permille // 1000)
        return abs(ours_uwh - theirs_uwh) <= most_uwh


class ReconciledDay(NamedTuple):
    """One meter, direction and local day. `only_ours` and `only_theirs` count intervals."""

    meter: str
    direction: Direction
    day: str
    intervals: int
    ours_uwh: int
    theirs_uwh: int
    only_ours: int
    only_theirs: int
    substitutes: int
    """Of the compared intervals, how many the grid operator did not measure."""
    verdict: Verdict

    @property
    def difference_uwh(self) -> int:
        return self.ours_uwh - self.theirs_uwh


Ours = Mapping[tuple[str, Direction], Mapping[int, int]]
"""By meter and direction: the energy of each interval that is known."""


def compare(
    series: Iterable[GridSeries], ours: Ours, zone: ZoneInfo, tolerance: Tolerance
) -> list[ReconciledDay]:
    """A line for each day that the grid operator speaks of, by meter, direction and day.

    A day in which either lacks an interval is incomplete, unless it differs in what both know.
    """
    theirs: dict[tuple[str, Direction], dict[int, tuple[int | None, Quality]]] = {}
    for each in series:
        if each.quantity in COMPARED:
            known = theirs.setdefault((each.meter, each.quantity), {})
            known.update(
                (interval_ms, (energy_uwh, quality))
                for interval_ms, energy_uwh, quality in each.rows()
            )
    lines = []
    for (meter, direction), known in sorted(theirs.items()):
        days: dict[str, list[int]] = {}
        for interval_ms in sorted(known):
            local = datetime.fromtimestamp(interval_ms / 1000, UTC).astimezone(zone)
            days.setdefault(f"{local:%Y-%m-%d}", []).append(interval_ms)
        mine = ours.get((meter, direction), {})
        lines += [
            _line(meter, direction, day, intervals, known, mine, tolerance)
            for day, intervals in days.items()
        ]
    return lines


def _line(
    meter: str,
    direction: Direction,
    day: str,
    intervals: list[int],
    theirs: Mapping[int, tuple[int | None, Quality]],
    ours: Mapping[int, int],
    tolerance: Tolerance,
) -> ReconciledDay:
    ours_uwh = theirs_uwh = compared = only_ours = only_theirs = substitutes = 0
    for interval_ms in intervals:
        (said_uwh, quality), mine_uwh = theirs[interval_ms], ours.get(interval_ms)
        if said_uwh is not None and mine_uwh is not None:
            compared += 1
            theirs_uwh += said_uwh
            ours_uwh += mine_uwh
            substitutes += quality is not Quality.MEASURED
        else:
            only_ours += said_uwh is None and mine_uwh is not None
            only_theirs += said_uwh is not None and mine_uwh is None
    verdict: Verdict = "ok"
    if not tolerance.allows(ours_uwh, theirs_uwh):
        verdict = "differs"
    elif compared < len(intervals):
        verdict = "incomplete"
    return ReconciledDay(
        meter,
        direction,
        day,
        compared,
        ours_uwh,
        theirs_uwh,
        only_ours,
        only_theirs,
        substitutes,
        verdict,
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
    """A line as it is shown, in the order of the headings."""
    return (
        line.meter,
        line.direction,
        line.day,
        str(line.intervals),
        format_kwh(line.ours_uwh),
        format_kwh(line.theirs_uwh),
        format_decimal(line.difference_uwh, 9),
        str(line.only_ours),
        str(line.only_theirs),
        str(line.substitutes),
        line.verdict,
    )


def write_csv(stream: TextIO, lines: Iterable[ReconciledDay]) -> None:
    """RFC 4180."""
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(HEADINGS)
    writer.writerows(map(cells, lines))
