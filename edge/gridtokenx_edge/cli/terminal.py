"""How the commands speak to a person or a program: exit codes, lines, JSON, and progress."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import typer

from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import EdgeConfig
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.plain_text import escaped, escaped_lines

FINDING = 1
USER_ERROR = 2
INTERRUPTED = 130
WIDTH = 80


def example(command: str) -> str:
    """Return the last line of a command's help."""
    return f"[bold]Example:[/bold] gridtokenx-edge {command}"


def load(path: Path, reader: Callable[[Path], EdgeConfig] = load_config) -> EdgeConfig:
    """Return the config in `path`. Its mistakes end the command, each with a line."""
    try:
        return reader(path)
    except ConfigError as error:
        fail("\n".join(error.lines))


def load_form(path: Path) -> EdgeConfig:
    """Return the config in `path` after a look at its form only, as `load`.

    The files that it names, such as keys and certificates, and its meters may be missing still.
    """
    return load(path, reader=lambda file: load_toml(file, EdgeConfig))


def print_json(value: Any) -> None:
    """Print an object for programs, in one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def say(line: str) -> None:
    """Print a line for a person, without what would command the terminal."""
    sys.stdout.write(escaped_lines(line) + "\n")


def fail(text: str) -> NoReturn:
    """End the command with what the user can mend."""
    sys.stderr.write(escaped_lines(text) + "\n")
    raise typer.Exit(USER_ERROR)


def finish(*, is_good: bool) -> NoReturn:
    """End the command with the exit code 0, or with 1 if it found something."""
    raise typer.Exit(0 if is_good else FINDING)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """End the command if the file cannot be written within."""
    try:
        yield
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}")


class ProgressLine:
    """One line on a terminal's standard error, which is written over again and again."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._is_shown = False

    def show(self, text: str) -> None:
        """Show a text that fits into the line, in place of the one before."""
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{escaped(text)[: WIDTH - 1]}")
            sys.stderr.flush()
            self._is_shown = True

    def clear(self) -> None:
        """Leave the line empty."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_shown = False


def wrapped(text: str, first: str, more: str = "") -> list[str]:
    """Return the text in lines that fit: behind `first`, and then below it or behind `more`."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=more or " " * len(first),
        break_on_hyphens=False,
    ) or [first.rstrip()]
