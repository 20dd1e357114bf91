"""`gridtokenx-edge read`: asks meters once."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gridtokenx_edge.commands.terminal import (
    FINDING,
    ConfigOption,
    JsonOption,
    fail,
    load,
    print_json,
)
from gridtokenx_edge.config import BusConfig, EdgeConfig, MeterConfig
from gridtokenx_edge.once import Answer, read_once
from gridtokenx_wire.reading import ReadingFlag
from gridtokenx_wire.units import format_decimal

_KWH_DECIMALS = 9
_UWH_PER_WH = 10**6


def read(
    config: ConfigOption,
    meter: Annotated[str, typer.Option(help="Only the meter with this id.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Poll meters once and show what they say; exit code 1 if one does not answer."""
    loaded = load(config)
    chosen = _choose(loaded, meter)
    if not chosen:
        fail(f"{config}: expected a meter of this config, got {meter!r}")
    answers = asyncio.run(read_once(loaded, chosen))
    if as_json:
        print_json({"meters": [_answer_fields(answer) for answer in answers]})
    else:
        Console().print(_answer_table(answers))
    raise typer.Exit(0 if all(answer.reading for answer in answers) else FINDING)


def _choose(config: EdgeConfig, meter_id: str) -> list[tuple[BusConfig, list[MeterConfig]]]:
    chosen = [
        (bus, [meter for meter in bus.meter if meter_id in ("", meter.id)]) for bus in config.bus
    ]
    return [(bus, meters) for bus, meters in chosen if meters]


def _answer_fields(answer: Answer) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": answer.meter.id,
        "profile": answer.meter.profile,
        "bus": answer.bus,
        "address": answer.meter.address,
        "ok": answer.reading is not None,
    }
    if answer.reading is None:
        return fields | {"error": answer.error}
    reading = answer.reading
    return fields | {
        "time_ms": reading.time_ms,
        "import_kwh": format_decimal(reading.import_uwh, _KWH_DECIMALS),
        "export_kwh": format_decimal(reading.export_uwh, _KWH_DECIMALS),
        "power_w": reading.power_w,
        "flags": _flag_names(reading.flags),
    }


def _answer_table(answers: list[Answer]) -> Table:
    table = Table("meter", "bus", "address")
    for heading in ("import kWh", "export kWh", "power W"):
        table.add_column(heading, justify="right")
    table.add_column("notes")
    for answer in answers:
        start = (answer.meter.id, answer.bus, str(answer.meter.address))
        reading = answer.reading
        if reading is None:
            table.add_row(*start, "", "", "", f"[red]{answer.error}[/red]")
            continue
        table.add_row(
            *start,
            _whole_wh(reading.import_uwh),
            _whole_wh(reading.export_uwh),
            str(reading.power_w),
            ", ".join(_flag_names(reading.flags)),
        )
    return table


def _whole_wh(energy_uwh: int) -> str:
    """kWh with the three decimals that a display has."""
    return format_decimal(energy_uwh // _UWH_PER_WH, 3)


def _flag_names(flags: int) -> list[str]:
    return [str(flag.name).lower() for flag in ReadingFlag if flags & flag]
