"""What the first visit to DLMS meters tells a check: who they are, their clocks and profiles.

This module is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gridtokenx_edge.commissioning.check.finding import Finding, error, note, ok, warning
from gridtokenx_edge.commissioning.check.format_quantity import kwh
from gridtokenx_edge.commissioning.check.pushed_meter import PushedMeterStatus

if TYPE_CHECKING:
    from gridtokenx_edge.commissioning.check.dlms_visit import DlmsVisit, LoadProfileState

# Beyond this, gaps are not repaired from the load profile, as its rows are at the wrong times.
_MOST_DRIFT_MS = 120_000
_PROFILE_DO = "what does it capture? gridtokenx-edge dlms profile"
_WHERE = "is it on, its address and line right? look for it: gridtokenx-edge scan"
_WHOSE_SECRETS = (
    "is the client the right one, are the keys this meter's? the grid operator knows them"
)
_DO = {
    "LineDown": ("line_down", "look at the port, or at the meter's address on the network"),
    "MeterSilent": (
        "silent_meter",
        "is it on, its address and line right? look for it: gridtokenx-edge scan",
    ),
    "MeterStrange": ("another_meter", "correct the id, or ask the right meter"),
    "MeterDenied": ("not_let_in", _WHOSE_SECRETS),
    "MeterUntrusted": ("not_let_in", _WHOSE_SECRETS),
    "SecretError": ("not_let_in", "put the secret where the config says it is"),
}


def judge_pushed(meter: str, seen: PushedMeterStatus | None) -> Iterator[Finding]:
    """Yield the findings on a meter that cannot be asked, by what the agent has heard of it."""
    if seen is None:
        do = "run the agent with [status] port, and check again; or look at its log"
        yield note("no_value", meter, "it sends by itself; nothing to ask", do)
        return
    if seen.age_s is None or seen.is_late:
        heard = seen.error or "the agent hears nothing of it"
        do = "is the cable in, is the interface switched on, are id, profile and keys right?"
        last = ""
        if seen.age_s is not None:
            values = msgspec.structs.replace(seen, error="").text()
            last = f"; the last value is {values}"
        yield error("no_value", meter, f"no value of now: {heard}{last}", do)
    else:
        yield ok("identity", meter, f"it sends by itself; the agent has {seen.text()}")
    if seen.age_s is not None and seen.clock_ahead_ms is not None:
        yield judge_clock(meter, seen.clock_ahead_ms)


def judge_dlms(visit: DlmsVisit, others: Sequence[DlmsVisit] = ()) -> Iterator[Finding]:
    """Yield findings on one meter. `others` are all meters of the site that were asked."""
    meter, reading = visit.meter.id, visit.reading
    if reading is None:
        yield _exchanged(visit, others) or _unread(visit)
        return
    shown = f"import {kwh(reading.import_uwh)}, export {kwh(reading.export_uwh)}"
    yield ok("identity", meter, f"says that it is this meter; {shown}")
    yield judge_clock(meter, visit.clock_drift_ms)
    if visit.meter.repair_hours:
        yield from _load_profile(meter, visit.load_profile)


def _unread(visit: DlmsVisit) -> Finding:
    name, do = _DO.get(visit.fault, ("no_value", "ask for its objects: dlms objects"))
    return error(name, visit.meter.id, visit.error, do)


def _exchanged(visit: DlmsVisit, others: Sequence[DlmsVisit]) -> Finding | None:
    """Return whether the meter that was met instead is expected elsewhere."""
    for other in others:
        if not visit.says or other.meter.id != visit.says:
            continue
        if other.says == visit.meter.id:
            do = f"the ids of these two are exchanged in the config, on {_lines(visit, other)}"
            return error("ids_exchanged", visit.meter.id, visit.error, f"{do}: change them over")
        do = f"the config has that id on {other.bus}: correct ids or addresses"
        return error("another_meter", visit.meter.id, visit.error, do)
    return None


def _lines(visit: DlmsVisit, other: DlmsVisit) -> str:
    return visit.bus if visit.bus == other.bus else f"{visit.bus} and {other.bus}"


def judge_clock(meter: str, drift_ms: int | None) -> Finding:
    """Return the finding on a meter's own clock. The gateway's clock times readings in any case."""
    if drift_ms is None:
        return warning(
            "meter_clock",
            meter,
            "its clock is not set, or does not say its zone",
            "set zone in the config; without it, gaps are not repaired",
        )
    if abs(drift_ms) > _MOST_DRIFT_MS:
        return warning(
            "meter_clock",
            meter,
            f"its clock is off by {drift_ms / 1000:.0f} s",
            "readings are timed by the gateway; tell the grid operator: until it is right, gaps are"
            " not repaired",
        )
    return ok("meter_clock", meter, f"its clock is off by {abs(drift_ms) / 1000:.1f} s")


def _load_profile(meter: str, seen: LoadProfileState | None) -> Iterator[Finding]:
    """Yield findings on whether gaps can be repaired from the load profile."""
    if seen is None:
        do = "while the gateway is off, nothing is recorded of this meter"
        yield note("load_profile", meter, "none is known of this model", do)
    elif seen.error:
        do = f"gaps are not repaired; {_PROFILE_DO}"
        yield warning("load_profile", meter, f"cannot be read: {seen.error}", do)
    elif not seen.rows:
        seen_text = f"no row of the last {seen.hours} h"
        do = f"a meter that was just switched on has none yet; else {_PROFILE_DO}"
        yield warning("load_profile", meter, seen_text, do)
    else:
        newest = datetime.fromtimestamp(seen.rows[-1].time_ms / 1000, UTC)
        yield ok(
            "load_profile",
            meter,
            f"{len(seen.rows)} rows of the last {seen.hours} h, every"
            f" {seen.period_ms // 60_000} min; the newest of {newest:%H:%M} UTC",
        )
