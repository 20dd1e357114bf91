"""What a visit to a DLMS meter tells a check. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gridtokenx_edge.commissioning.finding import Finding, error, note, ok, warning
from gridtokenx_edge.commissioning.spelling import kwh

if TYPE_CHECKING:
    from gridtokenx_edge.dlms.visit import DlmsVisit

# Beyond it, gaps are not repaired from the load profile: its rows are at the wrong times.
_MOST_DRIFT_MS = 120_000
_DO = {
    "LineDown": ("line_down", "look at the port, or at the meter's address on the network"),
    "MeterSilent": ("silent_meter", "is it on? opening, baud and physical address: dlms scan"),
    "MeterStrange": ("another_meter", "correct the id, or ask the right meter"),
    "MeterDenied": ("not_let_in", "client, authentication and password are the grid operator's"),
    "MeterUntrusted": ("not_let_in", "the keys in the files are not this meter's"),
    "SecretError": ("not_let_in", "put the secret where the config says it is"),
}


def judge_dlms(visit: DlmsVisit) -> Iterator[Finding]:
    """Findings about one meter."""
    meter, reading = visit.meter.id, visit.reading
    if visit.fault == "Push":
        yield note("no_value", meter, "it sends by itself; nothing to ask", "watch the agent's log")
        return
    if reading is None:
        name, do = _DO.get(visit.fault, ("no_value", "ask for its objects: dlms objects"))
        yield error(name, meter, visit.error, do)
        return
    shown = f"import {kwh(reading.import_uwh)}, export {kwh(reading.export_uwh)}"
    yield ok("identity", meter, f"says that it is this meter; {shown}")
    drift_ms = visit.clock_drift_ms
    if drift_ms is None:
        yield warning(
            "meter_clock",
            meter,
            "its clock is not set, or does not say its zone",
            "set zone in the config; without it, gaps are not repaired",
        )
    elif abs(drift_ms) > _MOST_DRIFT_MS:
        yield warning(
            "meter_clock",
            meter,
            f"its clock is off by {drift_ms / 1000:.0f} s",
            "tell the grid operator; until it is right, gaps are not repaired",
        )
    else:
        yield ok("meter_clock", meter, f"its clock is off by {drift_ms / 1000:.1f} s")
