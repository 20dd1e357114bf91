"""The checks of a simulator's config that types cannot make: names and addresses must not clash."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_sim.config.dlms import DlmsBus, DlmsSerialBus, DlmsTcpBus
from gridtokenx_sim.config.dlms_checks import bus_contradictions, meter_contradictions
from gridtokenx_sim.config.faults import WIRE_FAULTS, Undefined, kind_of
from gridtokenx_sim.config.sim_config import MeterConfig, SerialBus, SimConfig, TcpBus
from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models.dlms import DLMS_MODELS
from gridtokenx_sim.models.layout import Layout

_MAX_TEXT_SERIAL = 13
_USUAL_SUNSPEC_BASE = 40_000


def contradictions(config: SimConfig) -> list[str]:
    """Return each contradiction as `key.path: expected ...`, in the file's order."""
    return list(_contradictions(config))


def meter_id(meter: MeterConfig) -> str:
    """Return what the meter says it is: maker and serial number."""
    return f"{MODELS[meter.model].maker}-{meter.serial}"


def _contradictions(config: SimConfig) -> Iterator[str]:
    names: set[str] = set()
    links: set[str] = set()
    ids: set[str] = set()
    if not config.bus:
        yield "bus: expected at least one [[bus]]"
    for index, bus in enumerate(config.bus):
        path = f"bus[{index}]"
        yield from _once(names, bus.name, f"{path}.name")
        if isinstance(bus, SerialBus | DlmsSerialBus):
            yield from _once(links, bus.link, f"{path}.link")
        if not bus.meter:
            yield f"{path}.meter: expected at least one [[bus.meter]]"
        if isinstance(bus, DlmsSerialBus | DlmsTcpBus):
            yield from _dlms_meters(bus, path, ids)
        else:
            yield from _meters(bus, path, ids)


def _dlms_meters(bus: DlmsBus, path: str, ids: set[str]) -> Iterator[str]:
    addresses: set[str] = set()
    yield from bus_contradictions(bus, path)
    for index, meter in enumerate(bus.meter):
        here = f"{path}.meter[{index}]"
        yield from _once(addresses, str(meter.address), f"{here}.address")
        if model := DLMS_MODELS.get(meter.model):
            yield from _once(ids, model.meter_id(meter.serial), f"{here}.serial")
        yield from meter_contradictions(bus, meter, here)


def _meters(bus: SerialBus | TcpBus, path: str, ids: set[str]) -> Iterator[str]:
    addresses: set[str] = set()
    for index, meter in enumerate(bus.meter):
        here = f"{path}.meter[{index}]"
        layout = MODELS.get(meter.model)
        if layout is None:
            known = ", ".join(sorted(MODELS))
            yield f"{here}.model: expected one of {known}, got {meter.model!r}"
            continue
        yield from _once(addresses, str(meter.address), f"{here}.address")
        yield from _serial(meter, layout, here)
        yield from _once(ids, meter_id(meter), f"{here}.serial")
        yield from _abilities(bus, meter, layout, here)


def _once(seen: set[str], value: str, path: str) -> Iterator[str]:
    if value in seen:
        yield f"{path}: expected a value used only once, got {value!r} again"
    seen.add(value)


def _serial(meter: MeterConfig, layout: Layout, path: str) -> Iterator[str]:
    text = meter.serial
    if layout.serial == "uint32":
        canonical = text.isascii() and text.isdecimal() and str(int(text)) == text
        if not canonical or int(text) >= 2**32:
            yield f"{path}.serial: expected a whole number below 2^32 in quotes, got {text!r}"
    elif not text.isascii() or not text.isalnum() or len(text) > _MAX_TEXT_SERIAL:
        yield (
            f"{path}.serial: expected at most {_MAX_TEXT_SERIAL} letters and digits, got {text!r}"
        )


def _abilities(
    bus: SerialBus | TcpBus, meter: MeterConfig, layout: Layout, path: str
) -> Iterator[str]:
    wire = "serial" if isinstance(bus, SerialBus) else "tcp"
    if wire not in layout.wires:
        yield f"{path}.model: expected a model with a {wire} port, got {meter.model!r}"
    if not meter.has_export and not layout.without_export:
        yield f"{path}.has_export: expected true, because every {layout.name} counts export"
    if layout.base is None and meter.sunspec_base != _USUAL_SUNSPEC_BASE:
        yield f"{path}.sunspec_base: expected a SunSpec model for it, got {meter.model!r}"
    for index, fault in enumerate(meter.fault):
        if isinstance(fault, WIRE_FAULTS) and wire == "tcp":
            yield (
                f"{path}.fault[{index}].kind: expected a fault that TCP lets through,"
                f" got {kind_of(fault)!r}"
            )
        if isinstance(fault, Undefined) and not layout.knows_undefined:
            yield f"{path}.fault[{index}].kind: {layout.name} has no raw value for undefined"
