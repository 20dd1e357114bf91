"""The command `gridtokenx-backend`.

Exit codes: 0 done, 2 what the operator can mend. An error is a line on stderr for each finding.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer

from gridtokenx_backend.cli.admission import device, token
from gridtokenx_backend.cli.grid_data import grid, reconcile
from gridtokenx_backend.cli.import_frames import import_frames
from gridtokenx_backend.cli.key import key
from gridtokenx_backend.cli.market import market
from gridtokenx_backend.cli.pki import broker_config, init
from gridtokenx_backend.cli.settlement import correct, deposit, rec, withdrawal
from gridtokenx_backend.cli.statements import period, report, statement
from gridtokenx_backend.cli.terminal import CONFIG, ConfigOption, JsonOption
from gridtokenx_backend.cli.version_option import VersionOption
from gridtokenx_backend.config.settings import load_settings, load_terms, missing_files
from gridtokenx_backend.errors import OperatorError
from gridtokenx_wire.errors import ConfigError, KeyFileError

OPERATOR_MISTAKE = 2
INTERRUPTED = 130
_MENDABLE = (OperatorError, ConfigError, KeyFileError)

app = typer.Typer(
    name="gridtokenx-backend",
    help="The community's server: oracle, ledger, market, journal and API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(*, _version: VersionOption = False) -> None:
    """Take the options of the command itself."""


app.command(
    epilog="Example: gridtokenx-backend init --config backend.toml --host community.example"
)(init)
app.command(epilog="Example: gridtokenx-backend broker-config --config backend.toml --out broker")(
    broker_config
)
app.command("import", epilog="Example: gridtokenx-backend import site.frames --acks site.acks")(
    import_frames
)
app.command(
    epilog="Example: gridtokenx-backend deposit 3cuQ7ktXCfiYhZstjRdZvRDBYoH5edou9GrhMT7NfXXQ 50 "
    '--reference "SEPA 2026-07-01/2"'
)(deposit)
app.command(
    epilog="Example: gridtokenx-backend correct EASTRON-12345678 --from 2026-06-01T12:15+02:00 "
    '--to 2026-06-01T12:45+02:00 --import 0 --export 1.5 --reason "meter stood still"'
)(correct)
app.add_typer(withdrawal, name="withdrawal")
app.add_typer(rec, name="rec")
app.command(epilog="Example: gridtokenx-backend statement 2026-06 --format pdf --out june")(
    statement
)
app.command(epilog="Example: gridtokenx-backend report 2026-06 --format html --out june")(report)
app.add_typer(period, name="period")
app.add_typer(market, name="market")
app.add_typer(key, name="key")
app.add_typer(token, name="token")
app.add_typer(device, name="device")
app.add_typer(grid, name="grid")
app.command(epilog="Example: gridtokenx-backend reconcile march.csv --csv differences.csv")(
    reconcile
)


@app.command(epilog="Example: gridtokenx-backend run --config /etc/gridtokenx/backend.toml")
def run(config: ConfigOption = CONFIG) -> None:
    """Run the community until SIGTERM. Prints one JSON line when it serves."""
    import uvloop  # noqa: PLC0415 - the web server takes a second to import

    from gridtokenx_backend import logs, server  # noqa: PLC0415

    settings = load_settings(config)
    logs.configure()
    uvloop.run(server.run(settings, _print_ready))


def _print_ready(api: str) -> None:
    sys.stdout.write(json.dumps({"ready": True, "api": api}) + "\n")
    sys.stdout.flush()


@app.command(epilog="Example: gridtokenx-backend check-config --config config/backend.toml")
def check_config(config: ConfigOption = CONFIG, *, as_json: JsonOption = False) -> None:
    """Check both config files and say what they describe; starts nothing."""
    settings = load_settings(config)
    terms = load_terms(settings.community)
    if lines := missing_files(settings, config):
        raise ConfigError(lines)
    found = {
        "community": terms.community.name,
        "members": len(terms.member),
        "devices": len(terms.device),
        "meters": len(terms.meter),
    }
    if as_json:
        typer.echo(json.dumps(found))
    else:
        counts = ", ".join(f"{found[name]} {name}" for name in ("members", "devices", "meters"))
        typer.echo(f"{config}: ok: community {terms.community.name}: {counts}")


@app.command(epilog="Example: gridtokenx-backend replay --verify --config config/backend.toml")
def replay(
    config: ConfigOption = CONFIG,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="From the first entry, with every signature.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the community from its journal and print the digest of its state.

    With --verify everything is computed again and compared: outcomes, leaf hashes, the newest
    snapshot's digest, and the signature of every frame and order.
    """
    from gridtokenx_backend.cli import replay  # noqa: PLC0415

    settings = load_settings(config)
    series = settings.series if settings.series.exists() else None
    report = asyncio.run(replay.run(settings.journal, series, verify=verify))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for name, value in report.items():
            typer.echo(f"{name:>20}  {value}")


def main() -> None:
    """The console script."""
    try:
        status = app(standalone_mode=False)
    except typer.TyperException as error:
        if not error.format_message():  # no command was given, and the help has been printed
            sys.exit(OPERATOR_MISTAKE)
        _fail([f"gridtokenx-backend: {error.format_message()}"])
    except _MENDABLE as error:
        _fail([str(error)])
    except BaseExceptionGroup as group:
        mendable, others = group.split(_MENDABLE)
        if mendable is None or others is not None:
            raise  # a bug of ours: the traceback is for us
        _fail([str(error) for error in _leaves(mendable)])
    except ModuleNotFoundError as error:
        _fail(
            [f"gridtokenx-backend: {error.name} is missing; run: pip install gridtokenx[backend]"]
        )
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(status)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _fail(lines: list[str]) -> NoReturn:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.exit(OPERATOR_MISTAKE)


if __name__ == "__main__":
    main()
