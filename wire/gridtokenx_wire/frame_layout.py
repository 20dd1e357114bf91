"""A frame's payload read byte by byte, in the one spelling that deterministic CBOR gives it.

A general decoder accepts the same content in many spellings, some of them costly: a decimal of
60,000 digits takes a third of a second. Here anything but the one spelling is an error: heads in
their shortest form, keys in order, columns of one length, nothing behind them (RFC 8949 §4.2.1,
RFC 8746 §2.1).
"""

from __future__ import annotations

import functools
import struct
from typing import Any

from gridtokenx_wire.errors import WireError

# A map of 14; key 1: type 1; key 2: version 1; key 3: 16 bytes; key 4: 8 bytes; key 5
_HEAD = struct.Struct("7s16s2s8s1s")
_FRAME_MARK = bytes.fromhex("ae010102010350")
# A summary is a map of 20, of type 3.
_SUMMARY_MARK = bytes.fromhex("b4010302010350")
_HEAD_MARKS = (bytes.fromhex("0448"), bytes.fromhex("05"))
# Key 6: 32 bytes; key 7: an array of 3, of which two are booleans
_PREV = struct.Struct("3s32s2sBB")
_PREV_MARKS = (bytes.fromhex("065820"), bytes.fromhex("0783"))
# Key 16: 32 bytes
_GAP_HEAD = struct.Struct("3s32s")
_GAP_HEAD_MARK = bytes.fromhex("105820")
_UINT, _BYTES, _TEXT, _ARRAY = 0, 2, 3, 4
_TRUE = 0xF5
_BOOLEANS = (0xF4, _TRUE)
# The least number that needs a head of this many more bytes: 1, 2, 4, 8.
_LEAST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
# key, tag (RFC 8746, little endian), struct format of a value
_ColumnTypes = tuple[tuple[int, int, str], ...]
_COLUMNS: _ColumnTypes = (
    (9, 69, "H"),
    (10, 79, "q"),
    (11, 79, "q"),
    (12, 79, "q"),
    (13, 78, "i"),
    (14, 64, "B"),
)
_GAP_COLUMNS: _ColumnTypes = ((17, 69, "H"), (18, 70, "I"), (19, 79, "q"), (20, 79, "q"))
_INDEX_BYTES = 2

Column = tuple[int, ...]
Columns = tuple[Column, Column, Column, Column, Column, Column]
GapFields = tuple[int, bytes, list[Column]]
"""first seq, head, and four columns."""
Fields = tuple[bytes, bytes, int, bytes, bool, bool, str, list[str], Columns, GapFields | None]
"""device, chain, seq, prev, synchronised, stepped, clock source, meters, six columns, and what a
summary has besides."""


def head(major: int, argument: int) -> bytes:
    """Return the head of a data item, in its shortest form; RFC 8949 §3."""
    initial = major << 5
    if argument < 24:
        return bytes((initial | argument,))
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * size:
            return bytes((initial | extra,)) + argument.to_bytes(size, "big")
    raise WireError("expected a number below 2^64")


class _Reader:
    """A position in a payload. Running over its end raises IndexError or struct.error."""

    __slots__ = ("payload", "position")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.position = 0

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        values = layout.unpack_from(self.payload, self.position)
        self.position += layout.size
        return values

    def literal(self, expected: bytes) -> None:
        if not self.payload.startswith(expected, self.position):
            raise WireError("expected the fields of a frame in their order")
        self.position += len(expected)

    def argument(self, major: int) -> int:
        """Return the number in a head of this major type."""
        initial = self.payload[self.position]
        self.position += 1
        value = initial & 0x1F
        if initial >> 5 != major or value > 27:
            raise WireError("expected another type of field")
        if value < 24:
            return value
        end = self.position + (1 << value - 24)
        argument = int.from_bytes(self.payload[self.position : end], "big")
        if argument < _LEAST[value]:
            raise WireError("expected numbers in their shortest form")
        self.position = end
        return argument

    def text(self, longest: int) -> str:
        size = self.argument(_TEXT)
        if size > longest:
            raise WireError(f"expected a text of at most {longest} bytes")
        start = self.position
        self.position += size
        return self.payload[start : self.position].decode()


