"""GET: reading attributes, one or several, in blocks where they are long (Green Book 9.3.6)."""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import Data, encode, encode_length
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.xdlms.attribute import (
    Attribute,
    Selection,
    encode_selection,
    parse_attribute,
    parse_selection,
)

GET_REQUEST_TAG, GET_RESPONSE_TAG = 0xC0, 0xC4
_NORMAL, _BLOCK, _LIST = 1, 2, 3


class GetRequest(msgspec.Struct, frozen=True):
    """A request for one attribute.

    `invoke` is the invoke-id (low four bits) and its service class and priority.
    """

    invoke: int
    attribute: Attribute
    selection: Selection | None = None

    def to_bytes(self) -> bytes:
        head = bytes((GET_REQUEST_TAG, _NORMAL, self.invoke))
        return head + self.attribute.to_bytes() + encode_selection(self.selection)


class GetNextRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the next block, which acknowledges the block of this number."""

    invoke: int
    block: int

    def to_bytes(self) -> bytes:
        return bytes((GET_REQUEST_TAG, _BLOCK, self.invoke)) + self.block.to_bytes(4, "big")


class GetListRequest(msgspec.Struct, frozen=True):
    """A request for several attributes at once."""

    invoke: int
    attributes: tuple[tuple[Attribute, Selection | None], ...]

    def to_bytes(self) -> bytes:
        parts = [bytes((GET_REQUEST_TAG, _LIST, self.invoke)), encode_length(len(self.attributes))]
        for attribute, selection in self.attributes:
            parts.append(attribute.to_bytes() + encode_selection(selection))
        return b"".join(parts)


AnyGetRequest = GetRequest | GetNextRequest | GetListRequest


class GetResponse(msgspec.Struct, frozen=True):
    """The response to a request: a value, or the code of a data access result."""

    invoke: int
    value: Data | int

    def to_bytes(self) -> bytes:
        return bytes((GET_RESPONSE_TAG, _NORMAL, self.invoke)) + encode_result(self.value)


class GetBlockResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a value's A-XDR, or the code of a data access result."""

    invoke: int
    is_last: bool
    block: int
    content: bytes | int

    def to_bytes(self) -> bytes:
        head = bytes((GET_RESPONSE_TAG, _BLOCK, self.invoke, self.is_last))
        head += self.block.to_bytes(4, "big")
        if isinstance(self.content, int):
            return head + bytes((1, self.content))
        return head + b"\x00" + encode_length(len(self.content)) + self.content


class GetListResponse(msgspec.Struct, frozen=True):
    """A value or a result's code for each attribute, in order."""

    invoke: int
    values: tuple[Data | int, ...]

    def to_bytes(self) -> bytes:
        head = bytes((GET_RESPONSE_TAG, _LIST, self.invoke))
        return head + encode_values(self.values)


AnyGetResponse = GetResponse | GetBlockResponse | GetListResponse


def encode_result(value: Data | int) -> bytes:
    """Return `Get-Data-Result` in A-XDR."""
    return bytes((1, value)) if isinstance(value, int) else b"\x00" + encode(value)


def encode_values(values: tuple[Data | int, ...]) -> bytes:
    """Return the values of a list in A-XDR, from which its blocks are cut as well."""
    return encode_length(len(values)) + b"".join(map(encode_result, values))


def parse_values(content: bytes) -> tuple[Data | int, ...]:
    """Return the inverse of `encode_values`. Raises MalformedError."""
    reader = Reader(content)
    values = _values(reader)
    reader.end()
    return values


def parse_get_request(message: bytes) -> AnyGetRequest:
    """Return the request in a message. Raises MalformedError."""
    reader = Reader(message)
    kind, invoke = _head(reader, GET_REQUEST_TAG)
    request: AnyGetRequest
    if kind == _NORMAL:
        request = GetRequest(invoke, parse_attribute(reader), parse_selection(reader))
    elif kind == _BLOCK:
        request = GetNextRequest(invoke=invoke, block=int.from_bytes(reader.take(4), "big"))
    else:
        count = _count(reader)
        items = [(parse_attribute(reader), parse_selection(reader)) for _ in range(count)]
        request = GetListRequest(invoke, tuple(items))
    reader.end()
    return request


def parse_get_response(message: bytes) -> AnyGetResponse:
    """Return the response in a message. Raises MalformedError."""
    reader = Reader(message)
    kind, invoke = _head(reader, GET_RESPONSE_TAG)
    response: AnyGetResponse
    if kind == _NORMAL:
        response = GetResponse(invoke, _result(reader))
    elif kind == _BLOCK:
        is_last = bool(reader.byte())
        block = int.from_bytes(reader.take(4), "big")
        content = reader.byte() if _choice(reader) else reader.octets()
        response = GetBlockResponse(invoke=invoke, is_last=is_last, block=block, content=content)
    else:
        response = GetListResponse(invoke, _values(reader))
    reader.end()
    return response


def _head(reader: Reader, tag: int) -> tuple[int, int]:
    found, kind, invoke = reader.take(3)
    if found != tag:
        raise MalformedError(f"expected the tag 0x{tag:02X}, got 0x{found:02X}")
    if kind not in {_NORMAL, _BLOCK, _LIST}:
        raise MalformedError(f"expected a GET of kind 1 to 3, got {kind}")
    return kind, invoke


def _choice(reader: Reader) -> int:
    choice = reader.byte()
    if choice > 1:
        raise MalformedError(f"expected data or a result, got choice {choice}")
    return choice


def _result(reader: Reader) -> Data | int:
    return reader.byte() if _choice(reader) else reader.data()


def _values(reader: Reader) -> tuple[Data | int, ...]:
    return tuple([_result(reader) for _ in range(_count(reader))])


def _count(reader: Reader) -> int:
    count = reader.length()
    if count > reader.left:  # every item has at least one byte
        raise MalformedError(f"expected {count} items in {reader.left} bytes")
    return count
