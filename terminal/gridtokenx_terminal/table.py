"""Tables that fit a terminal of any width: ids and amounts are always whole.

Where the columns do not fit beside each other, each row becomes a block of lines. What others wrote
is shown as it is, never as markup, and what would command the terminal is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from gridtokenx_wire.plain_text import escaped_lines

_LEAST_WRAPPED = 12
"""A column of text is not made narrower than this beside others."""
_BETWEEN = 3
"""The width of the line and the blanks between two columns."""


class Column:
    """A column. What `wraps` is text whose words may stand on several lines; nothing else may.

    What `is_number` is aligned to the right.
    """

    def __init__(self, heading: str, *, wraps: bool = False, is_number: bool = False) -> None:
        self.heading = heading
        self.wraps = wraps
        self.is_number = is_number


class TerminalTable:
    """Rows under headings, which rich can print; without `frame` there are no lines."""

    def __init__(self, columns: Sequence[Column], *, has_frame: bool = True) -> None:
        self._columns = columns
        self._has_frame = has_frame
        self._rows: list[list[Text]] = []

    def add(self, *cells: str | Text) -> None:
        """Add a row with a cell for each column."""
        assert len(cells) == len(self._columns)
        self._rows.append([_cell(cell) for cell in cells])

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        if self._least_width() <= options.max_width:
            yield self._table()
        else:
            yield from self._blocks(options.max_width)

    def _least_width(self) -> int:
        lines = (1 if self._has_frame else -2) + _BETWEEN * len(self._columns)
        return lines + sum(map(self._least_of, range(len(self._columns))))

    def _least_of(self, position: int) -> int:
        column = self._columns[position]
        widest = max([len(column.heading), *(_width(row[position]) for row in self._rows)])
        return min(widest, _LEAST_WRAPPED) if column.wraps else widest

    def _table(self) -> Table:
        table = Table() if self._has_frame else Table(box=None, padding=(0, 1), pad_edge=False)
        for column in self._columns:
            table.add_column(
                Text(column.heading),
                justify="right" if column.is_number else "left",
                no_wrap=not column.wraps,
                overflow="fold",
            )
        for row in self._rows:
            table.add_row(*row)
        return table

    def _blocks(self, width: int) -> Iterator[RenderableType]:
        """Give each row as lines of heading and cell; a cell that is too long has its own line."""
        indent = max(len(column.heading) for column in self._columns) + 2
        for number, row in enumerate(self._rows):
            if number:
                yield Text()
            for column, cell in zip(self._columns, row, strict=True):
                needed = min(_width(cell), _LEAST_WRAPPED) if column.wraps else _width(cell)
                if not cell.plain:
                    continue
                if indent + needed <= width:
                    yield _pair(column.heading, cell, indent)
                else:
                    yield Text(column.heading, style="dim")
                    yield Text(cell.plain, style=cell.style, overflow="fold")


def _pair(heading: str, cell: Text, indent: int) -> Table:
    """Return a heading with its cell beside it, whose words may stand on several lines."""
    pair = Table.grid()
    pair.add_column(width=indent, no_wrap=True)
    pair.add_column(overflow="fold")
    pair.add_row(Text(heading, style="dim"), cell)
    return pair


def _cell(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(escaped_lines(cell))


def _width(cell: Text) -> int:
    return max(len(line) for line in cell.plain.split("\n"))
