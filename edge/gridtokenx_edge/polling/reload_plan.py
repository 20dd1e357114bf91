"""What a new config changes on the buses. Pure: both configs come in, a plan comes out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class BusOutline(msgspec.Struct, frozen=True):
    """What a bus is made of: what its line is opened with, and its meters' configs by id."""

    line: object
    meters: Mapping[str, object]


class BusChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changes on the buses, by name of bus and by (bus, meter)."""

    stop_buses: frozenset[str]
    start_buses: frozenset[str]
    stop_meters: frozenset[tuple[str, str]]
    start_meters: frozenset[tuple[str, str]]


def plan_buses(old: Mapping[str, BusOutline], new: Mapping[str, BusOutline]) -> BusChange:
    """Return what has to be stopped and started.

    A bus whose line is opened with other settings is restarted with all its meters; otherwise
    only the meters that differ are, and the rest never notices.
    """
    kept = {name for name, bus in old.items() if name in new and new[name].line == bus.line}
    before, after = _meters(old), _meters(new)
    same = {at for at, meter in before.items() if at[0] in kept and after.get(at) == meter}
    return BusChange(
        stop_buses=frozenset(old.keys() - kept),
        start_buses=frozenset(new.keys() - kept),
        stop_meters=frozenset(before.keys() - same),
        start_meters=frozenset(after.keys() - same),
    )


def _meters(buses: Mapping[str, BusOutline]) -> dict[tuple[str, str], object]:
    return {
        (name, meter): config for name, bus in buses.items() for meter, config in bus.meters.items()
    }
