"""CSV: UTF-8, separated by comma, semicolon (then a comma may be the decimal one) or tabulator."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from gridtokenx_backend.grid_data.interval_rows import BadFile, GridDataRow
from gridtokenx_backend.grid_data.local_time import FileTimes
from gridtokenx_backend.grid_data.table import read_table

_MAX_FIELD = 4096


def read_csv(path: str, content: bytes, times: FileTimes) -> Iterator[GridDataRow]:
    """The rows of a CSV file (see `table`). Raises BadFile."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadFile(f"{path}: row {line}: expected text in UTF-8") from None
    heading, _, _ = text.partition("\n")
    separator = max(",;\t", key=heading.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    yield from read_table(path, _lines(path, lines), times, decimal_comma=separator == ";")


def _lines(path: str, lines: Iterator[list[str]]) -> Iterator[list[str]]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if any(len(cell) > _MAX_FIELD for cell in line):
                raise BadFile(f"{path}: row {number}: expected at most {_MAX_FIELD} characters")
            yield line
    except csv.Error as error:
        raise BadFile(f"{path}: row {number + 1}: expected CSV: {error}") from None
