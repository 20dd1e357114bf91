"""Options that commands share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The server's config file.", metavar="FILE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
CONFIG = Path("backend.toml")
_IDS = ("id", "device", "meter", "day", "direction", "verdict")


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table()
    for heading in headings:  # what is typed into the next command stays whole
        table.add_column(heading, no_wrap=heading in _IDS, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
