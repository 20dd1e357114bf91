"""Checks of `[[tariff]]` and `[carbon]` that their types cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_backend.core.model.tariff_terms import TariffTerms, WindowTerms
from gridtokenx_backend.core.model.terms import CommunityTerms

_LARGEST_G_PER_KWH = 10_000


def check_tariffs(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    """Yield (key path, what was expected) for each bad value of tariffs and carbon."""
    known: set[tuple[str, object]] = set()
    for index, tariff in enumerate(terms.tariff):
        if not tariff.name:
            yield f"tariff[{index}].name", "expected a name"
        if (tariff.name, tariff.valid_from) in known:
            yield f"tariff[{index}].valid_from", "expected another month for the same tariff"
        known.add((tariff.name, tariff.valid_from))
        yield from ((f"tariff[{index}].{key}", line) for key, line in _check_tariff(tariff))
    names = {tariff.name for tariff in terms.tariff}
    for index, member in enumerate(terms.member):
        if member.tariff and member.tariff not in names:
            yield f"member[{index}].tariff", "expected the name of a tariff of this file"
    carbon = terms.carbon
    if not 0 <= carbon.g_per_kwh <= _LARGEST_G_PER_KWH:
        yield "carbon.g_per_kwh", f"expected 0 to {_LARGEST_G_PER_KWH} grams"
    if carbon.g_per_kwh and not carbon.source.strip():
        yield "carbon.source", "expected who says so, such as a report with its year"


def _check_tariff(tariff: TariffTerms) -> Iterator[tuple[str, str]]:
    if tariff.valid_from.day != 1:
        yield "valid_from", "expected the first day of a month: a month has one tariff"
    for name in ("energy_grx_per_kwh", "feed_in_grx_per_kwh", "fixed_grx_per_month"):
        if getattr(tariff, name) < 0:
            yield name, "expected 0 or more"
    for index, window in enumerate(tariff.window):
        yield from ((f"window[{index}].{key}", line) for key, line in _check_window(window))
    names = [window.name for window in tariff.window]
    if len(set(names)) < len(names):
        yield "window", "expected a name of its own for each window"
    for index, line in enumerate(tariff.line):
        if not line.name:
            yield f"line[{index}].name", "expected a name"
        for name in ("grx_per_kwh", "grx_per_month"):
            if getattr(line, name) < 0:
                yield f"line[{index}].{name}", "expected 0 or more"


def _check_window(window: WindowTerms) -> Iterator[tuple[str, str]]:
    if not window.name:
        yield "name", "expected a name"
    if window.energy_grx_per_kwh < 0:
        yield "energy_grx_per_kwh", "expected 0 or more"
    if not 0 <= window.from_hour <= 23:
        yield "from_hour", "expected 0 to 23"
    if not 0 <= window.to_hour <= 24 or window.to_hour == window.from_hour:
        yield "to_hour", "expected 0 to 24, and another hour than from_hour"
    if not window.days:
        yield "days", "expected at least one of mon, tue, wed, thu, fri, sat, sun"
