"""A meter's day or month: its bounds in a time zone, its intervals in rows, and its table with
bars.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from gridtokenx_client.answers import Interval, MeterIntervals
from gridtokenx_client.problem import Mistake, one_line
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.units import format_kwh, parse_kwh

_WIDEST_BAR, _SHORTEST_BAR = 24, 4
_WIDTH_BESIDE_BARS = 11 + 2 * 10 + 16 + 19  # time, two amounts, quality and the lines between
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MISSING = "missing"
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


class Bucket(msgspec.Struct, kw_only=True):
    """An hour of a day, or a day of a month. `worst` is the least of its qualities."""

    label: str
    import_uwh: int = 0
    export_uwh: int = 0
    known: int = 0
    missing: int = 0
    worst: str = "measured"


_ORDER = ("missing", "provisional", "interpolated", "substitute", "measured")


def zone_of(name: str) -> tzinfo:
    """Return the named IANA time zone. Raises Mistake."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Mistake(f"--time-zone: expected one such as Europe/Vienna, got {name!r}") from None


def span_of(day: str | None, month: str | None, zone: tzinfo | None) -> tuple[int, int]:
    """Return [from, to) in Unix ms of a local day, or of a local month. Raises Mistake."""
    return day_span(day, zone) if day else month_span(month or "", zone)


def day_span(text: str, zone: tzinfo | None) -> tuple[int, int]:
    """Return [from, to) in Unix ms of a local day, which may have 23 or 25 hours.

    Raises Mistake.
    """
    day = _date_of(text)
    if day is None:
        raise Mistake(f"--day: expected a date such as 2026-06-21, got {text!r}")
    return _start(day, zone), _start(day + timedelta(days=1), zone)


def month_span(text: str, zone: tzinfo | None) -> tuple[int, int]:
    """Return [from, to) in Unix ms of a local month. Raises Mistake."""
    first = _date_of(f"{text}-01")
    if first is None:
        raise Mistake(f"--month: expected a month such as 2026-06, got {text!r}")
    following = (first + timedelta(days=31)).replace(day=1)
    return _start(first, zone), _start(following, zone)


def _date_of(text: str) -> date | None:
    """Return a date; None if it is none, or so far away that its time has no number."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if _FIRST_YEAR <= day.year <= _LAST_YEAR else None


def _start(day: date, zone: tzinfo | None) -> int:
    # Without a zone, times are in this machine's zone, with its summer time.
    return round(datetime.combine(day, time(), zone).timestamp() * 1000)


def _local(at_ms: int, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)


def buckets(intervals: Iterable[Interval], label: Callable[[int], str]) -> list[Bucket]:
    """Return the sums of intervals that follow each other and have the same label."""
    found: list[Bucket] = []
    for each in intervals:
        name = label(each.start_ms)
        if not found or found[-1].label != name:
            found.append(Bucket(label=name))
        bucket = found[-1]
        bucket.worst = min(bucket.worst, each.quality, key=_ORDER.index)
        if each.import_kwh is None or each.export_kwh is None:
            bucket.missing += 1
            continue
        bucket.known += 1
        bucket.import_uwh += parse_kwh(each.import_kwh)
        bucket.export_uwh += parse_kwh(each.export_kwh)
    return found


def hour_label(zone: tzinfo | None) -> Callable[[int], str]:
    """Return a function that labels a time by its hour, such as `14:00 +0200`.

    Where clocks are set back, one hour comes twice, with another offset.
    """
    return lambda at_ms: _local(at_ms, zone).strftime("%H:00 %z")


def day_label(zone: tzinfo | None) -> Callable[[int], str]:
    return lambda at_ms: _local(at_ms, zone).strftime("%a %d %b")


class EnergyTable:
    """A row for each bucket with bars, both directions on one scale, as wide as there is room."""

    def __init__(self, rows: Sequence[Bucket]) -> None:
        self._rows = rows
        self._most_uwh = max([1, *(max(row.import_uwh, row.export_uwh) for row in rows)])

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        yield self._table(min(_WIDEST_BAR, (options.max_width - _WIDTH_BESIDE_BARS) // 2))

    def _table(self, bar_width: int) -> TerminalTable:
        has_bars = bar_width >= _SHORTEST_BAR
        bars = [Column("import"), Column("export")] if has_bars else []
        numbers = [Column(name, is_number=True) for name in ("import kWh", "export kWh")]
        table = TerminalTable([Column("time"), *numbers, *bars, Column("quality", wraps=True)])
        for row in self._rows:
            if not row.known:
                table.add(row.label, "", "", *("" for _ in bars), _MISSING)
                continue
            drawn = (
                Text(bar(row.import_uwh, self._most_uwh, bar_width), "red"),
                Text(bar(row.export_uwh, self._most_uwh, bar_width), "green"),
            )
            quality = row.worst
            if row.missing:
                quality = f"{row.missing} of {row.known + row.missing} missing"
            amounts = (_short(row.import_uwh), _short(row.export_uwh))
            table.add(row.label, *amounts, *(drawn if has_bars else ()), quality)
        return table


def energy_table(found: MeterIntervals, rows: Sequence[Bucket], what: str) -> Group:
    """Return a meter's table between its title and its sums."""
    total = (
        f"import {_plain(found.import_kwh)} kWh, export {_plain(found.export_kwh)} kWh"
        f"{f', {found.missing} intervals missing' if found.missing else ''}"
    )
    return Group(Text(one_line(f"{found.meter}, {what}")), EnergyTable(rows), Text(total))


def bar(value: int, most: int, width: int) -> str:
    """Return a bar in eighths of a character; `most` fills the width. Anything above zero is
    visible.
    """
    eighths = -(-value * width * 8 // most)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _short(energy_uwh: int) -> str:
    """Return kWh to the Wh, rounded half up, for people.

    The options --json and --csv give all of it.
    """
    return format_kwh((energy_uwh + 500_000) // 1_000_000 * 1_000_000)[:-6]


def _plain(amount: str) -> str:
    return amount.rstrip("0").rstrip(".")


def as_csv(found: MeterIntervals) -> str:
    """Return the columns of the API's own CSV; what is missing is empty."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["meter", *Interval.__struct_fields__])
    for each in found.intervals:
        write([found.meter, *msgspec.structs.astuple(each)])
    return out.getvalue()
