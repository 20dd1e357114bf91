"""Profile generic (class 7): rows of values captured as time passes, read by range or entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from gridtokenx_dlms import data
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.clock import CLOCK
from gridtokenx_dlms.objects.cosem_object import DENIED, UNDEFINED, ReadOnly, Returned
from gridtokenx_dlms.objects.selection import (
    CaptureObject,
    EntryDescriptor,
    RangeDescriptor,
    parse_selection,
)
from gridtokenx_dlms.xdlms.attribute import AccessResult, Selection

LOAD_PROFILE = Obis(1, 0, 99, 1, 0)
CAPTURE = 2
CLOCK_COLUMN = CaptureObject(class_id=8, obis=CLOCK, attribute=2)
_FIFO = 1


class Row(msgspec.Struct, frozen=True):
    """One capture: its time in Unix milliseconds, and a value for each column."""

    time_ms: int
    values: tuple[Data, ...]


class ProfileGeneric(ReadOnly):
    """A profile of rows (class 7). `rows` gives what the meter holds now, oldest first; the
    columns' first is the clock.

    The meter captures as time passes; this class only tells, so that a load profile may be worked
    out when it is asked for. `capture` adds a row at once, for a meter that lets a client ask so.
    """

    class_id, version, attributes, methods = 7, 1, 8, 2

    def __init__(
        self,
        obis: Obis,
        columns: Sequence[CaptureObject],
        period_s: int,
        capacity: int,
        rows: Callable[[int, int], Sequence[Row]],
        zone_min: int = 0,
        capture: Callable[[], None] | None = None,
    ) -> None:
        """`rows(first_ms, last_ms)` are the captures between two times, both included.

        `zone_min` is the deviation of a range's times that do not say their own.
        """
        self.obis = obis
        self._columns = tuple(columns)
        self._period_s = period_s
        self._capacity = capacity
        self._rows = rows
        self._zone_min = zone_min
        self._capture = capture
        self.callable = frozenset({CAPTURE}) if capture else frozenset()

    def act(self, number: int, parameters: Data | None) -> Returned:
        del parameters  # an integer that says nothing
        if number != CAPTURE or self._capture is None:
            return DENIED, None
        self._capture()
        return AccessResult.SUCCESS, None

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        match number:
            case 2:
                return self._buffer(selection)
            case 3:
                return data.array(column.to_data() for column in self._columns)
            case 4:
                return data.double_long_unsigned(self._period_s)
            case 5:
                return data.enum(_FIFO)
            case 6:
                return CLOCK_COLUMN.to_data()
            case 7:
                return data.double_long_unsigned(len(self._all()))
            case 8:
                return data.double_long_unsigned(self._capacity)
        return UNDEFINED

    def _all(self) -> Sequence[Row]:
        return self._rows(0, 1 << 62)

    def _buffer(self, selection: Selection | None) -> Data | AccessResult:
        if selection is None:
            return _table(self._all(), range(len(self._columns)))
        try:
            wanted = parse_selection(selection)
            if isinstance(wanted, EntryDescriptor):
                return self._entries(wanted)
            return self._range(wanted)
        except MalformedError:
            return AccessResult.TYPE_UNMATCHED

    def _range(self, wanted: RangeDescriptor) -> Data | AccessResult:
        if wanted.column != CLOCK_COLUMN:
            return AccessResult.SCOPE_OF_ACCESS_VIOLATED
        first_ms, last_ms = self._unix_ms(wanted.first), self._unix_ms(wanted.last)
        places = range(len(self._columns))
        if wanted.columns:
            if any(column not in self._columns for column in wanted.columns):
                return UNDEFINED
            chosen = [self._columns.index(column) for column in wanted.columns]
            return _table(self._rows(first_ms, last_ms), chosen)
        return _table(self._rows(first_ms, last_ms), places)

    def _entries(self, wanted: EntryDescriptor) -> Data | AccessResult:
        width = len(self._columns)
        last_column = wanted.last_column or width
        if not 1 <= wanted.first_column <= last_column <= width:
            return AccessResult.SCOPE_OF_ACCESS_VIOLATED
        if wanted.first < 1 or wanted.last < 0:
            return AccessResult.SCOPE_OF_ACCESS_VIOLATED
        rows = self._all()
        chosen = rows[wanted.first - 1 : wanted.last or len(rows)]
        return _table(chosen, range(wanted.first_column - 1, last_column))

    def _unix_ms(self, value: Data) -> int:
        time_ms = value.moment().unix_ms(self._zone_min)
        if time_ms is None:
            raise MalformedError("expected a time that is a moment")
        return time_ms


def _table(rows: Sequence[Row], places: Sequence[int]) -> Data:
    return data.array(data.structure(*(row.values[place] for place in places)) for row in rows)


def clock_value(time_ms: int, deviation_min: int, status: int = 0) -> Data:
    """Return a row's value in the clock's column."""
    moment = CosemDateTime.from_unix_ms(time_ms, deviation_min, status)
    return data.octet_string(moment.to_bytes())
