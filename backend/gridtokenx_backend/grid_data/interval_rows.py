"""The rows of a file of any format, the values in them, and the series that they make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

import msgspec

from gridtokenx_backend.core.messages.grid_data import QUANTITIES, GridData, GridSeries, Quantity
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_wire.frame import MAX_METER_ID
from gridtokenx_wire.plain_text import is_plain
from gridtokenx_wire.units import MAX_AMOUNT

MAX_ROWS = 200_000
"""A month of 68 metering points; a bigger community imports by the week."""
MAX_NAME = 255
UWH_OF = {"wh": 10**6, "kwh": 10**9, "mwh": 10**12}

_QUALITIES = {
    "measured": Quality.MEASURED,
    "substitute": Quality.SUBSTITUTE,
    "provisional": Quality.PROVISIONAL,
    "interpolated": Quality.INTERPOLATED,
    "missing": Quality.MISSING,
    # ebUtilities, MeteringMethod: what settlement may use as measured, as substitute, not yet.
    "l1": Quality.MEASURED,
    "l2": Quality.SUBSTITUTE,
    "l3": Quality.PROVISIONAL,
}


class BadValue(ValueError):
    """What was expected of a value; the reader that knows its place makes it a BadFile."""


class GridDataRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The energy of one meter in one interval. `place` is where the file has it, for errors."""

    place: str
    meter: str
    quantity: Quantity
    interval_ms: int
    energy_uwh: int | None
    quality: Quality


def parse_energy(text: str, unit_uwh: int, *, is_rounded: bool = False) -> int:
    """Return a decimal of a unit as whole µWh. Raises BadValue.

    A spreadsheet stores binary floating point, which is seldom exact: what `is_rounded` is rounded
    to the nearest µWh, a half to the even one. Other values must be exact.
    """
    try:
        exact = Decimal(text) * unit_uwh
    except InvalidOperation:
        raise BadValue(f"expected a number such as 0.125, got {text[:40]!r}") from None
    if not exact.is_finite() or not 0 <= exact <= MAX_AMOUNT:
        raise BadValue(f"expected an energy from 0 to 2^63 µWh, got {text[:40]!r}")
    energy_uwh = int(exact.to_integral_value())
    if energy_uwh != exact and not is_rounded:
        raise BadValue(f"expected whole µWh (0.000000001 kWh), got {text[:40]!r}")
    return energy_uwh


def parse_quality(text: str) -> Quality:
    """Return the quality of that name or ebUtilities code. Raises BadValue."""
    quality = _QUALITIES.get(text.strip().lower())
    if quality is None:
        known = ", ".join([*_QUALITIES][:5])
        raise BadValue(f"expected one of {known}, or L1, L2, L3, got {text[:40]!r}")
    return quality


def parse_quantity(text: str) -> Quantity:
    """Return the quantity of that name. Raises BadValue."""
    name = text.strip().lower()
    if name not in QUANTITIES:
        raise BadValue(f"expected one of {', '.join(QUANTITIES)}, got {text[:40]!r}")
    return name  # type: ignore[return-value]


def parse_meter(text: str) -> str:
    """Return a meter's id or metering point. Raises BadValue."""
    name = text.strip()
    if not (1 <= len(name) <= MAX_METER_ID and name.isascii() and name.isprintable()):
        raise BadValue(f"expected a meter's id or metering point, got {text[:40]!r}")
    return name


def energy_with_quality(energy_uwh: int | None, quality: Quality) -> tuple[int | None, Quality]:
    """Return an energy and its quality: without energy it is missing.

    Raises BadValue for energy that is said to be missing.
    """
    if quality is Quality.MISSING and energy_uwh:
        raise BadValue(f"expected no energy where the quality is missing, got {energy_uwh} µWh")
    if energy_uwh is None or quality is Quality.MISSING:
        return None, Quality.MISSING
    return energy_uwh, quality


def assemble(path: str, rows: Iterable[GridDataRow]) -> list[GridSeries]:
    """Return the series of a file's rows, ordered by meter, quantity and time. Raises BadFile.

    A gap ends a series: the file does not say that the intervals in it are missing.
    """
    found: dict[tuple[str, Quantity], dict[int, GridDataRow]] = {}
    for count, row in enumerate(rows):
        if count >= MAX_ROWS:
            raise BadFile(f"{path}: {row.place}: expected at most {MAX_ROWS} rows in a file")
        intervals = found.setdefault((row.meter, row.quantity), {})
        if row.interval_ms in intervals:
            first = intervals[row.interval_ms].place
            raise BadFile(
                f"{path}: {row.place}: expected each interval once, "
                f"got {row.quantity} of {row.meter} again (first: {first})"
            )
        intervals[row.interval_ms] = row
    if not found:
        raise BadFile(f"{path}: expected at least one interval")
    return [
        series
        for meter, quantity in sorted(found)
        for series in _runs(meter, quantity, found[meter, quantity])
    ]


def _runs(meter: str, quantity: Quantity, rows: dict[int, GridDataRow]) -> list[GridSeries]:
    runs: list[list[GridDataRow]] = []
    for interval_ms in sorted(rows):
        if not runs or runs[-1][-1].interval_ms + INTERVAL_MS != interval_ms:
            runs.append([])
        runs[-1].append(rows[interval_ms])
    return [
        GridSeries(
            meter=meter,
            quantity=quantity,
            start_ms=run[0].interval_ms,
            energies_uwh=[row.energy_uwh for row in run],
            qualities="".join(str(int(row.quality)) for row in run),
        )
        for run in runs
    ]


def check_data(data: GridData) -> str:
    """Return what was expected of data that a program sent, or nothing if all of it is as expected.

    Sent data must be as if it had been read from a file here.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", data.source):
        return "source: expected a SHA-256 in hex"
    for field, text in (("name", data.name), ("format", data.format)):
        if text and not is_plain(text, MAX_NAME):
            return f"{field}: expected at most {MAX_NAME} printable characters in one line"
    values = 0
    for series in data.series:
        energies_uwh = series.energies_uwh
        values += len(energies_uwh)
        if not energies_uwh or values > MAX_ROWS:
            return f"energies_uwh: expected 1 to {MAX_ROWS} energies"
        if not is_plain(series.meter, MAX_METER_ID):
            return f"meter: expected 1 to {MAX_METER_ID} printable characters in one line"
        if series.start_ms < 0 or series.start_ms % INTERVAL_MS:
            return "start_ms: expected the start of an interval"
        if len(series.qualities) != len(energies_uwh) or set(series.qualities) - set("01234"):
            return "qualities: expected a quality, 0 to 4, for each energy"
        for energy_uwh, quality in zip(energies_uwh, series.qualities, strict=True):
            if (energy_uwh is None) != (quality == "0"):
                return "qualities: expected energies without value to be missing, and no others"
            if energy_uwh is not None and not 0 <= energy_uwh <= MAX_AMOUNT:
                return "energies_uwh: expected energies from 0 to 2^63 µWh"
    return "" if values else "series: expected at least one"
