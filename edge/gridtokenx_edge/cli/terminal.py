"""What the commands share: options, exit codes, and how they speak to a person or a program."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import EdgeConfig
from gridtokenx_wire.errors import ConfigError

FINDING = 1
USER_ERROR = 2
INTERRUPTED = 130
WIDTH = 80

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The site's edge.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object for programs.")]


def example(command: str) -> str:
    """The last line of a command's help."""
    return f"[bold]Example:[/bold] gridtokenx-edge {command}"


def load(path: Path, reader: Callable[[Path], EdgeConfig] = load_config) -> EdgeConfig:
    """The config in `path`; its mistakes end the command, a line each."""
    try:
        return reader(path)
    except ConfigError as error:
        fail("\n".join(error.lines))


def print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def fail(text: str) -> NoReturn:
    """Ends the command with what the user can mend."""
    sys.stderr.write(text + "\n")
    raise typer.Exit(USER_ERROR)


def wrapped(text: str, first: str, more: str = "") -> list[str]:
    """The text in lines that fit, behind `first` and then below it, or behind `more`."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=more or " " * len(first),
        break_on_hyphens=False,
    ) or [first.rstrip()]
