"""`gridtokenx-edge profile`: lists, shows and tries the profiles of models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from gridtokenx_edge.agent.loop import run as run_loop
from gridtokenx_edge.cli.meter_place import (
    AddressOption,
    BaudOption,
    HostOption,
    ParityOption,
    PlaceOptions,
    PortOption,
    RtuOption,
    StopBitsOption,
    run_on_line,
)
from gridtokenx_edge.cli.options import JsonOption, RecordOption
from gridtokenx_edge.cli.profile_new import new
from gridtokenx_edge.cli.terminal import example, fail, finish, print_json, writing
from gridtokenx_edge.commissioning.profile.contact import MeterPlace, open_meter
from gridtokenx_edge.commissioning.profile.trial import Trial, trial_fields, try_profile
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.commissioning.scan.recording import (
    RecordedMeter,
    Recorder,
    Replay,
    load_recording,
    recording_text,
)
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.meters.profile import Profile, is_file, load_profile, profile_names
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.plain_text import escaped, escaped_lines

ProfileArgument = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="The name of a model, or a profile's file.")
]

app = typer.Typer(
    help="Show the models that a gateway reads, and make profiles of others.", no_args_is_help=True
)


@app.command("list", epilog=example("profile list"))
def list_(as_json: JsonOption = False) -> None:
    """List the models."""
    profiles = {name: load_profile(name) for name in profile_names()}
    if as_json:
        print_json(
            {
                "profiles": [
                    {"profile": name, "model": of.name, "confidence": of.confidence}
                    for name, of in profiles.items()
                ]
            }
        )
        return
    table = TerminalTable([Column("profile"), Column("model", wraps=True), Column("confidence")])
    for name, of in profiles.items():
        table.add(name, of.name, of.confidence)
    Console(markup=False).print(table)


@app.command(epilog=example("profile show eastron_sdm630"))
def show(profile: ProfileArgument, as_json: JsonOption = False) -> None:
    """Show a model's registers."""
    of = _load(profile)
    if as_json:
        print_json(msgspec.to_builtins(of))
        return
    console = Console(highlight=False, markup=False)
    said = f"{of.name}: {of.confidence}, ids begin with {of.maker}-"
    console.print(escaped(said), markup=False)
    numbers = ("function", "address", "type", "word order", "unit", "scale")
    table = TerminalTable([Column("quantity", wraps=True), *map(Column, numbers)])
    for name, point in of.all_points().items():
        order = point.word_order if point.count > 1 else ""
        where = (str(point.fc), f"0x{point.address:04X}")
        table.add(name, *where, point.type, order, point.unit, point.scale)
    if of.identity:
        where = (str(of.identity.fc), f"0x{of.identity.address:04X}")
        table.add("serial number", *where, of.identity.type, "", "", "")
        if model := of.identity.model:
            where = (str(model.fc), f"0x{model.address:04X}")
            table.add("type code", *where, model.type, "", "", "")
    console.print(table)
    for note in of.notes:
        console.print(escaped_lines(note), markup=False)


@app.command("test", epilog=example("profile test my_meter.toml --port /dev/ttyUSB0 --address 5"))
def try_out(
    profile: ProfileArgument,
    port: PortOption = "",
    host: HostOption = "",
    address: AddressOption = "",
    baud: BaudOption = "",
    parity: ParityOption = "",
    stop_bits: StopBitsOption = 1,
    rtu_over_tcp: RtuOption = False,
    recording: Annotated[
        str, typer.Option(help="A recording of the meter, instead of its port or host.")
    ] = "",
    record: RecordOption = "",
    as_json: JsonOption = False,
) -> None:
    """Read a meter with a profile: every value, its registers, and whether they make sense."""
    of = _load(profile)
    if not recording:
        address = address or str(of.serial.address)
    usual = LineSettings(of.serial.baud, of.serial.parity, of.serial.stop_bits)
    try:
        at = PlaceOptions(
            port=port,
            host=host,
            address=address,
            baud=baud,
            parity=parity,
            stop_bits=stop_bits,
            rtu_over_tcp=rtu_over_tcp,
        ).place(usual)
    except ValueError as error:
        fail(str(error))
    if (at is None) == (not recording):
        fail("expected one of --port, --host and --recording")
    trial = _try_meter(of, at, record) if at else _try_recording(of, recording, address)
    if as_json:
        print_json(trial_fields(trial))
    else:
        _print_trial(trial)
    finish(is_good=trial.passed)


def _load(name: str) -> Profile:
    if not is_file(name) and name not in profile_names():
        fail(f"expected a model (gridtokenx-edge profile list) or a .toml file, got {name!r}")
    try:
        return load_profile(name)
    except ConfigError as error:
        fail("\n".join(error.lines))


def _try_meter(profile: Profile, at: MeterPlace, record: str) -> Trial:
    async def run() -> tuple[Trial, Recorder]:
        async with open_meter(at) as source:
            recorder = Recorder(source)
            return await try_profile(Prober(recorder), profile), recorder

    trial, recorder = run_on_line(run())
    if record:
        line = str(at.settings or "tcp")
        meter = RecordedMeter(at.address, tuple(recorder.exchanges), line)
        with writing(Path(record)):
            Path(record).write_text(recording_text([meter]))
    return trial


def _try_recording(profile: Profile, file: str, address: str) -> Trial:
    try:
        meters = load_recording(Path(file)).meter
    except ConfigError as error:
        fail("\n".join(error.lines))
    chosen = [meter for meter in meters if address in ("", str(meter.address))]
    if len(chosen) != 1:
        known = ", ".join(str(meter.address) for meter in meters)
        fail(f"{file}: expected --address of one meter of {known}, got {address!r}")
    return run_loop(try_profile(Prober(Replay(chosen[0])), profile))


def _print_trial(trial: Trial) -> None:
    console = Console(highlight=False, markup=False)
    table = TerminalTable(
        [
            Column("quantity", wraps=True),
            Column("address"),
            Column("value", is_number=True),
            Column("unit"),
            Column("registers", wraps=True),
        ]
    )
    for row in trial.rows:
        raw = row.raw if row.words else "refused" if row.is_refused else "no answer"
        where = f"{row.point.fc} 0x{row.point.address:04X}"
        table.add(row.name, where, row.text, row.unit, raw)
    if any(row.words for row in trial.rows):
        console.print(table)
        console.print(escaped(trial.id) or "it does not say its serial number", markup=False)
    for problem in trial.problems:
        console.print(escaped(problem), markup=False, soft_wrap=True)
    for finding in trial.findings:
        if finding.weight <= 0:
            console.print(escaped(f"doubtful: {finding.text}"), markup=False, soft_wrap=True)
    if trial.passed:
        console.print("the agent can read this meter; compare the values with its display")
    else:
        console.print("the agent cannot read this meter with this profile")


app.command(epilog=example("profile new --port /dev/ttyUSB0 --address 5 --shows import=1234.5"))(
    new
)
