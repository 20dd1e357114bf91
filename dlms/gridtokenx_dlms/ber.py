"""The little of BER (X.690) that ACSE needs: tags of one byte, definite lengths."""

from __future__ import annotations

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import encode_length
from gridtokenx_dlms.errors import MalformedError


def tlv(tag: int, value: bytes) -> bytes:
    """Return a tag, the length of a value and the value."""
    return bytes((tag,)) + encode_length(len(value)) + value


def parse_fields(content: bytes) -> dict[int, bytes]:
    """Return the fields of a sequence by tag.

    Raises MalformedError, also for a tag that comes twice.
    """
    reader = Reader(content)
    fields: dict[int, bytes] = {}
    while reader.left:
        tag = reader.byte()
        if tag in fields:
            raise MalformedError(f"expected the tag 0x{tag:02X} once")
        fields[tag] = reader.octets()
    return fields


def parse_one(content: bytes, tag: int) -> bytes:
    """Return the value of the only field, which has this tag. Raises MalformedError."""
    reader = Reader(content)
    found = reader.byte()
    if found != tag:
        raise MalformedError(f"expected the tag 0x{tag:02X}, got 0x{found:02X}")
    value = reader.octets()
    reader.end()
    return value
