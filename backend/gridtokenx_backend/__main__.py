"""`gridtokenx-backend`: run, check the config, replay the journal."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gridtokenx_wire.errors import ConfigError, KeyFileError

app = typer.Typer(
    name="gridtokenx-backend",
    help="The community's server: oracle, ledger, market, journal and API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The server's config file.", metavar="FILE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turns what an operator can cause or mend into lines on stderr and exit code 2."""
    from gridtokenx_backend.journal import Fenced, JournalUnavailable  # noqa: PLC0415
    from gridtokenx_backend.replay import ReplayMismatch  # noqa: PLC0415
    from gridtokenx_backend.server import CannotStart  # noqa: PLC0415

    expected = (
        ConfigError,
        KeyFileError,
        CannotStart,
        JournalUnavailable,
        ReplayMismatch,
        Fenced,
    )
    try:
        yield
    except expected as error:
        _fail(str(error))
    except BaseExceptionGroup as group:
        ours, others = group.split(expected)
        if ours is None or others is not None:
            raise
        _fail("\n".join(str(error) for error in _leaves(ours)))


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(2)


@app.command(epilog="Example: gridtokenx-backend run --config /etc/gridtokenx/backend.toml")
def run(config: ConfigOption = Path("config/backend.toml")) -> None:
    """Run the community until SIGTERM. Prints one JSON line when it serves."""
    with _one_line_errors():
        import uvloop  # noqa: PLC0415

        from gridtokenx_backend import logs, server  # noqa: PLC0415
        from gridtokenx_backend.config import load_settings  # noqa: PLC0415

        settings = load_settings(config)
        logs.configure()
        uvloop.run(server.run(settings, _print_ready))


def _print_ready(api: str) -> None:
    sys.stdout.write(json.dumps({"ready": True, "api": api}) + "\n")
    sys.stdout.flush()


@app.command(epilog="Example: gridtokenx-backend check-config --config config/backend.toml")
def check_config(
    config: ConfigOption = Path("config/backend.toml"), *, as_json: JsonOption = False
) -> None:
    """Check both config files and say what they describe; starts nothing."""
    with _one_line_errors():
        from gridtokenx_backend.config import load_settings, load_terms  # noqa: PLC0415

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
        typer.echo(
            f"{config}: ok: community {found['community']} with {found['members']} members, "
            f"{found['devices']} devices, {found['meters']} meters"
        )


@app.command(epilog="Example: gridtokenx-backend key --config config/backend.toml")
def key(config: ConfigOption = Path("config/backend.toml"), *, as_json: JsonOption = False) -> None:
    """Print the public key that gateways pin; makes the data folder and the key if need be."""
    with _one_line_errors():
        from gridtokenx_backend.config import load_settings  # noqa: PLC0415
        from gridtokenx_backend.server import prepare  # noqa: PLC0415
        from gridtokenx_wire.keys import load_private_key, public_key_text  # noqa: PLC0415

        settings = load_settings(config)
        prepare(settings)
        public = public_key_text(load_private_key(settings.ack_key).public_key())
    typer.echo(json.dumps({"ack_key": public}) if as_json else public)


@app.command(epilog="Example: gridtokenx-backend replay --verify --config config/backend.toml")
def replay(
    config: ConfigOption = Path("config/backend.toml"),
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
    with _one_line_errors():
        from gridtokenx_backend import replay_command  # noqa: PLC0415
        from gridtokenx_backend.config import load_settings  # noqa: PLC0415

        settings = load_settings(config)
        report = asyncio.run(replay_command.run(settings.journal, verify=verify))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for name, value in report.items():
            typer.echo(f"{name:>20}  {value}")


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
