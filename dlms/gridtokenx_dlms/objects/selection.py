"""Selective access to a profile's buffer: by a range of values, or by entries and columns.

Blue Book, profile generic, "Selective access": selector 1 is a range_descriptor, 2 an
entry_descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_dlms import data
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.xdlms.attribute import Selection

BY_RANGE, BY_ENTRY = 1, 2


class CaptureObject(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a profile: the attribute that it captures. `index` is 0 for the whole of it."""

    class_id: int
    obis: Obis
    attribute: int
    index: int = 0

    def to_data(self) -> Data:
        return data.structure(
            data.long_unsigned(self.class_id),
            data.octet_string(self.obis.to_bytes()),
            data.integer(self.attribute),
            data.long_unsigned(self.index),
        )

    @classmethod
    def from_data(cls, value: Data) -> CaptureObject:
        """Return the column that a value describes. Raises MalformedError."""
        items = value.items()
        if len(items) != 4:
            raise MalformedError(f"expected a capture object of 4 elements, got {len(items)}")
        name = items[1].octets()
        if len(name) != 6:
            raise MalformedError("expected a logical name of 6 bytes")
        return cls(
            class_id=items[0].integer(),
            obis=Obis.from_bytes(name),
            attribute=items[2].integer(),
            index=items[3].integer(),
        )


def by_range(
    column: CaptureObject, first: Data, last: Data, columns: Sequence[CaptureObject] = ()
) -> Selection:
    """Return the rows whose value in `column` lies between two, both included; all columns by
    default.
    """
    chosen = data.array(capture.to_data() for capture in columns)
    return Selection(BY_RANGE, data.structure(column.to_data(), first, last, chosen))


def by_time(
    column: CaptureObject,
    first: CosemDateTime,
    last: CosemDateTime,
    columns: Sequence[CaptureObject] = (),
) -> Selection:
    """Return the rows between two times by a clock's column."""
    start, end = (data.octet_string(moment.to_bytes()) for moment in (first, last))
    return by_range(column, start, end, columns)


def by_entry(first: int, last: int = 0, first_column: int = 1, last_column: int = 0) -> Selection:
    """Return the selection of rows and columns by number, from 1, both ends included.

    0 is the last one.
    """
    return Selection(
        BY_ENTRY,
        data.structure(
            data.double_long_unsigned(first),
            data.double_long_unsigned(last),
            data.long_unsigned(first_column),
            data.long_unsigned(last_column),
        ),
    )


class RangeDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """The rows between two values of a column, which selector 1 asks for."""

    column: CaptureObject
    first: Data
    last: Data
    columns: tuple[CaptureObject, ...]


class EntryDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """The rows and columns by number, which selector 2 asks for."""

    first: int
    last: int
    first_column: int
    last_column: int


def parse_selection(selection: Selection) -> RangeDescriptor | EntryDescriptor:
    """Return the descriptor that a selection holds. Raises MalformedError."""
    items = selection.parameters.items()
    if len(items) != 4:
        raise MalformedError(f"expected a selection of 4 elements, got {len(items)}")
    if selection.selector == BY_RANGE:
        columns = tuple(CaptureObject.from_data(item) for item in items[3].items())
        return RangeDescriptor(
            column=CaptureObject.from_data(items[0]), first=items[1], last=items[2], columns=columns
        )
    if selection.selector == BY_ENTRY:
        first, last, first_column, last_column = (item.integer() for item in items)
        return EntryDescriptor(
            first=first, last=last, first_column=first_column, last_column=last_column
        )
    raise MalformedError(f"expected selector 1 or 2, got {selection.selector}")
