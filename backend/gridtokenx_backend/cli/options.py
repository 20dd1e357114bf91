"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CONFIG = Path("backend.toml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The server's config file.", metavar="FILE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
UrlOption = Annotated[
    str, typer.Option("--api", metavar="URL", help="The API's address, if it is not the config's.")
]
ReasonOption = Annotated[
    str, typer.Option(metavar="TEXT", help="The reason, which goes into the journal.")
]


def example(arguments: str) -> str:
    """Return the last line of a command's help."""
    return f"Example: gridtokenx-backend {arguments}"
