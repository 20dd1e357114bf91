"""CBOR (RFC 8949) as the contract uses it: integer-keyed maps, and typed arrays (RFC 8746)."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Sequence
from typing import Any

import cbor2

from gridtokenx_wire.errors import WireError

# RFC 8949 §3.1, major types.
UNSIGNED = 0
BYTES = 2
ARRAY = 4
MAP = 5

# RFC 8746 §2.1, little endian: tag → struct format.
UINT8 = 64
UINT16 = 69
UINT32 = 70
SINT32 = 78
SINT64 = 79
_FORMATS = {UINT8: "B", UINT16: "H", UINT32: "I", SINT32: "i", SINT64: "q"}


def encode(fields: dict[int, Any]) -> bytes:
    """Return the deterministic encoding (RFC 8949 §4.2.1) of a map.

    Its keys must be small and ascending.
    """
    assert list(fields) == sorted(fields)
    return cbor2.dumps(fields)


def encode_head(major: int, number: int) -> bytes:
    """Return the head of an item (RFC 8949 §3): a type from 0 to 7 with a number from 0 on."""
    if number < 24:
        return bytes((major << 5 | number,))
    for more, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | more,)) + number.to_bytes(size, "big")
    raise WireError("expected a number below 2^64")


def decode_map(payload: bytes, keys: frozenset[int]) -> dict[int, Any]:
    """Return a map with exactly `keys`. Raises WireError whatever the bytes are."""
    value = _decode(payload)
    if value.keys() != keys:
        raise WireError("expected a map with exactly the keys of this message type")
    return value


def decode_open_map(payload: bytes, keys: frozenset[int]) -> dict[int, Any]:
    """Return a map with `keys` and perhaps others. Raises WireError whatever the bytes are."""
    value = _decode(payload)
    if not value.keys() >= keys:
        raise WireError("expected a map with the keys of this message type")
    return value


def _decode(payload: bytes) -> dict[int, Any]:
    stream = io.BytesIO(payload)
    try:
        value = cbor2.load(stream, allow_indefinite=False, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, LookupError, RecursionError):
        raise WireError("expected one well-formed CBOR item") from None
    if stream.tell() != len(payload):  # a stream is left just behind the item; loads() hides it
        raise WireError("expected nothing after the CBOR item")
    if type(value) is not dict:
        raise WireError("expected a map")
    return value


def typed_array(tag: int, values: Sequence[int]) -> cbor2.CBORTag:
    """Return `values` as a typed array. Raises WireError if one does not fit."""
    try:
        return cbor2.CBORTag(tag, _layout(tag, len(values)).pack(*values))
    except struct.error:
        raise WireError(f"expected values that fit RFC 8746 tag {tag}") from None


@functools.lru_cache(maxsize=4096)
def _layout(tag: int, count: int) -> struct.Struct:
    return struct.Struct(f"<{count}{_FORMATS[tag]}")
