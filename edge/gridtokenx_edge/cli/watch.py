"""`gridtokenx-edge watch`: shows the meters of a bus live."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gridtokenx_edge.cli.options import ConfigOption, JsonOption
from gridtokenx_edge.cli.terminal import fail, finish, load, print_json
from gridtokenx_edge.commissioning.check import format_quantity
from gridtokenx_edge.commissioning.check.dlms_as_bus import as_bus, as_meter
from gridtokenx_edge.commissioning.check.dlms_visit import dlms_files_of
from gridtokenx_edge.commissioning.check.meter_session import DlmsSession, ModbusSession
from gridtokenx_edge.commissioning.check.ports import agent_has, agent_runs
from gridtokenx_edge.commissioning.check.pushed_meter import pushed_meters
from gridtokenx_edge.commissioning.check.watch import Watch, WatchedMeter
from gridtokenx_edge.config.dlms_config import DlmsPush, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.edge_config import BusConfig, EdgeConfig, SerialBus, resolve_paths
from gridtokenx_edge.dlms.meter_access import DlmsFiles
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.plain_text import escaped
from gridtokenx_wire.reading import ReadingFlag

_REFRESH_S = 1.0


def watch(
    config: ConfigOption,
    bus: Annotated[str, typer.Option(help="Watch only the bus with this name.")] = "",
    every: Annotated[
        float, typer.Option(min=0.1, max=3600, help="How many seconds a round takes.")
    ] = 2.0,
    rounds: Annotated[
        int, typer.Option(min=0, help="End after so many rounds. With 0 it runs until Ctrl-C.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Watch the meters live: values with their age, faults, round trips, the line's load."""
    loaded = load(config)
    chosen = [each for each in (*loaded.bus, *loaded.dlms) if bus in ("", each.name)]
    if not chosen:
        fail(f"{config}: expected a bus of this config, got {bus!r}")
    serial = [each.port for each in chosen if isinstance(each, SerialBus | DlmsSerial)]
    paths = resolve_paths(loaded, config)
    if serial and agent_runs(paths.outbox):
        fail(agent_has(", ".join(serial), "watch"))
    clock = make_clock(loaded.clock)
    watches = [
        _watch(each, dlms_files_of(paths), clock, every)
        for each in chosen
        if not isinstance(each, DlmsPush)
    ]
    if not watches:
        fail(f"{config}: its meters send by themselves: {_heard(loaded)}")
    asyncio.run(_as_json(watches, rounds) if as_json else _as_table(watches, rounds))
    is_well = all(row.reading and not row.is_failing for each in watches for row in each.meters)
    finish(is_good=is_well)


def _heard(config: EdgeConfig) -> str:
    """Return what the agent has heard of meters that nobody else can hear."""
    heard = pushed_meters(config.status.port)
    pushed = [meter.id for bus in config.dlms for meter in bus.meter if meter.id in heard]
    if not pushed:
        return "look at the agent's log or status page"
    told = (f"{meter} ({heard[meter].text() or heard[meter].error})" for meter in pushed)
    return f"the agent has heard {'; '.join(told)}"


def _watch(
    bus: BusConfig | DlmsSerial | DlmsTcp, files: DlmsFiles, clock: Clock, every_s: float
) -> Watch:
    if isinstance(bus, DlmsSerial | DlmsTcp):
        asking = DlmsSession(bus, bus.meter, files, clock)
        return Watch(as_bus(bus), [as_meter(meter) for meter in bus.meter], asking, every_s)
    return Watch(bus, bus.meter, ModbusSession(bus, bus.meter, clock), every_s)


async def _as_json(watches: Sequence[Watch], rounds: int) -> None:
    def tell(watch: Watch) -> None:
        print_json(watch.fields(time.monotonic()))
        sys.stdout.flush()

    await asyncio.gather(*(each.run(rounds, tell) for each in watches))


async def _as_table(watches: Sequence[Watch], rounds: int) -> None:
    with Live(_picture(watches), console=Console(markup=False), auto_refresh=False) as live:

        def show(_watch: Watch | None = None) -> None:
            live.update(_picture(watches), refresh=True)

        async def grow_older() -> None:
            while True:
                await asyncio.sleep(_REFRESH_S)
                show()

        ageing = asyncio.create_task(grow_older())
        try:
            await asyncio.gather(*(each.run(rounds, show) for each in watches))
        finally:
            ageing.cancel()


def _picture(watches: Sequence[Watch]) -> Group:
    now_s = time.monotonic()
    return Group(
        *(part for each in watches for part in (_head(each), _table(each, now_s), _faults(each)))
    )


def _head(watch: Watch) -> Text:
    text = Text(f"{watch.bus.name}, round {watch.rounds}, line busy {watch.load_percent} %")
    if watch.down:
        text.append(f"\n{watch.down}", style="red")
    return text


def _table(watch: Watch, now_s: float) -> TerminalTable:
    numbers = ("import kWh", "export kWh", "power W", "age s", "errors", "ms last/avg")
    columns = [Column("meter"), *(Column(name, is_number=True) for name in numbers)]
    table = TerminalTable(columns, has_frame=False)
    for row in watch.meters:
        table.add(*_cells(watch, row, now_s))
    return table


def _faults(watch: Watch) -> Text:
    lines = [escaped(f"{row.meter.id}: {row.last_error}") for row in watch.meters if row.last_error]
    return Text("\n".join([*lines, ""]), style="red")


def _cells(watch: Watch, row: WatchedMeter, now_s: float) -> list[Text]:
    age_s = row.age_s(now_s)
    style = "red" if watch.is_stale(row, now_s) else ""
    values = ["", "", ""]
    if row.reading:
        reading, flags = row.reading, ReadingFlag(row.reading.flags)
        values = [
            "none" if ReadingFlag.NO_IMPORT in flags else _energy(reading.import_uwh),
            "none" if ReadingFlag.NO_EXPORT in flags else _energy(reading.export_uwh),
            "none" if ReadingFlag.NO_POWER in flags else str(reading.power_w),
        ]
    return [
        Text(row.meter.id, style=style),
        *(Text(value, style=style) for value in values),
        Text("" if age_s is None else f"{age_s:.0f}", style=style),
        Text(f"{row.errors}/{row.polls}", style="red" if row.is_failing else ""),
        Text(f"{row.last_us / 1000:.0f}/{row.average_us / 1000:.0f}"),
    ]


def _energy(energy_uwh: int) -> str:
    return format_quantity.shown("import", energy_uwh)
