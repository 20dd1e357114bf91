"""Amounts, times and shares as people read them; what is exact stays in the document."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

UNKNOWN = "–"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
THIN_SPACE = "\u202f"


def exact(amount: str, least: int = 2) -> str:
    """All digits that say something, at least `least` decimals, thousands set apart."""
    if not amount:
        return UNKNOWN
    whole, _, fraction = amount.lstrip("-").partition(".")
    fraction = fraction.rstrip("0").ljust(least, "0")
    sign = "\u2212" if amount.startswith("-") else ""
    return f"{sign}{_grouped(whole)}.{fraction}" if fraction else f"{sign}{_grouped(whole)}"


def rounded(amount: str, decimals: int = 2) -> str:
    """To so many decimals, a half away from zero."""
    if not amount:
        return UNKNOWN
    value = Decimal(amount).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = exact(f"{value:f}", decimals)
    return text.removeprefix("\u2212") if value == 0 else text


def _grouped(whole: str) -> str:
    return f"{int(whole):,}".replace(",", THIN_SPACE)


def month_name(month: str) -> str:
    """2026-06 as June 2026."""
    year, number = month.split("-")
    return f"{_MONTHS[int(number) - 1]} {year}"


def local_time(at_ms: int, zone: str) -> str:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).strftime("%d %b %H:%M")


def local_day(at_ms: int, zone: str) -> str:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).strftime("%d %b")


def utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def entries(first: int, last: int, count: int) -> str:
    """The journal entries behind a line."""
    if not count:
        return ""
    if first == last:
        return f"entry {first}"
    return f"{count} in entries {first}\u2013{last}"


class BarPart(NamedTuple):
    """A part of a bar: where it begins and how wide it is, in thousandths of the bar."""

    name: str
    amount: str
    start: int
    width: int
    look: str


def bar(parts: list[tuple[str, str, str]], whole: Decimal | None = None) -> list[BarPart]:
    """(name, amount, look) of each part, laid out over `whole`, by default all parts together."""
    amounts = [max(Decimal(0), Decimal(amount or "0")) for _, amount, _ in parts]
    total = whole or sum(amounts) or Decimal(1)
    laid: list[BarPart] = []
    done = Decimal(0)
    for (name, amount, look), value in zip(parts, amounts, strict=True):
        start, end = (int(1000 * min(at, total) / total) for at in (done, done + value))
        laid.append(BarPart(name, amount, start, end - start, look))
        done += value
    return laid
