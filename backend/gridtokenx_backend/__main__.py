"""The command `gridtokenx-backend`.

Exit codes: 0 done, 2 what the operator can mend. An error is a line on stderr for each finding.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from gridtokenx_backend.config import load_settings, load_terms
from gridtokenx_backend.errors import OperatorError
from gridtokenx_wire.errors import ConfigError, KeyFileError
from gridtokenx_wire.keys import load_private_key, public_key_text, read_secret

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
ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The server's config file.", metavar="FILE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_CONFIG = Path("config/backend.toml")


@app.command(epilog="Example: gridtokenx-backend run --config /etc/gridtokenx/backend.toml")
def run(config: ConfigOption = _CONFIG) -> None:
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
def check_config(config: ConfigOption = _CONFIG, *, as_json: JsonOption = False) -> None:
    """Check both config files and say what they describe; starts nothing."""
    terms = load_terms(load_settings(config).community)
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


@app.command(epilog="Example: gridtokenx-backend key --config config/backend.toml")
def key(config: ConfigOption = _CONFIG, *, as_json: JsonOption = False) -> None:
    """Print the public key that gateways pin; makes the data folder and the key if need be."""
    from gridtokenx_backend.data_folder import prepare  # noqa: PLC0415

    settings = load_settings(config)
    prepare(settings)
    public = public_key_text(load_private_key(settings.ack_key).public_key())
    typer.echo(json.dumps({"ack_key": public}) if as_json else public)


@app.command(epilog="Example: gridtokenx-backend replay --verify --config config/backend.toml")
def replay(
    config: ConfigOption = _CONFIG,
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
    from gridtokenx_backend import replay_command  # noqa: PLC0415

    settings = load_settings(config)
    report = asyncio.run(replay_command.run(settings.journal, verify=verify))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for name, value in report.items():
            typer.echo(f"{name:>20}  {value}")


@app.command("import", epilog="Example: gridtokenx-backend import site.frames --acks site.acks")
def import_frames(
    file: Annotated[Path, typer.Argument(help="What `gridtokenx-edge outbox export` wrote.")],
    config: ConfigOption = _CONFIG,
    *,
    api: Annotated[str, typer.Option(help="The backend's address; else the config's.")] = "",
    acks: Annotated[
        Path | None, typer.Option(help="Where the acks go; else FILE with .acks.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put a gateway's frames out of a file to the running backend, and write its acks.

    For a site that never comes online. Frames that are stored already change nothing, so that it
    may be done again. Give the acks to the gateway: gridtokenx-edge outbox acked FILE.
    """
    from gridtokenx_backend import import_command  # noqa: PLC0415

    settings = load_settings(config)
    address = api or f"http://{settings.backend.api.host}:{settings.backend.api.port}"
    token = read_secret(settings.operator_token).decode().strip()
    receipts = acks or file.with_name(f"{file.name}.acks")
    report = import_command.put(file, address, token, receipts, _show_progress)
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
        return
    typer.echo(
        f"{file}: {report.frames} frames with {report.readings} readings of {report.device}: "
        f"{report.accepted} stored now, {report.duplicates} stored before, "
        f"{report.readings_thinned} readings left out by the gateway"
    )
    typer.echo(f"{report.acks}: take it to the gateway: gridtokenx-edge outbox acked {report.acks}")


def _show_progress(reached: int, end: int) -> None:
    """On a terminal, one line that is written over."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rframe {reached} of {end}" + ("\n" if reached == end else ""))
        sys.stderr.flush()


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
