"""What reading any file of interval data begins with: its bytes, its text, its separator."""

from __future__ import annotations

from pathlib import Path

from gridtokenx_backend.errors import OperatorError

MAX_FILE_BYTES = 64 * 1024 * 1024


class BadFile(OperatorError):
    """A file cannot be used; the text names the place in it and what was expected there."""


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises BadFile if it cannot be read or is too large."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadFile(f"{path}: expected a file of at most {MAX_FILE_BYTES} bytes")
    return content


def decode_text(path: str, content: bytes) -> str:
    """Return the text of UTF-8, with a byte-order mark or without. Raises BadFile with the row."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise BadFile(f"{path}: row {row}: expected text in UTF-8") from None


def separator_of(text: str) -> str:
    """Return what separates the columns of a CSV file: comma, semicolon or tabulator."""
    first_line, _, _ = text.partition("\n")
    return max(",;\t", key=first_line.count)
