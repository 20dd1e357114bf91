"""Reads the first sheet of an XLSX workbook, which is laid out as a CSV file would be.

A workbook is a ZIP archive of XML files, and anybody may have made it. Therefore the sizes in the
archive's directory are checked before anything is unpacked, and no part may have a document type,
because entities in it could expand without end. The sheet is read as a stream; formulas are not
computed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta

from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.interval_rows import MAX_ROWS, GridDataRow
from gridtokenx_backend.grid_data.local_time import FileTimes
from gridtokenx_backend.grid_data.table import MAX_COLUMNS, Cell, read_table

MAX_PARTS = 200
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
MAX_OTHER_BYTES = 32 * 1024 * 1024
"""The texts of two hundred thousand different times and amounts need half of this."""
MAX_STYLES_BYTES = 1024 * 1024
_SHEETS = "xl/worksheets/"
_STYLES = "xl/styles.xml"
_CHUNK = 1 << 20
_DOCTYPES = [b"<!DOCTYPE", "<!DOCTYPE".encode("utf-16-le"), "<!DOCTYPE".encode("utf-16-be")]


def read_xlsx(path: str, content: bytes, times: FileTimes) -> Iterator[GridDataRow]:
    """Yield the rows of a workbook's first sheet (see `table`). Raises BadFile."""
    _check_archive(path, content)
    yield from read_table(path, _cells(path, content), times)


def _check_archive(path: str, content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS:
                raise BadFile(f"{path}: expected a workbook of at most {MAX_PARTS} parts")
            if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
                raise BadFile(f"{path}: expected at most {MAX_UNPACKED_BYTES} bytes unpacked")
            for part in parts:
                most = _most_bytes(part.filename)
                if part.file_size > most:
                    text = f"{path}: {part.filename}: expected at most {most} bytes unpacked"
                    raise BadFile(text)
                if _has_doctype(archive, part):
                    raise BadFile(f"{path}: {part.filename}: expected XML without a document type")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BadFile(f"{path}: expected a workbook (XLSX): {error}") from None


def _most_bytes(name: str) -> int:
    """Return how large a part may be.

    Only sheets are read as a stream. Of the other parts each element becomes an object in memory.
    """
    if name.startswith(_SHEETS):
        return MAX_UNPACKED_BYTES
    return MAX_STYLES_BYTES if name == _STYLES else MAX_OTHER_BYTES


def _has_doctype(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    """Unpack a part piece by piece; return whether it has a document type.

    Raises BadZipFile if the part is larger than the directory says.
    """
    before = b""
    with archive.open(part) as stream:
        while chunk := stream.read(_CHUNK):
            window = before + chunk
            if any(doctype in window for doctype in _DOCTYPES):
                return True
            before = window[-18:]
    return False


def _cells(path: str, content: bytes) -> Iterator[list[Cell]]:
    import openpyxl  # noqa: PLC0415 - only this needs it, and it takes a third of a second

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises many kinds for a bad archive
        raise BadFile(f"{path}: expected a workbook (XLSX): {_reason(error)}") from None
    try:
        sheet = book.worksheets[0] if book.worksheets else None
        if sheet is None:
            raise BadFile(f"{path}: expected a workbook with a sheet")
        sheet.reset_dimensions()  # the file may say a wrong size
        for number, line in enumerate(sheet.iter_rows(values_only=True), start=1):
            if number > MAX_ROWS + 1:
                raise BadFile(f"{path}: row {number}: expected at most {MAX_ROWS} rows in a file")
            if len(line) > MAX_COLUMNS:
                raise BadFile(f"{path}: row {number}: expected at most {MAX_COLUMNS} columns")
            yield [_cell(value) for value in line]
    except BadFile:
        raise
    except Exception as error:
        raise BadFile(f"{path}: expected a workbook (XLSX): {_reason(error)}") from None
    finally:
        book.close()


def _cell(value: object) -> Cell:
    """Return a value of a sheet, with times rounded to the second.

    A time in a sheet is a floating-point number of days, so it is off by microseconds.
    """
    if isinstance(value, datetime):
        seconds = round(value.second + value.microsecond / 1e6)
        return value.replace(second=0, microsecond=0) + timedelta(seconds=seconds)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _reason(error: Exception) -> str:
    """Return the first line of an error's text, or its class if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
