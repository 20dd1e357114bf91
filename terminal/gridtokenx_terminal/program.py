"""How a program begins and ends, whatever its arguments, its files and its terminal are like."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

from gridtokenx_wire.plain_text import escaped

USER_MISTAKE = 2


def begin(name: str) -> None:
    """Prepare the output, and end the program if an argument is no text.

    What a terminal's encoding lacks is printed as `\\u2502`: a table is no reason for a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for argument in sys.argv[1:]:
        if not _is_text(argument):
            end(name, f"expected arguments in UTF-8, got {escaped(argument)}")


def end(name: str, text: str) -> NoReturn:
    """End the program with one line of what its user can mend."""
    sys.stderr.write(f"{name}: {escaped(text)}\n")
    sys.exit(USER_MISTAKE)


def end_for_file(name: str, error: OSError) -> NoReturn:
    """End the program if an error names the file that it is about, and else raise it."""
    if error.filename is None or not error.strerror:
        raise error
    end(name, f"{error.filename}: {error.strerror}")


def end_without(name: str, extra: str, missing: ModuleNotFoundError) -> NoReturn:
    """End the program, saying which extra to install: the command comes with every extra, and what
    it needs only with its own.
    """
    text = f"expected the package {missing.name}, found none"
    end(name, f"{text}; run: pip install 'gridtokenx[{extra}]'")


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:  # Python keeps other bytes as lone surrogates
        return False
    return True
