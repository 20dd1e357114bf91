"""What a new config changes in a running agent. Pure: both configs come in, a plan comes out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_edge.config.edge_config import BusConfig, EdgeConfig

# What each part of the agent is made from: if one of these sections changes, so does the part.
_UPLINK = ("backend", "broker", "uplink")
_REPLACEABLE = {*_UPLINK, "bus", "dlms", "status", "home_assistant"}


class ReloadPlan(msgspec.Struct, frozen=True):
    """Either what has to be restarted, or why the whole process has to.

    `refused` are lines for a person. `sections` are the sections that differ.
    """

    refused: tuple[str, ...]
    sections: tuple[str, ...]
    uplink: bool
    status: bool
    home_assistant: bool


def plan_reload(
    old: EdgeConfig, new: EdgeConfig, *, tls_files: bool = False, house_files: bool = False
) -> ReloadPlan:
    """`tls_files`, `house_files`: the files that [broker], [home_assistant] name have new content.

    A key and a chain belong to a device and a community: those sections need a restart, and so
    does every section that this module does not know how to replace.
    """
    differ = [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    if old.site.community == new.site.community and "site" in differ:
        differ.remove("site")  # the name is for people
    refused = tuple(
        f"[{name}] cannot change while the agent runs; restart it: its old config stays until then"
        for name in differ
        if name not in _REPLACEABLE
    )
    return ReloadPlan(
        refused,
        tuple(differ),
        uplink=tls_files or any(name in differ for name in _UPLINK),
        status="status" in differ,
        home_assistant=house_files or "home_assistant" in differ,
    )


class BusChange(msgspec.Struct, frozen=True):
    """What changes on the buses, by name of bus and by (bus, meter)."""

    stop_buses: frozenset[str]
    start_buses: frozenset[str]
    stop_meters: frozenset[tuple[str, str]]
    start_meters: frozenset[tuple[str, str]]


def plan_buses(old: Sequence[BusConfig], new: Sequence[BusConfig]) -> BusChange:
    """A bus with other line settings is restarted with all its meters; otherwise only the meters
    that differ are, and the rest never notices."""
    lines_before, lines_after = _lines(old), _lines(new)
    kept = {name for name, line in lines_before.items() if lines_after.get(name) == line}
    before, after = _meters(old), _meters(new)
    same = {at for at, meter in before.items() if at[0] in kept and after.get(at) == meter}
    return BusChange(
        frozenset(lines_before.keys() - kept),
        frozenset(lines_after.keys() - kept),
        frozenset(before.keys() - same),
        frozenset(after.keys() - same),
    )


def _lines(buses: Sequence[BusConfig]) -> dict[str, BusConfig]:
    return {bus.name: msgspec.structs.replace(bus, meter=[]) for bus in buses}


def _meters(buses: Sequence[BusConfig]) -> dict[tuple[str, str], msgspec.Struct]:
    return {(bus.name, meter.id): meter for bus in buses for meter in bus.meter}
