"""What `gridtokenx-edge read` shows of DLMS meters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gridtokenx_dlms.data import Data
from gridtokenx_edge.cli.terminal import wrapped
from gridtokenx_edge.commissioning.check import format_quantity
from gridtokenx_edge.commissioning.check.ports import agent_has
from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsSerial
from gridtokenx_edge.config.edge_config import EdgeConfig, Paths
from gridtokenx_edge.meters.dlms_values import UNIT_W, UNIT_WH

if TYPE_CHECKING:
    from gridtokenx_edge.commissioning.check.dlms_visit import DlmsVisit
    from gridtokenx_edge.dlms.reader import Told

UNITS = {UNIT_W: "W", UNIT_WH: "Wh"}


def choose_dlms(config: EdgeConfig, meter_id: str = "") -> list[tuple[DlmsBus, list[DlmsMeter]]]:
    """Return the DLMS lines with the meters of this id, or with all their meters for ""."""
    chosen = [
        (bus, [meter for meter in bus.meter if meter_id in ("", meter.id)]) for bus in config.dlms
    ]
    return [(bus, meters) for bus, meters in chosen if meters]


def dlms_visits(config: EdgeConfig, paths: Paths, meter: str) -> list[DlmsVisit]:
    """Read the DLMS meters of this id, or all for ""."""
    from gridtokenx_edge.commissioning.check.dlms_visit import visit_dlms  # noqa: PLC0415

    return asyncio.run(visit_dlms(config, paths, choose_dlms(config, meter)))


def blame_agent(config: EdgeConfig, visit: DlmsVisit) -> DlmsVisit:
    """Say that the agent has the port, where a reader of the error would have to guess."""
    ports = {bus.name: bus.port for bus in config.dlms if isinstance(bus, DlmsSerial)}
    if "another program" not in visit.error or visit.bus not in ports:
        return visit
    return msgspec.structs.replace(visit, error=agent_has(ports[visit.bus], "read"))


def is_failed(visit: DlmsVisit) -> bool:
    """Return whether the visit is a finding. A meter that sends by itself is none."""
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
            "import_kwh": format_quantity.exact("import", reading.import_uwh),
            "export_kwh": format_quantity.exact("export", reading.export_uwh),
            "power_w": reading.power_w,
            "flags": format_quantity.flag_names(reading.flags),
            "clock_ahead_ms": visit.clock_drift_ms,
            "objects": [_told_fields(told) for told in visit.told],
        }
    return fields | {
        "requests": [
            {"sent": each.sent.hex(" "), "received": each.received.hex(" ")}
            for each in visit.exchanged
        ]
    }


def _told_fields(told: Told) -> dict[str, Any]:
    scale = told.scale
    return {
        "obis": told.obis,
        "type": type_text(told.value),
        "raw": _raw_text(told.value),
        "scaler": scale.scaler if scale else None,
        "unit": scale.unit if scale else None,
    }


def type_text(value: Data) -> str:
    """Return the type's name as the Blue Book writes it: `double-long-unsigned`."""
    return value.type.name.lower().replace("_", "-")


def _raw_text(value: Data) -> str:
    """Return the number, or an octet string in hexadecimal."""
    return value.value.hex(" ") if isinstance(value.value, bytes) else str(value.value)


def dlms_lines(visit: DlmsVisit, *, is_raw: bool = False) -> Iterator[str]:
    from gridtokenx_edge.meters.dlms import load_dlms  # noqa: PLC0415

    meter, reading = visit.meter, visit.reading
    yield f"{meter.id}  {load_dlms(meter.profile).name}"
    if reading is None:
        yield f"  {_place(visit)}"
        yield from wrapped(visit.error, "  not read: ")
        yield from _exchanged_lines(visit) if is_raw else ()
        return
    at = datetime.fromtimestamp(reading.time_ms / 1000, UTC)
    yield f"  {_place(visit)}, read {at:%Y-%m-%d %H:%M:%S} UTC{', inverted' * meter.invert}"
    yield from format_quantity.reading_lines(reading)
    if visit.clock_drift_ms is None:
        yield f"  {'its clock':<20}{'not set':>16}"
    else:
        where = "behind" if visit.clock_drift_ms < 0 else "ahead"
        yield f"  {f'its clock {where}':<20}{abs(visit.clock_drift_ms) / 1000:>16.1f} s"
    if is_raw:
        yield from (_told_line(told) for told in visit.told)
        yield from _exchanged_lines(visit)


def _place(visit: DlmsVisit) -> str:
    address = visit.meter.physical_address
    return visit.bus if address is None else f"{visit.bus}, physical address {address}"


def _told_line(told: Told) -> str:
    scale = told.scale
    times = f" × 10^{scale.scaler}" if scale and scale.scaler else ""
    unit = f" {UNITS.get(scale.unit, f'unit {scale.unit}')}" if scale else ""
    return f"  {told.obis:<20}{type_text(told.value)} {_raw_text(told.value)}{times}{unit}"


def _exchanged_lines(visit: DlmsVisit) -> Iterator[str]:
    for each in visit.exchanged:
        yield from wrapped(each.sent.hex(" "), "    sent  ")
        yield from wrapped(each.received.hex(" ") or "nothing", "    got   ")
