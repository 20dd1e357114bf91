"""Reads a file with a key's shares by interval; the terms are journaled with what it says.

There are two forms of CSV (UTF-8, with commas, semicolons or tabulators):

- With a heading: `meter`, `start` (of the interval, with its offset or local) and `share_percent`.
- Without a heading: metering point, number of the hour in the year, and coefficient from 0 to 1
  with a point or a comma before the decimals. These are the hourly coefficients of Spain (Real
  Decreto 244/2019, annex I, as changed by Orden TED/1247/2021). Hour 1 begins at midnight on 1
  January of the year in which the key begins, and hours are counted as they pass.

Every meter has a share in every step from the first to the last, and the shares of a step add up to
at most 100 %.
"""

from __future__ import annotations

import csv
import hashlib
import io
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.local_time import HOUR_MS
from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM
from gridtokenx_backend.core.model.sharing_terms import ShareTable
from gridtokenx_backend.core.sharing.key_versions import moment_ms
from gridtokenx_backend.grid_data.file_content import BadFile, decode_text, read_bytes, separator_of
from gridtokenx_backend.grid_data.file_writer import local_text
from gridtokenx_backend.grid_data.interval_rows import BadValue
from gridtokenx_backend.grid_data.local_time import FileTimes, unix_ms
from gridtokenx_wire.units import format_decimal, parse_decimal

MOST_SHARES = 2_000_000
"""A year of hours for 228 meters."""
_HEADING = ("meter", "start", "share_percent")
_HOURS = 8784


class _Share(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A meter's share of a step in millionths, and the row that has it."""

    row: int
    meter: str
    start_ms: int
    ppm: int


def read_share_table(
    path: Path, names: Mapping[str, str], zone: ZoneInfo, valid_from: str
) -> ShareTable:
    """Read the table of a key that begins at `valid_from`. Raises BadFile.

    `names` are the ids of meters by id and by metering point.
    """
    content = read_bytes(path)
    text = decode_text(str(path), content)
    shares, step_ms = _read(path, text, names, zone, valid_from)
    return _table(path, hashlib.sha256(content).hexdigest(), shares, step_ms, zone)


def _read(
    path: Path, text: str, names: Mapping[str, str], zone: ZoneInfo, valid_from: str
) -> tuple[Iterator[_Share], int]:
    """Return the shares in the order of the file, and the length of a step; 0 is not known yet."""
    times = FileTimes(zone)
    first, _, _ = text.partition("\n")
    separator = separator_of(text)
    rows = _rows(path, csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    heading = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=separator), [])]
    if sorted(heading) == sorted(_HEADING):
        next(rows)
        headed = _HeadedRow(heading, names, times, decimal_comma=separator == ";")
        return _shares(path, rows, headed, times), 0
    if len(heading) == 3 and heading[1].isdecimal():
        hourly = _HourlyRow(names, _new_year_ms(zone, valid_from))
        return _shares(path, rows, hourly, times), HOUR_MS
    raise BadFile(
        f"{path}: row 1: expected the columns {', '.join(_HEADING)}, or three columns without a"
        " heading: metering point, hour of the year, coefficient"
    )


def _new_year_ms(zone: ZoneInfo, valid_from: str) -> int:
    """Return local midnight on 1 January of the year in which a key begins."""
    begin = datetime.fromtimestamp(moment_ms(valid_from) / 1000, zone)
    return unix_ms(datetime(begin.year, 1, 1, tzinfo=zone))


