"""The command `gridtokenx-backend`.

An error is a line on stderr for each finding; `cli/exit_codes.py` lists the exit codes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NoReturn

from gridtokenx_terminal.program import begin, end_for_file, end_without
from gridtokenx_wire.plain_text import escaped_lines

_NAME = "gridtokenx-backend"

try:
    import typer

    from gridtokenx_backend.cli.accept_loss import accept_loss
    from gridtokenx_backend.cli.admission import device, token
    from gridtokenx_backend.cli.backup import backup, restore
    from gridtokenx_backend.cli.check_config import check_config
    from gridtokenx_backend.cli.clock import clock
    from gridtokenx_backend.cli.exit_codes import INTERRUPTED, OPERATOR_MISTAKE
    from gridtokenx_backend.cli.grid_data import grid, reconcile
    from gridtokenx_backend.cli.held_energy import held
    from gridtokenx_backend.cli.import_frames import import_frames
    from gridtokenx_backend.cli.key import key
    from gridtokenx_backend.cli.market import market
    from gridtokenx_backend.cli.options import example
    from gridtokenx_backend.cli.pki import broker_config, init
    from gridtokenx_backend.cli.reader import reader
    from gridtokenx_backend.cli.replay import replay
    from gridtokenx_backend.cli.run import run
    from gridtokenx_backend.cli.settlement import correct, deposit, rec, withdrawal
    from gridtokenx_backend.cli.statements import period, report, statement
    from gridtokenx_backend.cli.version_option import VersionOption
    from gridtokenx_backend.errors import OperatorError
    from gridtokenx_wire.errors import ConfigError, KeyFileError
except ModuleNotFoundError as missing:
    end_without(_NAME, "backend", missing)

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


app.command(epilog=example("init --config backend.toml --host community.example"))(init)
app.command(epilog=example("broker-config --config backend.toml --out broker"))(broker_config)
app.command("import", epilog=example("import site.frames --acks site.acks"))(import_frames)
app.command(
    epilog=example(
        'deposit 3cuQ7ktXCfiYhZstjRdZvRDBYoH5edou9GrhMT7NfXXQ 50 --reference "SEPA 2026-07-01/2"'
    )
)(deposit)
app.command(
    epilog=example(
        "correct EASTRON-12345678 --from 2026-06-01T12:15+02:00 "
        '--to 2026-06-01T12:45+02:00 --import 0 --export 1.5 --reason "meter stood still"'
    )
)(correct)
app.add_typer(held, name="held")
app.add_typer(withdrawal, name="withdrawal")
app.add_typer(rec, name="rec")
app.command(epilog=example("statement 2026-06 --format pdf --out june"))(statement)
app.command(epilog=example("report 2026-06 --format html --out june"))(report)
app.add_typer(period, name="period")
app.add_typer(market, name="market")
app.add_typer(clock, name="clock")
app.add_typer(key, name="key")
app.add_typer(token, name="token")
app.add_typer(device, name="device")
app.add_typer(reader, name="reader")
app.add_typer(grid, name="grid")
app.command(epilog=example("reconcile march.csv --csv differences.csv"))(reconcile)
app.command(epilog=example("run --config /etc/gridtokenx/backend.toml"))(run)
app.command(epilog=example("backup --config backend.toml /backup/sonnenweg.tar"))(backup)
app.command(epilog=example("restore --config backend.toml /backup/sonnenweg.tar"))(restore)
app.command(epilog=example('accept-loss --reason "the disk died; backup of 3 May"'))(accept_loss)
app.command(epilog=example("check-config --config config/backend.toml"))(check_config)
app.command(epilog=example("replay --verify --config config/backend.toml"))(replay)


def main() -> None:
    """Run the command and exit with its code. A mistake of the operator's has no traceback."""
    begin(_NAME)
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
    except OSError as error:
        end_for_file(_NAME, error)
    except ModuleNotFoundError as missing:  # some are imported by the command that needs them
        end_without(_NAME, "backend", missing)
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
    sys.stderr.write("".join(f"{escaped_lines(line)}\n" for line in lines))
    sys.exit(OPERATOR_MISTAKE)


if __name__ == "__main__":
    main()
