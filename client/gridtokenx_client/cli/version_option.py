"""The option `--version` of the command."""

from __future__ import annotations

from typing import Annotated

import typer

from gridtokenx_wire.release import release


def _print_version(is_wanted: bool) -> None:  # noqa: FBT001 (Typer calls it so)
    if is_wanted:
        typer.echo(f"gridtokenx {release()}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
]
