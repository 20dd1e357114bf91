"""What `read` shows of DLMS meters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gridtokenx_edge.commissioning import spelling
from gridtokenx_edge.config import EdgeConfig, Paths
from gridtokenx_edge.dlms.config import DlmsBus, DlmsMeter

if TYPE_CHECKING:
    from gridtokenx_edge.dlms.visit import DlmsVisit


def choose_dlms(config: EdgeConfig, meter_id: str = "") -> list[tuple[DlmsBus, list[DlmsMeter]]]:
    """The DLMS lines with the meters of this id; with all their meters for ""."""
    chosen = [
        (bus, [meter for meter in bus.meter if meter_id in ("", meter.id)]) for bus in config.dlms
    ]
    return [(bus, meters) for bus, meters in chosen if meters]


def dlms_visits(config: EdgeConfig, paths: Paths, meter: str) -> list[DlmsVisit]:
    """Reads the DLMS meters of this id, or all for ""."""
    from gridtokenx_edge.dlms.visit import visit_dlms  # noqa: PLC0415

    return asyncio.run(visit_dlms(config, paths, choose_dlms(config, meter)))


def is_failed(visit: DlmsVisit) -> bool:
    """A meter that sends by itself is no finding."""
    return bool(visit.error) and visit.fault != "Push"


def dlms_fields(visit: DlmsVisit) -> dict[str, Any]:
    meter, reading = visit.meter, visit.reading
    fields: dict[str, Any] = {
        "id": meter.id,
        "profile": meter.profile,
        "bus": visit.bus,
        "invert": meter.invert,
        "ok": not visit.error,
    }
    if visit.error:
        fields["error"] = visit.error
    if reading:
        fields |= {
            "time_ms": reading.time_ms,
            "import_kwh": spelling.exact("import", reading.import_uwh),
            "export_kwh": spelling.exact("export", reading.export_uwh),
            "power_w": reading.power_w,
            "flags": spelling.flag_names(reading.flags),
            "clock_ahead_ms": visit.clock_drift_ms,
        }
    return fields


def dlms_lines(visit: DlmsVisit) -> Iterator[str]:
    from gridtokenx_edge.meters.dlms import load_dlms  # noqa: PLC0415

    meter, reading = visit.meter, visit.reading
    yield f"{meter.id}  {load_dlms(meter.profile).name}"
    if reading is None:
        yield f"  {visit.bus}"
        yield f"  not read: {visit.error}"
        return
    at = datetime.fromtimestamp(reading.time_ms / 1000, UTC)
    yield f"  {visit.bus}, read {at:%Y-%m-%d %H:%M:%S} UTC{', inverted' * meter.invert}"
    yield from spelling.reading_lines(reading)
    if visit.clock_drift_ms is None:
        yield f"  {'its clock':<20}{'not set':>16}"
    else:
        yield f"  {'its clock ahead':<20}{visit.clock_drift_ms / 1000:>16.1f} s"