def _rows(path: Path, lines: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each row that is not empty."""
    number = 0
    try:
        for number, cells in enumerate(lines, start=1):
            if any(cell.strip() for cell in cells):
                yield number, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise BadFile(f"{path}: row {number + 1}: expected CSV: {error}") from None


class _HeadedRow:
    """Reads a row below a heading; its times may be local."""

    def __init__(
        self,
        heading: Sequence[str],
        names: Mapping[str, str],
        times: FileTimes,
        *,
        decimal_comma: bool,
    ) -> None:
        self._columns = [heading.index(name) for name in _HEADING]
        self._names = names
        self._times = times
        self._decimal_comma = decimal_comma

    def __call__(self, number: int, cells: Sequence[str]) -> _Share:
        point, start, percent = (cells[column] for column in self._columns)
        meter = _meter(point, self._names)
        start_ms = self._times.place(meter, self._times.read(start), f"row {number}")
        ppm = _ppm(percent, 4, decimal_comma=self._decimal_comma)
        return _Share(row=number, meter=meter, start_ms=start_ms, ppm=ppm)


class _HourlyRow:
    """Reads a row of a file without a heading, whose hours are counted from New Year."""

    def __init__(self, names: Mapping[str, str], new_year_ms: int) -> None:
        self._names = names
        self._new_year_ms = new_year_ms

    def __call__(self, number: int, cells: Sequence[str]) -> _Share:
        point, hour, coefficient = cells
        if not (hour.isdecimal() and hour.isascii() and 1 <= int(hour[:9]) <= _HOURS):
            raise BadValue(f"expected an hour of the year, 1 to {_HOURS}, got {hour[:20]!r}")
        start_ms = self._new_year_ms + (int(hour) - 1) * HOUR_MS
        ppm = _ppm(coefficient, 6, decimal_comma=True)
        meter = _meter(point, self._names)
        return _Share(row=number, meter=meter, start_ms=start_ms, ppm=ppm)


def _shares(
    path: Path,
    rows: Iterable[tuple[int, list[str]]],
    read_row: Callable[[int, Sequence[str]], _Share],
    times: FileTimes,
) -> Iterator[_Share]:
    """Yield the shares in the order of the file. Raises BadFile."""
    for number, cells in rows:
        try:
            if len(cells) != len(_HEADING):
                raise BadValue(f"expected {len(_HEADING)} columns, got {len(cells)}")
            share = read_row(number, cells)
        except BadValue as error:
            raise BadFile(f"{path}: row {number}: {error}") from None
        yield share
    if undecided := times.undecided():
        raise BadFile(f"{path}: {': '.join(undecided)}")


def _meter(text: str, names: Mapping[str, str]) -> str:
    if text not in names:
        raise BadValue(f"expected a meter's id or metering_point of this file, got {text[:40]!r}")
    return names[text]


def _ppm(text: str, decimals: int, *, decimal_comma: bool) -> int:
    """Return a share in millionths; it is a percentage of 4 decimals or a coefficient of 6."""
    try:
        ppm = parse_decimal(text.replace(",", ".", 1) if decimal_comma else text, decimals)
    except ValueError:
        ppm = -1
    if not 0 <= ppm <= WHOLE_PPM:
        most = "100" if decimals == 4 else "1"
        raise BadValue(
            f"expected a share from 0 to {most} with at most {decimals} decimals, got {text[:20]!r}"
        )
    return ppm


def _table(
    path: Path, source: str, shares: Iterable[_Share], step_ms: int, zone: ZoneInfo
) -> ShareTable:
    """Return all shares by step and meter. Raises BadFile if one is missing, or beyond 100 %."""
    found: dict[int, dict[str, int]] = {}
    meters: dict[str, None] = {}
    for count, share in enumerate(shares):
        if count >= MOST_SHARES:
            raise BadFile(f"{path}: row {share.row}: expected at most {MOST_SHARES} shares")
        step = found.setdefault(share.start_ms, {})
        if share.meter in step:
            raise BadFile(f"{path}: row {share.row}: expected {share.meter} once at this time")
        step[share.meter] = share.ppm
        meters[share.meter] = None
    if not found:
        raise BadFile(f"{path}: expected at least one share")
    starts, names = sorted(found), sorted(meters)
    step_ms = step_ms or (starts[1] - starts[0] if len(starts) > 1 else INTERVAL_MS)
    if step_ms not in (INTERVAL_MS, HOUR_MS):
        raise BadFile(f"{path}: expected steps of 15 minutes or of an hour")
    packed = array("I")
    for number, start_ms in enumerate(starts):
        if start_ms != starts[0] + number * step_ms:
            missing_ms = starts[0] + number * step_ms
            raise BadFile(f"{path}: expected shares for {local_text(missing_ms, zone)}, found none")
        step = found[start_ms]
        if lacking := [name for name in names if name not in step]:
            raise BadFile(
                f"{path}: expected a share of {lacking[0]} for {local_text(start_ms, zone)}"
            )
        if (total := sum(step.values())) > WHOLE_PPM:
            raise BadFile(
                f"{path}: expected at most 100 percent together for {local_text(start_ms, zone)},"
                f" got {format_decimal(total, 4)}"
            )
        packed.extend(step[name] for name in names)
    return ShareTable(
        source=source,
        start_ms=starts[0],
        step_ms=step_ms,
        meters=names,
        shares=_little_endian(packed),
    )


def _little_endian(packed: array[int]) -> bytes:
    return b"".join(ppm.to_bytes(4, "little") for ppm in packed)


def names_of(meters: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the ids by id and by metering point, of pairs of id and metering point."""
    points = {point: meter for meter, point in meters if point}
    return points | {meter: meter for meter, _ in meters}
