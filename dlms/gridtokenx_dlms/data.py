"""COSEM data (Blue Book 4.1.5, Green Book 9.5 `Data`), and how A-XDR (IEC 61334-6) writes it.

A value keeps its type, as 5 may be an unsigned, a long or an enum, and a meter minds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import msgspec

from gridtokenx_dlms.date_time import CosemDate, CosemDateTime, CosemTime
from gridtokenx_dlms.errors import MalformedError


class DataType(IntEnum):
    """The tags of the CHOICE `Data`."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    DOUBLE_LONG = 5
    DOUBLE_LONG_UNSIGNED = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INTEGER = 15
    LONG = 16
    UNSIGNED = 17
    LONG_UNSIGNED = 18
    COMPACT_ARRAY = 19
    LONG64 = 20
    LONG64_UNSIGNED = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DELTA_INTEGER = 28
    DELTA_LONG = 29
    DELTA_DOUBLE_LONG = 30
    DELTA_UNSIGNED = 31
    DELTA_LONG_UNSIGNED = 32
    DELTA_DOUBLE_LONG_UNSIGNED = 33
    DONT_CARE = 255


INTEGERS: dict[DataType, struct.Struct] = {
    DataType.DOUBLE_LONG: struct.Struct(">i"),
    DataType.DOUBLE_LONG_UNSIGNED: struct.Struct(">I"),
    DataType.BCD: struct.Struct(">b"),
    DataType.INTEGER: struct.Struct(">b"),
    DataType.LONG: struct.Struct(">h"),
    DataType.UNSIGNED: struct.Struct(">B"),
    DataType.LONG_UNSIGNED: struct.Struct(">H"),
    DataType.LONG64: struct.Struct(">q"),
    DataType.LONG64_UNSIGNED: struct.Struct(">Q"),
    DataType.ENUM: struct.Struct(">B"),
    DataType.DELTA_INTEGER: struct.Struct(">b"),
    DataType.DELTA_LONG: struct.Struct(">h"),
    DataType.DELTA_DOUBLE_LONG: struct.Struct(">i"),
    DataType.DELTA_UNSIGNED: struct.Struct(">B"),
    DataType.DELTA_LONG_UNSIGNED: struct.Struct(">H"),
    DataType.DELTA_DOUBLE_LONG_UNSIGNED: struct.Struct(">I"),
}
FLOATS: dict[DataType, struct.Struct] = {
    DataType.FLOAT32: struct.Struct(">f"),
    DataType.FLOAT64: struct.Struct(">d"),
}
MOMENTS: dict[DataType, tuple[type[CosemDateTime] | type[CosemDate] | type[CosemTime], int]] = {
    DataType.DATE_TIME: (CosemDateTime, 12),
    DataType.DATE: (CosemDate, 5),
    DataType.TIME: (CosemTime, 4),
}
LISTS = (DataType.ARRAY, DataType.STRUCTURE)


class Data(msgspec.Struct, frozen=True, gc=False):
    """A value with its type. What `value` is:

    null, dont-care         None
    array, structure        a tuple of Data
    compact-array           a tuple of Data, all of one type; see `CompactArray` for writing one
    boolean                 bool
    bit-string              a str of 0 and 1
    octet-string            bytes
    visible-string, utf8    str
    integers, enum, bcd     int
    float32, float64        float
    date-time, date, time   CosemDateTime, CosemDate, CosemTime
    """

    type: DataType
    value: Any = None

    def items(self) -> tuple[Data, ...]:
        """Return the elements. Raises MalformedError if this is no array or structure."""
        if type(self.value) is not tuple:
            raise MalformedError(f"expected an array or structure, got {self.type.name.lower()}")
        return self.value

    def integer(self) -> int:
        """Return the number. Raises MalformedError if this is none."""
        if self.type not in INTEGERS:
            raise MalformedError(f"expected an integer, got {self.type.name.lower()}")
        value: int = self.value
        return value

    def octets(self) -> bytes:
        """Return the bytes of an octet string. Raises MalformedError if this is none."""
        if self.type is not DataType.OCTET_STRING:
            raise MalformedError(f"expected an octet string, got {self.type.name.lower()}")
        value: bytes = self.value
        return value

    def moment(self) -> CosemDateTime:
        """Return a date-time, also where it comes as twelve octets. Raises MalformedError."""
        if isinstance(self.value, CosemDateTime):
            return self.value
        return CosemDateTime.from_bytes(self.octets())


NULL = Data(DataType.NULL)


