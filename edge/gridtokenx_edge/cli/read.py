"""`gridtokenx-edge read`: asks meters once, and shows everything that they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gridtokenx_edge.cli.options import ConfigOption, JsonOption, MeterOption
from gridtokenx_edge.cli.read_dlms import (
    blame_agent,
    dlms_fields,
    dlms_lines,
    dlms_visits,
    is_failed,
)
from gridtokenx_edge.cli.terminal import fail, finish, load, print_json, say, wrapped
from gridtokenx_edge.commissioning.check import format_quantity
from gridtokenx_edge.commissioning.check.line_exchanges import LineExchange
from gridtokenx_edge.commissioning.check.ports import agent_has, agent_runs
from gridtokenx_edge.commissioning.check.visit import Visit, visit_meters
from gridtokenx_edge.config.edge_config import (
    BusConfig,
    EdgeConfig,
    MeterConfig,
    SerialBus,
    resolve_paths,
)
from gridtokenx_edge.modbus.readers import load_any


def read(
    config: ConfigOption,
    meter: MeterOption = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="Show the registers and the bytes, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read meters once and show all that they tell; exit code 1 if one does not answer."""
    loaded = load(config)
    chosen, of_dlms = choose(loaded, meter), bool(loaded.dlms)
    paths = resolve_paths(loaded, config)
    others = dlms_visits(loaded, paths, meter) if of_dlms else []
    if not chosen and not others:
        fail(f"{config}: expected a meter of this config, got {meter!r}")
    visits = asyncio.run(visit_meters(loaded, chosen))
    if agent_runs(paths.outbox):
        visits = [_blame_agent(loaded, visit) for visit in visits]
        others = [blame_agent(loaded, visit) for visit in others]
    if as_json:
        fields = [_fields(visit) for visit in visits]
        print_json({"meters": fields + [dlms_fields(visit) for visit in others]})
    else:
        shown = ["\n".join(_lines(visit, is_raw=raw)) for visit in visits]
        say("\n\n".join(shown + ["\n".join(dlms_lines(visit, is_raw=raw)) for visit in others]))
    failed = any(visit.error for visit in visits) or any(is_failed(visit) for visit in others)
    finish(is_good=not failed)


def choose(config: EdgeConfig, meter_id: str) -> list[tuple[BusConfig, list[MeterConfig]]]:
    """Return the buses with the meters of this id, or with all their meters for ""."""
    chosen = [
        (bus, [meter for meter in bus.meter if meter_id in ("", meter.id)]) for bus in config.bus
    ]
    return [(bus, meters) for bus, meters in chosen if meters]


def _blame_agent(config: EdgeConfig, visit: Visit) -> Visit:
    """Say that the agent has the port, where a reader of the error would have to guess."""
    ports = {bus.name: bus.port for bus in config.bus if isinstance(bus, SerialBus)}
    if visit.bus not in ports or visit.exchanges or "another program" not in visit.error:
        return visit
    error = agent_has(ports[visit.bus], "read")
    return Visit(bus=visit.bus, meter=visit.meter, error=error)


def _fields(visit: Visit) -> dict[str, Any]:
    meter = visit.meter
    fields: dict[str, Any] = {
        "id": meter.id,
        "profile": meter.profile,
        "bus": visit.bus,
        "address": meter.address,
        "invert": meter.invert,
        "ok": not visit.error,
    }
    if visit.error:
        fields["error"] = visit.error
    if visit.reading:
        reading = visit.reading
        fields |= {
            "time_ms": reading.time_ms,
            "import_kwh": format_quantity.exact("import", reading.import_uwh),
            "export_kwh": format_quantity.exact("export", reading.export_uwh),
            "power_w": reading.power_w,
            "flags": format_quantity.flag_names(reading.flags),
            "values": {
                name: {
                    "value": None if value is None else format_quantity.exact(name, value),
                    "unit": format_quantity.unit(name),
                }
                for name, value in visit.values.items()
            },
        }
    return fields | {"requests": [_request_fields(exchange) for exchange in visit.exchanges]}


def _request_fields(exchange: LineExchange) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "function": exchange.block.fc,
        "address": exchange.block.address,
        "registers": [f"{word:04x}" for word in exchange.words],
        "points": exchange.block.points,
        "round_trip_us": exchange.took_us,
        "sent": exchange.sent.hex(" "),
        "received": exchange.received.hex(" "),
    }
    return fields | ({"error": exchange.error} if exchange.error else {})


def _lines(visit: Visit, *, is_raw: bool) -> Iterator[str]:
    meter = visit.meter
    yield f"{meter.id}  {load_any(meter.profile).name}"
    where = f"{visit.bus}, address {meter.address}"
    reading = visit.reading
    if reading:
        at = datetime.fromtimestamp(reading.time_ms / 1000, UTC)
        yield f"  {where}, read {at:%Y-%m-%d %H:%M:%S} UTC{', inverted' * meter.invert}"
        yield from format_quantity.reading_lines(reading)
        for name, value in visit.values.items():
            if value is not None:
                yield format_quantity.value_line(format_quantity.label(name), name, value)
        lacking = [
            format_quantity.label(name) for name, value in visit.values.items() if value is None
        ]
        if lacking:
            yield from wrapped(", ".join(lacking), "  not told by this meter: ", "      ")
    else:
        yield f"  {where}"
    if visit.error:
        yield from wrapped(visit.error, "  not read: " if reading is None else "  not all read: ")
    if is_raw:
        for exchange in visit.exchanges:
            yield from _raw_lines(exchange)


def _raw_lines(exchange: LineExchange) -> Iterator[str]:
    block = exchange.block
    what = ", ".join(block.points) or "identity"
    asked = f"fc {block.fc}, {block.count} registers from 0x{block.address:04X}: {what}"
    yield from wrapped(asked, "  ", "      ")
    if exchange.words:
        yield from wrapped(" ".join(f"{word:04x}" for word in exchange.words), "    words ")
    yield from wrapped(exchange.sent.hex(" "), "    sent  ")
    yield from wrapped(exchange.received.hex(" ") or "nothing", "    got   ")
    if exchange.error:
        yield from wrapped(exchange.error, "    error ")
