"""Which price of a utility tariff holds in which interval of a month.

The core knows nothing of tariffs beyond their terms. Money is µGRX. A line is energy × price,
rounded once: to the nearest µGRX, a half away from zero.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.model.tariff_terms import WEEKDAYS, TariffTerms, WindowTerms
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.statements.model.months import INTERVAL_MS, Month
from gridtokenx_wire.units import UWH_PER_KWH

ROUNDING = "each line is rounded to the nearest 0.000001 GRX, a half away from zero"
ANY_TIME = "any time"


class TariffBand(NamedTuple):
    """A price of energy in µGRX for a kWh, and the name of the window in which it holds."""

    window: str
    price_ugrx: int


class TariffPlan(msgspec.Struct, frozen=True):
    """A tariff over a month: `band_of[i]` is the index in `bands` of the month's i-th interval."""

    terms: TariffTerms
    bands: list[TariffBand]
    band_of: bytes


def worth_ugrx(quantity_uwh: int, price_ugrx: int) -> int:
    """Return energy × price to the nearest µGRX, a half away from zero."""
    twice = 2 * quantity_uwh * price_ugrx
    sign = -1 if twice < 0 else 1
    return sign * ((abs(twice) + UWH_PER_KWH) // (2 * UWH_PER_KWH))


def tariff_of(terms: CommunityTerms, name: str, month: Month) -> TariffTerms | None:
    """Return the tariff of that name that holds in the month, if one does.

    An empty name is that of the first tariff.
    """
    name = name or (terms.tariff[0].name if terms.tariff else "")
    first_day = month.local(month.from_ms).date()
    valid = [each for each in terms.tariff if each.name == name and each.valid_from <= first_day]
    return max(valid, key=lambda each: each.valid_from, default=None)


def plan_of(tariff: TariffTerms, month: Month) -> TariffPlan:
    """Return the tariff's prices over the month; of windows that overlap, the first holds."""
    base = "other times" if tariff.window else ANY_TIME
    bands = [TariffBand(base, int(tariff.energy_grx_per_kwh))]
    bands += [TariffBand(each.name, int(each.energy_grx_per_kwh)) for each in tariff.window]
    by_hour: dict[tuple[int, int], int] = {
        (weekday, hour): _band(tariff.window, weekday, hour)
        for weekday in range(7)
        for hour in range(24)
    }
    band_of = bytearray()
    for at_ms in range(month.from_ms, month.to_ms, INTERVAL_MS):
        local = month.local(at_ms)
        band_of.append(by_hour[local.weekday(), local.hour])
    return TariffPlan(tariff, bands, bytes(band_of))


def _band(windows: list[WindowTerms], weekday: int, hour: int) -> int:
    for index, window in enumerate(windows):
        if _holds(window, weekday, hour):
            return index + 1
    return 0


def _holds(window: WindowTerms, weekday: int, hour: int) -> bool:
    if window.from_hour < window.to_hour:
        return window.from_hour <= hour < window.to_hour and WEEKDAYS[weekday] in window.days
    if hour >= window.from_hour:
        return WEEKDAYS[weekday] in window.days
    return hour < window.to_hour and WEEKDAYS[weekday - 1] in window.days
