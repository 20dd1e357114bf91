"""`gridtokenx-edge scan`: finds the meters of a bus and names them."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gridtokenx_edge.agent.loop import run as run_loop
from gridtokenx_edge.cli.dlms_results import TCP_PORT, found_table, looker, remark_lines
from gridtokenx_edge.cli.options import JsonOption, RecordOption, WhereArgument
from gridtokenx_edge.cli.terminal import INTERRUPTED, fail, finish, print_json, writing
from gridtokenx_edge.commissioning.check.ports import with_holders
from gridtokenx_edge.commissioning.scan.dlms_results import dlms_snippet
from gridtokenx_edge.commissioning.scan.recording import RecordedMeter, Recorder, recording_text
from gridtokenx_edge.commissioning.scan.report import (
    garbled_text,
    model_text,
    notes,
    profiles_text,
    report_fields,
)
from gridtokenx_edge.commissioning.scan.results import FoundMeter, ScanReport
from gridtokenx_edge.commissioning.scan.settings import (
    ADDRESSES,
    BAUD_RATES,
    PARITIES,
    UNITS,
    LineSettings,
    chosen_settings,
    factory_settings,
    first_addresses,
    parse_addresses,
    parse_bauds,
    parse_parities,
)
from gridtokenx_edge.commissioning.scan.snippet import snippet
from gridtokenx_edge.commissioning.scan.source import Source
from gridtokenx_edge.commissioning.scan.sweep import Scan, ScanPlan, as_it_is
from gridtokenx_edge.commissioning.scan.target import (
    SerialTarget,
    Target,
    parse_port,
    parse_target,
    split_host,
)
from gridtokenx_edge.meters.profile import Profile, load_profile, profile_names
from gridtokenx_edge.polling.faults import LineDown
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.plain_text import escaped, escaped_lines

StopBitsOption = Annotated[
    int,
    typer.Option(min=1, max=2, help="How many stop bits there are; used with --baud and --parity."),
]


def scan(
    where: WhereArgument,
    addresses: Annotated[str, typer.Option(help="Try only these addresses, such as 1-20,33.")] = "",
    baud: Annotated[str, typer.Option(help="Try only these baud rates, such as 9600,19200.")] = "",
    parity: Annotated[str, typer.Option(help="Try only these parities, such as N,E.")] = "",
    stop_bits: StopBitsOption = 1,
    rtu_over_tcp: Annotated[bool, typer.Option(help="The host passes RTU frames through.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Try all rates, parities and addresses. It takes long.")
    ] = False,
    dlms: Annotated[
        bool | None,
        typer.Option(
            help="Look for DLMS meters, too. The default is only where no Modbus meter answers."
        ),
    ] = None,
    record: RecordOption = "",
    toml: Annotated[bool, typer.Option("--toml", help="Print it as lines for edge.toml.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the meters of a bus and name them. Only reads; Ctrl-C shows what was found so far."""
    profiles = {name: load_profile(name) for name in profile_names()}
    try:
        target = parse_target(where, rtu_over_tcp=rtu_over_tcp)
        plan = _plan(target, profiles, addresses, baud, parity, stop_bits, everything=everything)
        plan = msgspec.structs.replace(plan, dlms_too=bool(dlms))
        dlms_port = _dlms_port(where)
        bauds = parse_bauds(baud) if baud else ()
    except ValueError as error:
        fail(str(error))
    look = None if dlms is False else looker(target, dlms_port, bauds)
    recorders: list[tuple[LineSettings | None, int, Recorder]] = []

    def write_down(settings: LineSettings | None, address: int, source: Source) -> Source:
        recorders.append((settings, address, Recorder(source)))
        return recorders[-1][2]

    with _ScanDisplay() as shown:
        wrap = write_down if record else as_it_is
        search = Scan(target, plan, profiles, shown, wrap, look)
        fault, interrupted = _run(search)
    if record:
        _write_recording(Path(record), recorders)
    report = search.report
    fault = with_holders(fault, where)
    if fault and not (report.meters or report.dlms):
        fail(fault)
    if fault:
        report.notices.append(fault)
    if toml:
        _print_toml(report, dlms_port)
    else:
        _print(report, interrupted=interrupted, as_json=as_json)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    finish(is_good=not fault and report.is_clear)


def _run(search: Scan) -> tuple[str, bool]:
    """Run the scan. Returns what went wrong with the port, and whether Ctrl-C was pressed."""
    try:
        run_loop(search.run())
    except LineDown as fault:
        return str(fault), False
    except KeyboardInterrupt:
        return "", True
    return "", False