def read(payload: bytes, most_readings: int, longest_source: int, longest_meter: int) -> Fields:
    """Return the fields of a frame. Raises WireError whatever the bytes are."""
    try:
        return _read(_Reader(payload), most_readings, longest_source, longest_meter)
    except (IndexError, UnicodeDecodeError, struct.error):
        raise WireError("expected a whole frame and nothing more") from None


def _read(reader: _Reader, most_readings: int, longest_source: int, longest_meter: int) -> Fields:
    mark3, device, mark4, chain, mark5 = reader.unpack(_HEAD)
    if mark3 not in (_FRAME_MARK, _SUMMARY_MARK):
        raise WireError("expected a frame of version 1")
    seq = reader.argument(_UINT)
    mark6, prev, mark7, synchronised, stepped = reader.unpack(_PREV)
    if (mark4, mark5) != _HEAD_MARKS or (mark6, mark7) != _PREV_MARKS:
        raise WireError("expected the fields of a frame in their order")
    if synchronised not in _BOOLEANS or stepped not in _BOOLEANS:
        raise WireError("expected true or false")
    source = reader.text(longest_source)
    reader.literal(b"\x08")
    meters_count = reader.argument(_ARRAY)
    if not 1 <= meters_count <= most_readings:
        raise WireError(f"expected 1 to {most_readings} meter ids")
    meters = [reader.text(longest_meter) for _ in range(meters_count)]
    index, time_ms, import_uwh, export_uwh, power_w, flags = _columns(
        reader, _COLUMNS, 1, most_readings
    )
    gap = _gap(reader, most_readings) if mark3 == _SUMMARY_MARK else None
    if reader.position != len(reader.payload):
        raise WireError("expected a whole frame and nothing more")
    return (
        device,
        chain,
        seq,
        prev,
        synchronised == _TRUE,
        stepped == _TRUE,
        source,
        meters,
        (index, time_ms, import_uwh, export_uwh, power_w, flags),
        gap,
    )


def _gap(reader: _Reader, most: int) -> GapFields:
    """Read keys 15 to 20, which stand behind the readings of a summary."""
    reader.literal(b"\x0f")
    first_seq = reader.argument(_UINT)
    mark16, head_hash = reader.unpack(_GAP_HEAD)
    if mark16 != _GAP_HEAD_MARK:
        raise WireError("expected the fields of a frame in their order")
    return first_seq, head_hash, _columns(reader, _GAP_COLUMNS, 0, most)


def _columns(reader: _Reader, columns: _ColumnTypes, least: int, most: int) -> list[Column]:
    """Read columns: the first one tells how many values there are, and so where all else is."""
    start = reader.position
    key, tag, _ = columns[0]
    reader.literal(bytes((key, 0xD8, tag)))
    count = reader.argument(_BYTES) // _INDEX_BYTES
    if not least <= count <= most:
        raise WireError(f"expected {least} to {most} values in a column")
    layout, heads, step = _layout(columns, count)
    values = layout.unpack_from(reader.payload, start)
    if values[::step] != heads:
        raise WireError("expected columns of one length")
    reader.position = start + layout.size
    return [values[at + 1 : at + step] for at in range(0, len(values), step)]


@functools.lru_cache(maxsize=1024)
def _layout(columns: _ColumnTypes, count: int) -> tuple[struct.Struct, tuple[bytes, ...], int]:
    """Return the layout of columns of `count` values, their heads, and how far these are apart."""
    heads, form = [], "<"
    for key, tag, letter in columns:
        size = count * struct.calcsize(f"<{letter}")
        heads.append(bytes((key, 0xD8, tag)) + head(_BYTES, size))
        form += f"{len(heads[-1])}s{count}{letter}"
    return struct.Struct(form), tuple(heads), count + 1
