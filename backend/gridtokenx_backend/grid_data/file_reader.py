"""A file of whichever format, by what is in it."""

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
from gridtokenx_backend.grid_data.interval_rows import MAX_FILE_BYTES, BadFile, BadValue, assemble
from gridtokenx_backend.grid_data.local_time import FileTimes, find_zone
from gridtokenx_backend.grid_data.xlsx_reader import read_xlsx


class ReadFile(NamedTuple):
    """`left_out` is how many values of codes that nobody here knows the file has, by code."""

    data: GridData
    left_out: dict[str, int]

    @property
    def values(self) -> int:
        return sum(len(series.energies_uwh) for series in self.data.series)


def read_file(path: Path, zone: str = "") -> ReadFile:
    """A CSV, XLSX or ConsumptionRecord file. Raises BadFile."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadFile(f"{path}: expected a file of at most {MAX_FILE_BYTES} bytes")
    return read_content(str(path), path.name, content, zone)


def read_content(path: str, name: str, content: bytes, zone: str = "") -> ReadFile:
    """The same for a file's content; `path` is for errors. Raises BadFile."""
    try:
        times = FileTimes(find_zone(zone) if zone else None)
    except BadValue as refusal:
        raise BadFile(f"--zone: {refusal}") from None
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
