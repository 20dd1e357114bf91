"""Reads A-XDR (IEC 61334-6): strict, and bounded in depth and in what few bytes may announce."""

from __future__ import annotations

import math

import msgspec

from gridtokenx_dlms.data import FLOATS, INTEGERS, LISTS, MOMENTS, Data, DataType
from gridtokenx_dlms.errors import MalformedError, TruncatedError

MAX_DEPTH = 16
MAX_VALUES = 200_000
"""Of one message: a year of quarter-hours in four columns fits in."""


def decode(message: bytes) -> Data:
    """Return one value that fills `message`. Raises MalformedError."""
    reader = Reader(message)
    data = reader.data()
    reader.end()
    return data


class Reader:
    """Reads A-XDR from bytes. Everything raises MalformedError, and nothing else."""

    def __init__(self, message: bytes, at: int = 0) -> None:
        self._message = message
        self.at = at
        self._values = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._message):
            raise TruncatedError(f"expected {count} bytes, got {len(self._message) - self.at}")
        taken = self._message[self.at : end]
        self.at = end
        return taken

    def byte(self) -> int:
        if self.at >= len(self._message):
            raise TruncatedError("expected a byte, got the end of the message")
        value = self._message[self.at]
        self.at += 1
        return value

    def length(self) -> int:
        first = self.byte()
        if first < 0x80:
            return first
        if not 1 <= first - 0x80 <= 4:
            raise MalformedError(f"expected a length of 1 to 4 bytes, got {first - 0x80}")
        return int.from_bytes(self.take(first - 0x80), "big")

    def octets(self) -> bytes:
        """Return an octet string without its tag."""
        return self.take(self.length())

    def rest(self) -> bytes:
        return self.take(len(self._message) - self.at)

    @property
    def left(self) -> int:
        return len(self._message) - self.at

    def end(self) -> None:
        if self.left:
            raise MalformedError(f"expected the end of the message, got {self.left} bytes more")

    def data(self, depth: int = 0) -> Data:
        """Return a value with its tag."""
        kind = self._kind()
        if kind is DataType.COMPACT_ARRAY:
            return self._compact(depth)
        if kind not in LISTS:
            return self._content(kind)
        self._enter(depth)
        count = self.length()
        if count > self.left:  # every element has at least its tag
            raise TruncatedError(f"expected {count} elements in {self.left} bytes")
        return Data(kind, tuple([self.data(depth + 1) for _ in range(count)]))

    def _kind(self) -> DataType:
        tag = self.byte()
        kind = _KINDS.get(tag)
        if kind is None:
            raise MalformedError(f"expected the tag of a data type, got {tag}")
        return kind

    def _enter(self, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise MalformedError(f"expected at most {MAX_DEPTH} levels of arrays and structures")

    def _content(self, kind: DataType) -> Data:
        self._count(1)
        if (number := INTEGERS.get(kind)) is not None:
            return Data(kind, number.unpack(self.take(number.size))[0])
        if kind is DataType.OCTET_STRING:
            return Data(kind, self.octets())
        if kind is DataType.VISIBLE_STRING or kind is DataType.UTF8_STRING:
            return Data(kind, self._text(kind))
        if kind is DataType.BOOLEAN:
            return Data(kind, self.byte() != 0)
        if kind is DataType.BIT_STRING:
            return Data(kind, self.bits())
        if kind in MOMENTS:
            moment, size = MOMENTS[kind]
            return Data(kind, moment.from_bytes(self.take(size)))
        if kind in FLOATS:
            value = FLOATS[kind].unpack(self.take(FLOATS[kind].size))[0]
            return Data(kind, math.nan if math.isnan(value) else value)
        return Data(kind)

    def bits(self) -> str:
        """Return a bit string without its tag, as 0 and 1."""
        count = self.length()
        if count > self.left * 8:
            raise TruncatedError(f"expected {count} bits in {self.left} bytes")
        packed = self.take((count + 7) // 8)
        return bin(int.from_bytes(b"\x01" + packed, "big"))[3 : 3 + count]

    def _text(self, kind: DataType) -> str:
        encoding = "ascii" if kind is DataType.VISIBLE_STRING else "utf-8"
        try:
            return self.octets().decode(encoding)
        except UnicodeDecodeError:
            raise MalformedError(f"expected {encoding} text") from None

    def _compact(self, depth: int) -> Data:
        self._enter(depth)
        element = self._description(depth + 1)
        contents = Reader(self.octets())
        contents._values = self._values
        items = []
        while contents.left:
            before = contents.at
            items.append(contents._bare(element))
            if contents.at == before:
                raise MalformedError("expected elements of a compact array to take up space")
        self._values = contents._values
        return Data(DataType.COMPACT_ARRAY, tuple(items))

    def _description(self, depth: int) -> _Description:
        kind = self._kind()
        if kind is DataType.COMPACT_ARRAY:
            raise MalformedError("expected no compact array inside a compact array")
        if kind not in LISTS:
            return _Description(kind, 0, ())
        self._enter(depth)
        if kind is DataType.ARRAY:
            count = int.from_bytes(self.take(2), "big")
            return _Description(kind, count, (self._description(depth + 1),))
        count = self.length()
        if count > self.left:
            raise TruncatedError(f"expected {count} types in {self.left} bytes")
        return _Description(
            kind, count, tuple([self._description(depth + 1) for _ in range(count)])
        )

    def _bare(self, description: _Description) -> Data:
        if description.kind is DataType.ARRAY:
            self._count(description.count)
            (element,) = description.elements
            items = [self._bare(element) for _ in range(description.count)]
            return Data(description.kind, tuple(items))
        if description.kind is DataType.STRUCTURE:
            self._count(description.count)
            return Data(description.kind, tuple(map(self._bare, description.elements)))
        return self._content(description.kind)

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise MalformedError(f"expected at most {MAX_VALUES} values in a message")


class _Description(msgspec.Struct, frozen=True):
    kind: DataType
    count: int
    elements: tuple[_Description, ...]


_KINDS = {int(kind): kind for kind in DataType}
