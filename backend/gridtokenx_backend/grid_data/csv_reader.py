"""Reads CSV in UTF-8, with commas, semicolons or tabulators between the columns.

Between semicolons, decimals may stand behind a comma.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from gridtokenx_backend.grid_data.file_content import BadFile, decode_text, separator_of
from gridtokenx_backend.grid_data.interval_rows import GridDataRow
from gridtokenx_backend.grid_data.local_time import FileTimes
from gridtokenx_backend.grid_data.table import read_table

_MAX_FIELD = 4096


def read_csv(path: str, content: bytes, times: FileTimes) -> Iterator[GridDataRow]:
    """Yield the rows of a CSV file (see `table`). Raises BadFile."""
    text = decode_text(path, content)
    separator = separator_of(text)
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