def array(items: Iterable[Data]) -> Data:
    return Data(DataType.ARRAY, tuple(items))


def structure(*items: Data) -> Data:
    return Data(DataType.STRUCTURE, items)


def octet_string(value: bytes) -> Data:
    return Data(DataType.OCTET_STRING, value)


def visible_string(value: str) -> Data:
    return Data(DataType.VISIBLE_STRING, value)


def unsigned(value: int) -> Data:
    return Data(DataType.UNSIGNED, value)


def integer(value: int) -> Data:
    return Data(DataType.INTEGER, value)


def long(value: int) -> Data:
    return Data(DataType.LONG, value)


def long_unsigned(value: int) -> Data:
    return Data(DataType.LONG_UNSIGNED, value)


def double_long(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG, value)


def double_long_unsigned(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


def long64_unsigned(value: int) -> Data:
    return Data(DataType.LONG64_UNSIGNED, value)


def enum(value: int) -> Data:
    return Data(DataType.ENUM, value)


def boolean(value: bool) -> Data:  # noqa: FBT001 (it is the value itself)
    return Data(DataType.BOOLEAN, value)


def encode_length(length: int) -> bytes:
    """Return a length as A-XDR and BER write it: one byte below 128, else a count of bytes and the
    bytes.
    """
    if length < 0x80:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


def encode(data: Data) -> bytes:
    """Return a value in A-XDR, with its tag.

    Raises ValueError for a value that its type cannot hold.
    """
    # One buffer goes through all parts of the value: joining bytes at each level costs time.
    parts = bytearray()
    _write(data, parts)
    return bytes(parts)


def _write(data: Data, parts: bytearray) -> None:
    parts.append(data.type)
    if data.type is DataType.COMPACT_ARRAY:
        _write_compact(data.items(), parts)
    else:
        _write_content(data, parts)


def _write_content(data: Data, parts: bytearray) -> None:
    kind, value = data.type, data.value
    if kind in INTEGERS or kind in FLOATS:
        try:
            parts += (INTEGERS.get(kind) or FLOATS[kind]).pack(value)
        except (struct.error, OverflowError):
            raise ValueError(f"expected a value for {kind.name.lower()}, got {value!r}") from None
    elif kind in LISTS:
        parts += encode_length(len(value))
        for item in value:
            _write(item, parts)
    elif kind is DataType.OCTET_STRING:
        parts += encode_length(len(value)) + value
    elif kind is DataType.VISIBLE_STRING or kind is DataType.UTF8_STRING:
        text = value.encode("ascii" if kind is DataType.VISIBLE_STRING else "utf-8")
        parts += encode_length(len(text)) + text
    elif kind is DataType.BOOLEAN:
        parts.append(1 if value else 0)
    elif kind is DataType.BIT_STRING:
        parts += encode_length(len(value)) + pack_bits(value)
    elif kind in MOMENTS:
        parts += value.to_bytes()
    else:
        assert kind in {DataType.NULL, DataType.DONT_CARE}


def pack_bits(bits: str) -> bytes:
    """Return the bits, first one highest, padded with zeros to whole bytes."""
    size = (len(bits) + 7) // 8
    return (int(bits or "0", 2) << (size * 8 - len(bits))).to_bytes(size, "big")


def _write_compact(items: tuple[Data, ...], parts: bytearray) -> None:
    if not items:
        raise ValueError("expected at least one element, whose type describes the others")
    description = describe(items[0])
    if any(describe(item) != description for item in items):
        raise ValueError("expected elements of one type in a compact array")
    contents = bytearray()
    for item in items:
        _write_bare(item, contents)
    parts += description + encode_length(len(contents)) + contents


def _write_bare(data: Data, parts: bytearray) -> None:
    """Write a value whose type was written before: lists have no counts, and elements no tags."""
    if data.type in LISTS:
        for item in data.value:
            _write_bare(item, parts)
    else:
        _write_content(data, parts)


def describe(data: Data) -> bytes:
    """Return the `TypeDescription` of a value. Raises ValueError for an array of mixed types."""
    if data.type is DataType.STRUCTURE:
        described = b"".join(map(describe, data.value))
        return bytes((data.type,)) + encode_length(len(data.value)) + described
    if data.type is not DataType.ARRAY:
        return bytes((data.type,))
    kinds = {describe(item) for item in data.value}
    if len(kinds) != 1:
        raise ValueError("expected an array of one type in a compact array")
    return bytes((data.type,)) + len(data.value).to_bytes(2, "big") + kinds.pop()
