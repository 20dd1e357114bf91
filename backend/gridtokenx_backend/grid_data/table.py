"""Reads a table with a heading, in which each row has the energy of one meter in one interval.

| column | what |
| --- | --- |
| `meter` | a meter's id, or its metering point |
| `quantity` | see core.messages.grid_data.Quantity |
| `start` or `end` | of the interval; with an offset, or in the time zone of the file |
| `energy_kwh`, `energy_wh` or `energy_mwh` | empty if it is missing |
| `quality` | optional, else measured: see interval_rows.parse_quality |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.grid_data import interval_rows
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.interval_rows import UWH_OF, BadValue, GridDataRow
from gridtokenx_backend.grid_data.local_time import FileTimes

MAX_COLUMNS = 64
Cell = str | float | int | datetime | None

_NEEDED = ("meter", "quantity")
_ENERGY = tuple(f"energy_{unit}" for unit in UWH_OF)
_KNOWN = frozenset([*_NEEDED, "start", "end", *_ENERGY, "quality"])


class TableColumns:
    """Where each column is."""

    def __init__(self, path: str, heading: Sequence[Cell]) -> None:
        """Read the heading. Raises BadFile if it is not as described above."""
        names = [str(cell or "").strip().lower() for cell in heading]
        while names and not names[-1]:
            names.pop()
        where = f"{path}: row 1: "
        if len(names) > MAX_COLUMNS:
            raise BadFile(f"{where}expected at most {MAX_COLUMNS} columns, got {len(names)}")
        for index, name in enumerate(names):
            if name not in _KNOWN:
                known = ", ".join(sorted(_KNOWN))
                raise BadFile(
                    f"{where}column {index + 1}: expected one of {known}, got {name[:40]!r}"
                )
            if names.index(name) != index:
                raise BadFile(f"{where}column {index + 1}: expected {name} once")
        for needed in _NEEDED:
            if needed not in names:
                raise BadFile(f"{where}expected a column {needed}")
        self.time = self._one_of(where, names, ("start", "end"))
        self.energy = self._one_of(where, names, _ENERGY)
        self.unit_uwh = UWH_OF[self.energy.removeprefix("energy_")]
        self.index = {name: index for index, name in enumerate(names)}

    @staticmethod
    def _one_of(where: str, names: list[str], choices: tuple[str, ...]) -> str:
        found = [name for name in choices if name in names]
        if len(found) != 1:
            raise BadFile(f"{where}expected one column of {', '.join(choices)}, got {len(found)}")
        return found[0]


def read_table(
    path: str, table: Iterable[Sequence[Cell]], times: FileTimes, *, decimal_comma: bool = False
) -> Iterator[GridDataRow]:
    """Yield the rows below the heading; empty ones are passed over. Raises BadFile."""
    lines = iter(table)
    columns = TableColumns(path, next(lines, ()))
    for number, cells in enumerate(lines, start=2):
        if any(cell not in (None, "") for cell in cells):
            reader = RowReader(number, cells, columns, decimal_comma=decimal_comma)
            try:
                row = reader.row(times)
            except BadValue as error:
                where = f"row {number}, column {reader.column}"
                raise BadFile(f"{path}: {where}: {error}") from None
            yield row
    if undecided := times.undecided():
        raise BadFile(f"{path}: {': '.join(undecided)}")


class RowReader:
    """Reads a row, and remembers which column it reads."""

    def __init__(
        self, number: int, cells: Sequence[Cell], columns: TableColumns, *, decimal_comma: bool
    ) -> None:
        self.column = ""
        self._place = f"row {number}"
        self._cells = cells
        self._columns = columns
        self._decimal_comma = decimal_comma

    def row(self, times: FileTimes) -> GridDataRow:
        """Return the row. Raises BadValue for a value in `column`."""
        columns = self._columns
        meter = interval_rows.parse_meter(_text(self._cell("meter")))
        quantity = interval_rows.parse_quantity(_text(self._cell("quantity")))
        time = self._cell(columns.time)
        moment = time if isinstance(time, datetime) else times.read(_text(time))
        moment_ms = times.place((meter, quantity), moment, self._place)
        quality = Quality.MEASURED
        if "quality" in columns.index and (label := _text(self._cell("quality"))):
            quality = interval_rows.parse_quality(label)
        energy_uwh = self._energy(self._cell(columns.energy))
        energy_uwh, quality = interval_rows.energy_with_quality(energy_uwh, quality)
        return GridDataRow(
            place=self._place,
            meter=meter,
            quantity=quantity,
            interval_ms=moment_ms if columns.time == "start" else moment_ms - INTERVAL_MS,
            energy_uwh=energy_uwh,
            quality=quality,
        )

    def _cell(self, column: str) -> Cell:
        self.column = column
        index = self._columns.index[column]
        return self._cells[index] if index < len(self._cells) else None

    def _energy(self, cell: Cell) -> int | None:
        """Return an energy in µWh; None for an empty cell."""
        unit_uwh = self._columns.unit_uwh
        if isinstance(cell, float):
            return interval_rows.parse_energy(repr(cell), unit_uwh, is_rounded=True)
        text = _text(cell)
        if not text:
            return None
        if self._decimal_comma:
            text = text.replace(",", ".", 1)
        return interval_rows.parse_energy(text, unit_uwh)


def _text(cell: Cell) -> str:
    return "" if cell is None else str(cell).strip()
