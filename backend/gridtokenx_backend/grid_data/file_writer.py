"""Writes interval energy and allocations as CSV and XLSX, in the layout that `table` reads.

The heading has the unit and each time its offset, so that a row is complete in itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gridtokenx_backend.core.messages.grid_data import GridSeries
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_wire.units import format_kwh


class FileLine(NamedTuple):
    """A row of the file; it is always made with keywords."""

    meter: str
    quantity: str
    start: str
    energy_kwh: str
    quality: str


HEADING = FileLine._fields


def lines_of(series: Iterable[GridSeries], zone: ZoneInfo) -> list[FileLine]:
    """Return a line for each interval; the energy of a missing one is empty."""
    return [
        FileLine(
            meter=each.meter,
            quantity=each.quantity,
            start=local_text(interval_ms, zone),
            energy_kwh="" if energy_uwh is None else format_kwh(energy_uwh),
            quality=quality.label,
        )
        for each in series
        for interval_ms, energy_uwh, quality in each.rows()
    ]


def allocation_lines(allocations: Iterable[Allocation], zone: ZoneInfo) -> list[FileLine]:
    """Return what was allocated, for each interval in its newest revision.

    The quantities are those of the files that are read: `consumption_part`, `share` and `received`
    of a consumer, `generation_part` and `surplus_part` of a producer. While energy is held back for
    a missing meter, the surplus is not known yet, and missing.
    """
    newest: dict[int, Allocation] = {}
    for allocation in allocations:
        known = newest.get(allocation.interval_ms)
        if known is None or known.revision < allocation.revision:
            newest[allocation.interval_ms] = allocation
    lines = []
    for interval_ms in sorted(newest):
        start = local_text(interval_ms, zone)
        for out in newest[interval_ms].producers:
            surplus_uwh = None if out.held_uwh or out.offered_uwh is None else out.surplus_uwh
            for quantity, energy_uwh in (
                ("generation_part", out.offered_uwh),
                ("surplus_part", surplus_uwh),
            ):
                lines.append(_line(out.meter, quantity, start, energy_uwh, out.quality))
        for line in newest[interval_ms].consumers:
            values = [("consumption_part", line.consumed_uwh), ("received", line.received_uwh)]
            if line.share_uwh is not None:
                values.insert(1, ("share", line.share_uwh))
            lines += [
                _line(line.meter, quantity, start, energy_uwh, line.quality)
                for quantity, energy_uwh in values
            ]
    return lines


def _line(meter: str, quantity: str, start: str, energy_uwh: int | None, quality: int) -> FileLine:
    return FileLine(
        meter=meter,
        quantity=quantity,
        start=start,
        energy_kwh="" if energy_uwh is None else format_kwh(energy_uwh),
        quality=(Quality.MISSING if energy_uwh is None else Quality(quality)).label,
    )


def local_text(interval_ms: int, zone: ZoneInfo) -> str:
    """Return a time such as 2026-10-25T02:00:00+02:00; the offset says which of two hours it is."""
    return datetime.fromtimestamp(interval_ms / 1000, UTC).astimezone(zone).isoformat()


def as_csv(lines: Iterable[FileLine]) -> bytes:
    """Return the lines as CSV in UTF-8 (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(HEADING)
    writer.writerows(lines)
    return out.getvalue().encode()


def as_xlsx(lines: Iterable[FileLine]) -> bytes:
    """Return the lines as a workbook.

    Every cell is text, so that nothing becomes a formula or is rounded.
    """
    import openpyxl  # noqa: PLC0415 - only this needs it
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("energy")
    for line in (HEADING, *lines):
        row = []
        for text in line:
            cell = WriteOnlyCell(sheet, text)
            cell.data_type = "s"  # else a meter named "=1+1" would be computed
            row.append(cell)
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    book.close()
    return out.getvalue()
