"""Attributes, which requests are about, and the results of an access."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import Data, encode
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import LOGICAL_NAME_BYTES, Obis


class AccessResult(IntEnum):
    """Data access results (Green Book 9.5, `Data-Access-Result`)."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_GET_ABORTED = 15
    NO_LONG_GET_IN_PROGRESS = 16
    LONG_SET_ABORTED = 17
    NO_LONG_SET_IN_PROGRESS = 18
    DATA_BLOCK_NUMBER_INVALID = 19
    OTHER_REASON = 250


_RESULTS = {int(result): result for result in AccessResult}


def result_text(code: int) -> str:
    """Return a result's name in words, such as `object undefined` for 4."""
    known = _RESULTS.get(code)
    return known.name.lower().replace("_", " ") if known is not None else f"result {code}"


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """An attribute or method: interface class, logical name, number (from 1)."""

    class_id: int
    obis: Obis
    number: int

    def to_bytes(self) -> bytes:
        number = self.number & 0xFF  # numbers below zero are a maker's own
        return self.class_id.to_bytes(2, "big") + self.obis.to_bytes() + bytes((number,))

    def __str__(self) -> str:
        return f"{self.obis} attribute {self.number} (class {self.class_id})"


class Selection(msgspec.Struct, frozen=True):
    """Selective access: what to leave out of an attribute's value."""

    selector: int
    parameters: Data


def parse_attribute(reader: Reader) -> Attribute:
    """Read an attribute's class, name and number. Raises MalformedError."""
    class_id = int.from_bytes(reader.take(2), "big")
    obis = Obis.from_bytes(reader.take(LOGICAL_NAME_BYTES))
    return Attribute(class_id, obis, int.from_bytes(reader.take(1), "big", signed=True))


def encode_selection(selection: Selection | None) -> bytes:
    if selection is None:
        return b"\x00"
    return bytes((1, selection.selector)) + encode(selection.parameters)


def parse_selection(reader: Reader) -> Selection | None:
    """Read an optional selection. Raises MalformedError."""
    return Selection(reader.byte(), reader.data()) if parse_presence(reader) else None


def parse_presence(reader: Reader) -> bool:
    """Return the byte before an optional field. Raises MalformedError."""
    flag = reader.byte()
    if flag > 1:
        raise MalformedError(f"expected 0 or 1 before an optional field, got {flag}")
    return bool(flag)