def _plan(
    target: Target,
    profiles: dict[str, Profile],
    addresses: str,
    baud: str,
    parity: str,
    stop_bits: int,
    *,
    everything: bool,
) -> ScanPlan:
    """Return what is tried, from the options. Raises ValueError."""
    settings: tuple[LineSettings, ...] = ()
    is_rtu = True
    if isinstance(target, SerialTarget):
        usual = settings = factory_settings(profiles.values())
        if baud or parity or everything:
            bauds = parse_bauds(baud) if baud else _bauds(usual, everything=everything)
            parities = parse_parities(parity) if parity else PARITIES[: 3 if everything else 2]
            settings = chosen_settings(bauds, parities, stop_bits)
    elif baud or parity:
        raise ValueError("expected a serial port with --baud and --parity, got a host")
    else:
        is_rtu = target.rtu_over_tcp
    known = ADDRESSES if is_rtu else UNITS
    if addresses:
        return ScanPlan(
            settings=settings, first=parse_addresses(addresses, known), everything=everything
        )
    first = first_addresses(profiles.values())
    if not is_rtu:
        first += (255, 0)
    rest = tuple(address for address in known if address not in first)
    return ScanPlan(settings=settings, first=first, rest=rest, everything=everything)


def _bauds(usual: tuple[LineSettings, ...], *, everything: bool) -> tuple[int, ...]:
    if everything:
        return BAUD_RATES
    return tuple(dict.fromkeys(settings.baud for settings in usual))


class _ScanDisplay:
    """Shows a scan on standard error: a bar on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self._has_looked = False

    def __enter__(self) -> _ScanDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def trying(self, settings: LineSettings | None, addresses: int, seconds: float) -> None:
        at = f"{settings}: " if settings else ""
        count = "1 address" if addresses == 1 else f"{addresses} addresses"
        self._bar.reset(self._task, total=addresses, description=f"{at}addresses")
        self._say(f"{at}trying {count}, at most {math.ceil(seconds)} s")

    def tried(self, address: int) -> None:
        self._bar.update(self._task, advance=1, description=f"address {address}")

    def found(self, meter: FoundMeter) -> None:
        at = f" at {meter.settings}" if meter.settings else ""
        name = profiles_text(meter) or model_text(meter) or meter.who.note
        self._say(f"found address {meter.address}{at}: {name} {meter.serial}".rstrip())

    def notice(self, text: str) -> None:
        self._say(text)

    def looking(self, text: str) -> None:
        if not self._has_looked:
            self._say("looking for other meters")
            self._has_looked = True
        self._bar.reset(self._task, total=None, description=text)

    def _say(self, line: str) -> None:
        self._console.print(escaped(line), markup=False, soft_wrap=True)


def _write_recording(
    path: Path, recorders: list[tuple[LineSettings | None, int, Recorder]]
) -> None:
    meters = [
        RecordedMeter(address, tuple(recorder.exchanges), str(settings or "tcp"))
        for settings, address, recorder in recorders
    ]
    with writing(path):
        path.write_text(recording_text(meters))


def _dlms_port(where: str) -> int:
    """Return the port that was named, or the one that is registered for DLMS.

    Raises ValueError.
    """
    _, port = split_host(where)
    return parse_port(port) if port and "/" not in where else TCP_PORT


def _print_toml(report: ScanReport, dlms_port: int) -> None:
    """Print the lines for `edge.toml`.

    A config lies in another folder than this one, so its port has its whole path.
    """
    target = report.target
    if isinstance(target, SerialTarget):
        target = SerialTarget(os.path.abspath(target.port))  # noqa: PTH100 (links are kept)
    parts = []
    if report.meters or not report.dlms:
        parts.append(snippet(msgspec.structs.replace(report, target=target)))
    if report.dlms:
        parts.append(dlms_snippet(target, dlms_port, report.dlms))
    sys.stdout.write("\n".join(parts))


def _print(report: ScanReport, *, interrupted: bool, as_json: bool) -> None:
    if as_json:
        print_json(report_fields(report, interrupted=interrupted))
        return
    console = Console(highlight=False, markup=False)
    if report.meters:
        console.print(_table(report))
    for meter in report.meters:
        for note in notes(meter):
            console.print(escaped(f"address {meter.address}: {note}"), markup=False, soft_wrap=True)
    if report.dlms:
        console.print(found_table(report.dlms))
    for line in remark_lines(report.dlms):
        console.print(escaped(line), markup=False, soft_wrap=True)
    for garbled in report.settled_garbled():
        console.print(escaped_lines(garbled_text(garbled)), markup=False, soft_wrap=True)
    if report.sender:
        console.print(escaped(f"{report.target}: {report.sender}"), markup=False, soft_wrap=True)
    elif not (report.meters or report.dlms or report.settled_garbled()):
        what = "so far" if interrupted else "to anything tried"
        hint = "" if interrupted else "; wiring (A and B)? power? --all tries all settings"
        console.print(f"{report.target}: nobody answered {what}{hint}", markup=False)
    elif interrupted:
        console.print("stopped before everything was tried", markup=False)


def _table(report: ScanReport) -> TerminalTable:
    is_serial = isinstance(report.target, SerialTarget)
    where = [*(["line"] if is_serial else []), "address"]
    said = [Column("profile"), Column("serial number"), Column("how sure", wraps=True)]
    table = TerminalTable([*map(Column, where), *said])
    for meter in report.meters:
        line = [str(meter.settings)] if is_serial else []
        names = profiles_text(meter) or model_text(meter)
        sure = meter.who.verdict.sureness
        names = names.replace(" or ", "\nor ")
        table.add(*line, str(meter.address), names, meter.serial, sure)
    return table
