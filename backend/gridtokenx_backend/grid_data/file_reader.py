"""Reads a file in any of the formats, which its content shows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.grid_data.consumption_record import (
    is_consumption_record,
    read_consumption_record,
)
from gridtokenx_backend.grid_data.csv_reader import read_csv
from gridtokenx_backend.grid_data.file_content import BadFile, read_bytes
from gridtokenx_backend.grid_data.interval_rows import BadValue, assemble
from gridtokenx_backend.grid_data.local_time import FileTimes, find_zone
from gridtokenx_backend.grid_data.xlsx_reader import read_xlsx


class ReadFile(NamedTuple):
    """The energy of a file, and how many values of unknown meter codes were left out, by code."""

    data: GridData
    left_out: dict[str, int]

    @property
    def values(self) -> int:
        """How many energies the file has."""
        return sum(len(series.energies_uwh) for series in self.data.series)


def read_file(path: Path, zone: str = "") -> ReadFile:
    """Read a CSV, XLSX or ConsumptionRecord file. Raises BadFile.

    `zone` is the time zone of times without an offset; without one they are refused.
    """
    return read_content(str(path), path.name, read_bytes(path), zone)


def read_content(path: str, name: str, content: bytes, zone: str = "") -> ReadFile:
    """Read the content of a file; errors name it by `path`. Raises BadFile."""
    try:
        times = FileTimes(find_zone(zone) if zone else None)
    except BadValue as error:
        raise BadFile(f"--zone: {error}") from None
    left_out: dict[str, int] = {}
    if content[:4] == b"PK\x03\x04":
        kind, found = "xlsx", read_xlsx(path, content, times)
    elif is_consumption_record(content):
        record = read_consumption_record(path, content)
        kind, found, left_out = "ebutilities", iter(record.rows), dict(record.left_out)
    else:
        kind, found = "csv", read_csv(path, content, times)
    series = assemble(path, found)
    source = hashlib.sha256(content).hexdigest()
    return ReadFile(GridData(source=source, name=name, format=kind, series=series), left_out)
