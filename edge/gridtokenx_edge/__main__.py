"""The command `gridtokenx-edge`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gridtokenx_edge.config import BusConfig, EdgeConfig, MeterConfig, resolve_paths
from gridtokenx_edge.config_check import load_config
from gridtokenx_edge.once import Answer, read_once
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.errors import ConfigError, KeyFileError
from gridtokenx_wire.keys import (
    create_private_key,
    device_id,
    device_text,
    load_private_key,
    public_key_text,
)
from gridtokenx_wire.reading import ReadingFlag
from gridtokenx_wire.units import format_decimal

USER_ERROR = 2
INTERRUPTED = 130
_KWH_DECIMALS = 9
_UWH_PER_WH = 10**6

app = typer.Typer(
    help="Reads the meters of a site, signs what it read, keeps it safe and sends it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The site's edge.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object for programs.")]


def _example(command: str) -> str:
    return f"[bold]Example:[/bold] gridtokenx-edge {command}"


@app.command(epilog=_example("run --config /etc/gridtokenx/edge.toml"))
def run(config: ConfigOption) -> None:
    """Run the agent until SIGTERM; logs go to stderr as JSON lines."""
    _load(config)
    # A new program in this process: Typer and Rich take memory that the agent has no use for.
    # One malloc arena is enough for a loop and its database thread.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    sys.stdout.flush()
    agent = [
        sys.executable,
        "-P",
        "-m",
        "gridtokenx_edge.agent",
        str(config),
        version("gridtokenx"),
    ]
    os.execv(sys.executable, agent)  # noqa: S606 (no shell is meant)


@app.command(epilog=_example("check-config --config config/edge.toml"))
def check_config(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Check a config without touching a meter or the network."""
    loaded = _load(config)
    paths = resolve_paths(loaded, config)
    meters = [meter.id for bus in loaded.bus for meter in bus.meter]
    key = "present" if paths.key.is_file() else "missing"
    if as_json:
        _print_json({"ok": True, "buses": len(loaded.bus), "meters": meters, "key": key})
        return
    _say(f"{config}: ok, {len(loaded.bus)} buses, {len(meters)} meters")
    if key == "missing":
        _say(f"{paths.key}: no device key yet; make it: gridtokenx-edge key --config {config}")


@app.command(epilog=_example("read --config config/edge.toml --meter EASTRON-12345678"))
def read(
    config: ConfigOption,
    meter: Annotated[str, typer.Option(help="Only the meter with this id.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Poll meters once and show what they say; exit code 1 if one does not answer."""
    loaded = _load(config)
    chosen = _choose(loaded, meter)
    if not chosen:
        _fail(f"{config}: expected a meter of this config, got {meter!r}")
    answers = asyncio.run(read_once(loaded, chosen))
    if as_json:
        _print_json({"meters": [_answer_fields(answer) for answer in answers]})
    else:
        Console().print(_answer_table(answers))
    raise typer.Exit(0 if all(answer.reading for answer in answers) else 1)


@app.command(epilog=_example("key --config config/edge.toml"))
def key(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Show who this device is; makes its key if there is none."""
    # Only the file's form is checked: TLS files come after the key that they are made for.
    path = resolve_paths(_load(config, load=lambda file: load_toml(file, EdgeConfig)), config).key
    try:
        try:
            public = create_private_key(path).public_key()
            is_new = True
        except FileExistsError:
            public = load_private_key(path).public_key()
            is_new = False
    except KeyFileError as error:
        _fail(str(error))
    fields = {
        "device": device_text(device_id(public)),
        "public_key": public_key_text(public),
        "key_file": str(path),
        "created": is_new,
    }
    if as_json:
        _print_json(fields)
        return
    for name in ("device", "public_key", "key_file"):
        _say(f"{name:<10} {fields[name]}")


def _load(path: Path, load: Callable[[Path], EdgeConfig] = load_config) -> EdgeConfig:
    try:
        return load(path)
    except ConfigError as error:
        _fail("\n".join(error.lines))


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


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _fail(text: str) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise typer.Exit(USER_ERROR)


def main() -> None:
    """The console script. A mistake in the options is one line, as in all other places."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if message := error.format_message():  # else the help has been printed
            sys.stderr.write(f"gridtokenx-edge: {message}\n")
        sys.exit(USER_ERROR)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(status)


if __name__ == "__main__":
    main()
