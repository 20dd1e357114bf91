"""`gridtokenx-edge dlms`: finds DLMS meters, and shows what one holds."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from gridtokenx_dlms.errors import DlmsError, LinkError
from gridtokenx_edge.cli.dlms_results import TCP_PORT, found_table, remark_lines
from gridtokenx_edge.cli.options import ConfigOption, JsonOption, WhereArgument
from gridtokenx_edge.cli.read_dlms import choose_dlms
from gridtokenx_edge.cli.terminal import (
    FINDING,
    ProgressLine,
    example,
    fail,
    finish,
    load,
    print_json,
    say,
)
from gridtokenx_edge.commissioning.check.dlms_visit import Asked, ask_meter, list_objects, read_rows
from gridtokenx_edge.commissioning.check.ports import agent_has, agent_runs, with_holders
from gridtokenx_edge.commissioning.scan.dlms_results import dlms_fields
from gridtokenx_edge.commissioning.scan.dlms_scan import (
    BAUD_RATES,
    FIRST_ADDRESSES,
    FoundDlms,
    scan_serial,
    scan_tcp,
)
from gridtokenx_edge.commissioning.scan.target import parse_port, split_host
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsPush, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.dlms_secrets import SecretError
from gridtokenx_edge.config.edge_config import resolve_paths
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.polling.faults import BusFault
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.clock import make_clock
from gridtokenx_wire.plain_text import escaped
from gridtokenx_wire.units import format_kwh

T = TypeVar("T")
_MS_AN_HOUR = 3_600_000
MeterOption = Annotated[
    str, typer.Option(help="The meter's id. It may be left out if there is only one.")
]

app = typer.Typer(
    help="Find DLMS meters, and show what they hold.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(epilog=example("dlms scan /dev/ttyUSB1"))
def scan(
    where: WhereArgument,
    addresses: Annotated[
        str, typer.Option(help="Try these physical addresses, such as 1,17,100.")
    ] = "",
    baud: Annotated[int | None, typer.Option(help="Try only this baud rate.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find DLMS meters, as the public client, and name them. Only reads.

    Tries mode E, then HDLC at usual rates and addresses; at a host, the wrapper.
    """
    asked, progress = _addresses(addresses), ProgressLine()
    try:
        host, port = split_host(where)
        if "/" in where:
            bauds = (baud,) if baud else BAUD_RATES
            found = asyncio.run(scan_serial(where, asked, bauds, progress.show))
        else:
            found = asyncio.run(scan_tcp(host, parse_port(port or str(TCP_PORT)), progress.show))
    except (LinkError, ValueError) as error:
        fail(with_holders(str(error), where))
    finally:
        progress.clear()
    if as_json:
        print_json({"meters": [dlms_fields(one) for one in found]})
    else:
        _show_found(where, found)
    finish(is_good=bool(found))


@app.command(epilog=example("dlms objects --config config/edge.toml --meter ISKRAEMECO-40012345"))
def objects(config: ConfigOption, meter: MeterOption = "", as_json: JsonOption = False) -> None:
    """List the objects that the meter shows to this client."""
    listed = _ask(config, meter, list_objects)
    if as_json:
        print_json({"objects": listed})
        return
    table = TerminalTable([Column(name) for name in ("OBIS code", "class", "version")])
    for one in listed:
        table.add(one.obis, str(one.class_id), str(one.version))
    Console(markup=False).print(table)


@app.command(epilog=example("dlms clock --config config/edge.toml"))
def clock(config: ConfigOption, meter: MeterOption = "", as_json: JsonOption = False) -> None:
    """Show the meter's clock beside this gateway's."""

    async def look(reader: DlmsReader) -> tuple[int, int | None]:
        reading = await reader.poll()
        return reading.time_ms, reader.clock_drift_ms

    gateway_ms, drift_ms = _ask(config, meter, look)
    if drift_ms is None:
        fail("the meter's clock is not set, or does not say its zone (set zone in the config)")
    if as_json:
        print_json({"meter_ms": gateway_ms + drift_ms, "ahead_ms": drift_ms})
    else:
        say(f"meter   {_moment(gateway_ms + drift_ms)}\ngateway {_moment(gateway_ms)}")
        say(f"the meter is {abs(drift_ms) / 1000:.1f} s {'ahead' if drift_ms >= 0 else 'behind'}")


@app.command(epilog=example("dlms profile --config config/edge.toml --hours 6"))
def profile(
    config: ConfigOption,
    meter: MeterOption = "",
    hours: Annotated[
        float, typer.Option(min=0.25, max=24 * 62, help="How many hours to look back.")
    ] = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Show the load profile's newest rows: the registers at the end of each interval."""
    now_ms = make_clock(load(config).clock).now_ms()
    first_ms = now_ms - round(hours * _MS_AN_HOUR)
    rows = _ask(config, meter, lambda reader: read_rows(reader, first_ms, now_ms))
    if rows is None:
        fail("the meter has no load profile with its registers")
    if as_json:
        print_json({"rows": rows})
        return
    amounts = [Column(name, is_number=True) for name in ("import kWh", "export kWh")]
    table = TerminalTable([Column("time (UTC)"), *amounts])
    for row in rows:
        exported = "" if row.export_uwh is None else format_kwh(row.export_uwh)
        table.add(_moment(row.time_ms), format_kwh(row.import_uwh), exported)
    Console(markup=False).print(table)


def _ask(config: Path, meter: str, ask: Asked[T]) -> T:
    """Ask the chosen meter and return its answer. What goes wrong is one line."""
    loaded = load(config)
    bus, chosen = _one(loaded.dlms and choose_dlms(loaded, meter), config, meter)
    paths = resolve_paths(loaded, config)
    if isinstance(bus, DlmsSerial) and agent_runs(paths.outbox):
        fail(agent_has(bus.port, "ask"))
    try:
        answer = ask_meter(bus, chosen, paths, make_clock(loaded.clock), ask)
        return asyncio.run(answer)
    except (BusFault, SecretError, DlmsError) as error:
        sys.stderr.write(escaped(f"{chosen.id}: {error}") + "\n")
        raise typer.Exit(FINDING) from None


def _one(chosen: Any, config: Path, meter: str) -> tuple[DlmsSerial | DlmsTcp, DlmsMeter]:
    readable = [
        (bus, one) for bus, meters in chosen for one in meters if not isinstance(bus, DlmsPush)
    ]
    if not readable:
        got = f", got {meter!r}" if meter else ", found none"
        fail(f"{config}: expected a DLMS meter that can be asked{got}")
    if len(readable) > 1:
        fail(f"expected --meter with one of {', '.join(one.id for _, one in readable)}")
    only: tuple[DlmsSerial | DlmsTcp, DlmsMeter] = readable[0]
    return only


def _addresses(text: str) -> tuple[int | None, ...]:
    if not text:
        return FIRST_ADDRESSES
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) < 1 << 14 for part in parts):
        fail(f"expected addresses such as 1,17,100, got {text!r}")
    return tuple(int(part) for part in parts)


def _show_found(where: str, found: list[FoundDlms]) -> None:
    if not found:
        say(f"{where}: no DLMS meter answered")
        return
    Console(markup=False).print(found_table(found))
    for line in remark_lines(found):
        say(line)


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
