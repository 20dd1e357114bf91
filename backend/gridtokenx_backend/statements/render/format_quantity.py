"""Amounts and times as a page shows them; the document has them exactly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

UNKNOWN = "–"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
THIN_SPACE = "\u202f"


def exact(amount: str, least: int = 2) -> str:
    """Return an amount without trailing zeros, with at least `least` decimals.

    Thousands are set apart by a thin space.
    """
    if not amount:
        return UNKNOWN
    whole, _, fraction = amount.lstrip("-").partition(".")
    fraction = fraction.rstrip("0").ljust(least, "0")
    sign = "\u2212" if amount.startswith("-") else ""
    return f"{sign}{_grouped(whole)}.{fraction}" if fraction else f"{sign}{_grouped(whole)}"


def rounded(amount: str, decimals: int = 2) -> str:
    """Return an amount rounded to so many decimals, a half away from zero."""
    if not amount:
        return UNKNOWN
    value = Decimal(amount).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = exact(f"{value:f}", decimals)
    return text.removeprefix("\u2212") if value == 0 else text


def _grouped(whole: str) -> str:
    return f"{int(whole):,}".replace(",", THIN_SPACE)


def month_name(month: str) -> str:
    """Return the month in words, such as June 2026 for 2026-06."""
    year, number = month.split("-")
    return f"{_MONTHS[int(number) - 1]} {year}"


def local_time(at_ms: int, zone: str) -> str:
    """Return day, hour and minute in a time zone."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).strftime("%d %b %H:%M")


def local_day(at_ms: int, zone: str) -> str:
    """Return the day in a time zone."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).strftime("%d %b")


def local_moment(at_ms: int, zone: str) -> str:
    """Return day, hour and minute in a time zone, with the year."""
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def entries(first: int, last: int, count: int) -> str:
    """Return the journal entries behind a line, or nothing if there are none."""
    if not count:
        return ""
    if first == last:
        return f"entry {first}"
    return f"{count} in entries {first}\u2013{last}"


class BarValue(msgspec.Struct, frozen=True, kw_only=True):
    """An amount that a bar shows, and its colour: community or utility."""

    name: str
    amount: str
    colour: Literal["community", "utility"]


class BarPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bar: where it begins and how wide it is, in thousandths of the bar."""

    name: str
    amount: str
    start: int
    width: int
    colour: Literal["community", "utility"]


def bar(values: Sequence[BarValue], whole: Decimal | None = None) -> list[BarPart]:
    """Return the parts of a bar that is `whole` long, or as long as all its parts."""
    amounts = [max(Decimal(0), Decimal(each.amount or "0")) for each in values]
    total = whole or sum(amounts) or Decimal(1)
    parts: list[BarPart] = []
    before = Decimal(0)
    for value, amount in zip(values, amounts, strict=True):
        start, end = (int(1000 * min(at, total) / total) for at in (before, before + amount))
        part = BarPart(
            name=value.name,
            amount=value.amount,
            start=start,
            width=end - start,
            colour=value.colour,
        )
        parts.append(part)
        before += amount
    return parts
