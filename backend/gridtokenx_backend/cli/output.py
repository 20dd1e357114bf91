"""How the commands print to people and programs, and write files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from gridtokenx_backend.errors import OperatorError
from gridtokenx_terminal.table import Column, TerminalTable
from gridtokenx_wire.plain_text import escaped_lines

_WRAPPED = frozenset({"member", "reference", "why", "reason", "site", "used by", "what"})
"""Headings of columns whose words may stand on several lines."""


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value))


def print_answer(answer: Any, text: str, *, as_json: bool) -> None:
    """Print an answer as JSON for programs, or `text`, which says it to people."""
    if as_json:
        print_json(answer)
    else:
        say(text)


def say(text: str, *, err: bool = False) -> None:
    """Print what a person reads, without what would command the terminal."""
    typer.echo(escaped_lines(text), err=err)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. Ids and amounts are whole in it, so that they can be copied."""
    table = TerminalTable([Column(heading, wraps=heading in _WRAPPED) for heading in headings])
    for row in rows:
        table.add(*row)
    Console(markup=False).print(table)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, in place of what was there. Raises OperatorError."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and its folder if need be.

    Raises OperatorError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(content)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> OperatorError:
    return OperatorError(f"{path}: cannot be written: {error.strerror}")
