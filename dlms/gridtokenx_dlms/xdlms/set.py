"""SET: writing an attribute (Green Book 9.3.7). Values that need blocks are not written here."""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import Data, encode
from gridtokenx_dlms.errors import MalformedError, UnsupportedError
from gridtokenx_dlms.xdlms.attribute import (
    Attribute,
    Selection,
    encode_selection,
    parse_attribute,
    parse_selection,
)

SET_REQUEST_TAG, SET_RESPONSE_TAG = 0xC1, 0xC5
_NORMAL = 1


class SetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to write an attribute."""

    invoke: int
    attribute: Attribute
    value: Data
    selection: Selection | None = None

    def to_bytes(self) -> bytes:
        head = bytes((SET_REQUEST_TAG, _NORMAL, self.invoke)) + self.attribute.to_bytes()
        return head + encode_selection(self.selection) + encode(self.value)


class SetResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a write. `result` is the code of a data access result."""

    invoke: int
    result: int

    def to_bytes(self) -> bytes:
        return bytes((SET_RESPONSE_TAG, _NORMAL, self.invoke, self.result))


def parse_set_request(message: bytes) -> SetRequest:
    """Return the request in a message.

    Raises MalformedError, UnsupportedError (blocks and lists).
    """
    reader = Reader(message)
    invoke = _head(reader, SET_REQUEST_TAG)
    attribute, selection = parse_attribute(reader), parse_selection(reader)
    request = SetRequest(
        invoke=invoke, attribute=attribute, value=reader.data(), selection=selection
    )
    reader.end()
    return request


def parse_set_response(message: bytes) -> SetResponse:
    """Return the response in a message.

    Raises MalformedError, UnsupportedError (blocks and lists).
    """
    reader = Reader(message)
    response = SetResponse(invoke=_head(reader, SET_RESPONSE_TAG), result=reader.byte())
    reader.end()
    return response


def _head(reader: Reader, tag: int) -> int:
    found, kind, invoke = reader.take(3)
    if found != tag:
        raise MalformedError(f"expected the tag 0x{tag:02X}, got 0x{found:02X}")
    if kind != _NORMAL:
        raise UnsupportedError(f"expected a plain SET, got kind {kind}")
    return invoke
