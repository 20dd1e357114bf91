"""ACTION: calling a method (Green Book 9.3.8). Parameters that need blocks are not sent here."""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import Data, encode
from gridtokenx_dlms.errors import MalformedError, UnsupportedError
from gridtokenx_dlms.xdlms.attribute import Attribute, parse_attribute, parse_presence
from gridtokenx_dlms.xdlms.get import encode_result

ACTION_REQUEST_TAG, ACTION_RESPONSE_TAG = 0xC3, 0xC7
_NORMAL = 1


class ActionRequest(msgspec.Struct, frozen=True):
    """A request to call a method. `method.number` is the method's."""

    invoke: int
    method: Attribute
    parameters: Data | None = None

    def to_bytes(self) -> bytes:
        head = bytes((ACTION_REQUEST_TAG, _NORMAL, self.invoke)) + self.method.to_bytes()
        return head + (b"\x00" if self.parameters is None else b"\x01" + encode(self.parameters))


class ActionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a call.

    `result` is an action's, `returned` a value, the code of a data access result, or None.
    """

    invoke: int
    result: int
    returned: Data | int | None = None

    def to_bytes(self) -> bytes:
        head = bytes((ACTION_RESPONSE_TAG, _NORMAL, self.invoke, self.result))
        return head + (b"\x00" if self.returned is None else b"\x01" + encode_result(self.returned))


def parse_action_request(message: bytes) -> ActionRequest:
    """Return the request in a message.

    Raises MalformedError, UnsupportedError (blocks and lists).
    """
    reader = Reader(message)
    invoke, method = _head(reader, ACTION_REQUEST_TAG), parse_attribute(reader)
    request = ActionRequest(invoke, method, reader.data() if parse_presence(reader) else None)
    reader.end()
    return request


def parse_action_response(message: bytes) -> ActionResponse:
    """Return the response in a message.

    Raises MalformedError, UnsupportedError (blocks and lists).
    """
    reader = Reader(message)
    invoke, result = _head(reader, ACTION_RESPONSE_TAG), reader.byte()
    returned: Data | int | None = None
    if parse_presence(reader):
        returned = reader.byte() if parse_presence(reader) else reader.data()
    reader.end()
    return ActionResponse(invoke=invoke, result=result, returned=returned)


def _head(reader: Reader, tag: int) -> int:
    found, kind, invoke = reader.take(3)
    if found != tag:
        raise MalformedError(f"expected the tag 0x{tag:02X}, got 0x{found:02X}")
    if kind != _NORMAL:
        raise UnsupportedError(f"expected a plain ACTION, got kind {kind}")
    return invoke
