"""Meters that new terms take away from their gateway, though they were read or energy is held.

It may be a slip of the pen: their readings are refused from then on. What is held waits all the
same, and what was counted stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from gridtokenx_backend.core.model.local_time import TimeZone, local_text
from gridtokenx_backend.core.model.registry import Device, Meter
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.units import format_kwh

log = structlog.get_logger()


def unbound_meters(
    meters: Mapping[str, Meter], devices: Mapping[bytes, Device], terms: CommunityTerms
) -> list[tuple[Meter, str]]:
    """Return (meter, why) of those that terms unbind and that have readings or held energy."""
    listed = {each.id: each for each in terms.meter}
    found = []
    for meter in meters.values():
        if not meter.rules.active or not (meter.interval_end_ms or _held_uwh(meter)):
            continue
        new = listed.get(meter.id)
        if new is None:
            found.append((meter, "they do not name it"))
        elif not new.active:
            found.append((meter, "they switch it off"))
        elif (new.site, new.device) != (meter.site, _name(meter.device)) and not _is_same_line(
            devices, meter, new.device
        ):
            found.append((meter, f"they bind it to {new.device or new.site}"))
    return found


def warn(meters: list[tuple[Meter, str]], zone: TimeZone) -> None:
    """Log a line for each meter."""
    for meter, why in meters:
        log.warning(
            "new terms take a meter away from its gateway",
            meter=meter.id,
            why=why,
            last_reading=local_text(zone, meter.last_ms) if meter.last_ms >= 0 else "-",
            held_kwh=format_kwh(_held_uwh(meter)),
        )


def _held_uwh(meter: Meter) -> int:
    held = meter.guard.held if meter.guard is not None else None
    return held.total_uwh if held is not None else 0


def _name(device: bytes) -> str:
    return device_text(device) if device else ""


def _is_same_line(devices: Mapping[bytes, Device], meter: Meter, name: str) -> bool:
    """Return whether a device's key followed, or was followed by, that of the meter's device."""
    named = next((each for each in devices.values() if device_text(each.id) == name), None)
    former = devices.get(meter.device)
    return named is not None and former is not None and named.line == former.line
