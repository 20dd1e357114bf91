"""Checks of `[sharing]`, its keys and its participants that their types cannot express."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM
from gridtokenx_backend.core.model.sharing_terms import KeyTerms, SharingTerms
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_backend.core.sharing.key_versions import moment_ms
from gridtokenx_wire.frame import MAX_METER_ID
from gridtokenx_wire.units import format_decimal, format_grx

_BY_SHARES = ("static", "time_varying")
_MOST_KEYS = 1000
_LARGEST_VERSION = 2**31 - 1


def check_sharing(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    """Yield (key path, what was expected) for each bad value that concerns sharing."""
    yield from _check_price(terms)
    yield from _check_points(terms)
    sharing, mode = terms.sharing, terms.community.mode
    if mode != "market" and not sharing.key:
        yield "sharing.key", f'expected a key, [[sharing.key]], for the mode "{mode}"'
    if mode != "market" and not (terms.interval.enabled and terms.interval.mode == "ex_post"):
        yield "interval.mode", "expected intervals that are cleared ex_post where energy is shared"
    if len(sharing.key) > _MOST_KEYS:
        yield "sharing.key", f"expected at most {_MOST_KEYS} versions"
    meters = {meter.id for meter in terms.meter}
    last_version, last_ms = 0, -1
    for index, key in enumerate(sharing.key):
        where = f"sharing.key[{index}]"
        if key.version > _LARGEST_VERSION:
            yield f"{where}.version", f"expected at most {_LARGEST_VERSION}"
        elif key.version <= last_version:
            yield f"{where}.version", f"expected more than {last_version}, got {key.version}"
        last_version = max(last_version, key.version)
        start_ms = -1
        try:
            start_ms = _interval(key.valid_from)
        except ValueError as error:
            yield f"{where}.valid_from", str(error)
        if 0 <= start_ms <= last_ms:
            yield f"{where}.valid_from", "expected a later time than of the version before"
        last_ms = max(last_ms, start_ms)
        yield from _check_key(where, key, key.mode or mode, meters)
    yield from _check_participation(sharing, meters)


def _interval(text: str) -> int:
    start_ms = moment_ms(text)
    if start_ms < 0 or start_ms % INTERVAL_MS:
        raise ValueError(f"expected the start of a quarter of an hour, got {text}")
    return start_ms


def _check_price(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    sharing, tick_ugrx = terms.sharing, int(terms.market.tick_grx_per_kwh)
    for name in ("price_grx_per_kwh", "floor_grx_per_kwh", "ceiling_grx_per_kwh"):
        price_ugrx = int(getattr(sharing, name))
        if price_ugrx < 0 or (tick_ugrx > 0 and price_ugrx % tick_ugrx):
            tick = format_grx(tick_ugrx)
            yield f"sharing.{name}", f"expected 0 or a multiple of the tick, {tick} GRX"
    floor_ugrx, ceiling_ugrx = sharing.floor_grx_per_kwh, sharing.ceiling_grx_per_kwh
    is_inside = floor_ugrx <= sharing.price_grx_per_kwh <= ceiling_ugrx
    if sharing.price_rule == "balance" and not is_inside:
        yield "sharing.price_grx_per_kwh", "expected it between floor and ceiling"


def _check_points(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    points: set[str] = {meter.id for meter in terms.meter}
    for index, meter in enumerate(terms.meter):
        point = meter.metering_point
        if not point or point == meter.id:
            continue
        is_name = len(point) <= MAX_METER_ID and point.isascii() and point.isprintable()
        if point in points or not is_name:
            where = f"meter[{index}].metering_point"
            yield where, "expected a printable ASCII name that no other meter has"
        points.add(point)


def _check_key(where: str, key: KeyTerms, mode: str, meters: set[str]) -> Iterator[tuple[str, str]]:
    shares_at = f"{where}.shares_percent"
    if mode not in _BY_SHARES:
        if key.shares_percent:
            yield shares_at, f"expected none in the mode {mode}"
    elif not key.shares_percent and not ((key.hours or key.table) and mode == "time_varying"):
        yield shares_at, "expected a share for at least one meter"
    yield from _check_shares(shares_at, key.shares_percent, meters)
    if key.hours and mode != "time_varying":
        yield f"{where}.hours", "expected none but in the mode time_varying"
    if not key.table.isprintable():
        yield f"{where}.table", "expected a file's name of printable characters"
    elif key.table and mode != "time_varying":
        yield f"{where}.table", "expected none but in the mode time_varying"
    if key.of_table is not None:
        yield f"{where}.of_table", "expected no such key: table names the file"
    seen: set[tuple[int, str]] = set()
    for index, entry in enumerate(key.hours):
        at = f"{where}.hours[{index}]"
        if not 0 <= entry.hour <= 23:
            yield f"{at}.hour", f"expected 0 to 23, got {entry.hour}"
        if (entry.hour, entry.days) in seen:
            yield f"{at}.hour", "expected one entry for an hour and its days"
        seen.add((entry.hour, entry.days))
        yield from _check_shares(f"{at}.shares_percent", entry.shares_percent, meters)


def _check_shares(
    where: str, shares: Mapping[str, int], meters: set[str]
) -> Iterator[tuple[str, str]]:
    for meter, share_ppm in shares.items():
        if meter not in meters:
            yield where, f"expected the ids of meters of this file, got {meter[:40]!r}"
        if not 0 <= share_ppm <= WHOLE_PPM:
            yield where, f"expected 0 to 100 percent for {meter[:40]!r}"
    if (total := sum(shares.values())) > WHOLE_PPM:
        yield where, f"expected at most 100 percent together, got {format_decimal(total, 4)}"


def _check_participation(sharing: SharingTerms, meters: set[str]) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, int]] = set()
    for index, entry in enumerate(sharing.participation):
        where = f"sharing.participation[{index}]"
        if entry.meter not in meters:
            yield f"{where}.meter", "expected the id of a meter of this file"
        for name in ("percent", "elsewhere_percent"):
            if not 0 <= getattr(entry, name) <= WHOLE_PPM:
                yield f"{where}.{name}", "expected 0 to 100 percent"
        if entry.percent + entry.elsewhere_percent > WHOLE_PPM:
            yield f"{where}.percent", "expected at most 100 percent in all communities together"
        try:
            start_ms = _interval(entry.valid_from)
        except ValueError as error:
            yield f"{where}.valid_from", str(error)
            continue
        if (entry.meter, start_ms) in seen:
            yield f"{where}.valid_from", "expected one factor for a meter and time"
        seen.add((entry.meter, start_ms))
