"""COSE_Sign1 (RFC 9052 §4.2) with Ed25519 (algorithm -19, RFC 9864 §2.2), and nothing else.

There is one accepted spelling, so the envelope is a fixed prefix, a payload and a signature:

    D2 84          tag 18, array of 4
    43 A1 01 32    protected header: { 1 (alg): -19 }
    A0             unprotected header: {}
    58 nn ...      payload, a byte string
    58 40 ...      signature, 64 bytes

The bytes to be signed, the Sig_structure of RFC 9052 §4.4, contain the payload as the same byte
string, so they too are a fixed prefix and a slice of the message.
"""

from __future__ import annotations

from typing import BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire.errors import WireError

_HEAD = bytes.fromhex("d28443a10132a0")
_TAIL = bytes.fromhex("5840")
# ["Signature1", h'a10132', h'' (no external data), payload]
_SIGNED_HEAD = b"\x84\x6aSignature1\x43\xa1\x01\x32\x40"
_SIGNATURE_BYTES = 64
_AFTER_PAYLOAD = len(_TAIL) + _SIGNATURE_BYTES
_LENGTH_BYTES = {0x58: 2, 0x59: 3, 0x5A: 5}
_SHORTEST = len(_HEAD) + 1 + _AFTER_PAYLOAD


def _byte_string(content: bytes) -> bytes:
    """Return a CBOR byte string (major type 2) with the shortest length (RFC 8949 §4.2.1)."""
    size = len(content)
    if size < 24:
        return bytes((0x40 | size,)) + content
    if size < 0x100:
        return bytes((0x58, size)) + content
    if size < 0x1_0000:
        return b"\x59" + size.to_bytes(2, "big") + content
    return b"\x5a" + size.to_bytes(4, "big") + content


def sign(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the COSE_Sign1 message that carries `payload`."""
    return assemble(payload, key.sign(to_be_signed(payload)))


def to_be_signed(payload: bytes) -> bytes:
    """Return the Sig_structure, for a signer of one's own."""
    return _SIGNED_HEAD + _byte_string(payload)


def assemble(payload: bytes, signature: bytes) -> bytes:
    """Return the message of a payload and the signature over its `to_be_signed`."""
    return _HEAD + _byte_string(payload) + _TAIL + signature


def split(message: bytes) -> tuple[bytes, bytes, bytes]:
    """Return (signature, bytes that were signed, payload) of a message not yet verified.

    Raises WireError unless the message has exactly the form above.
    """
    end = len(message) - _AFTER_PAYLOAD
    if len(message) < _SHORTEST or not message.startswith(_HEAD) or message[end : end + 2] != _TAIL:
        raise WireError("expected a COSE_Sign1 with alg Ed25519 (-19) and no other header")
    content = message[len(_HEAD) : end]
    payload = content[_length_bytes(content[0]) :]
    # Encoding again is the check of the length: it must fit, and in its shortest form.
    if _byte_string(payload) != content:
        raise WireError("expected one payload byte string of the stated length")
    return message[-_SIGNATURE_BYTES:], _SIGNED_HEAD + content, payload


def _length_bytes(initial: int) -> int:
    return _LENGTH_BYTES.get(initial, 1)


def verify(message: bytes, key: Ed25519PublicKey) -> bytes:
    """Return the payload of a message signed by `key`. Raises WireError."""
    signature, signed, payload = split(message)
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        raise WireError("expected a signature by the known key") from None
    return payload


def read_one(stream: BinaryIO, longest: int) -> bytes:
    """Return the next message of a sequence of them (RFC 8742), not verified, or b"" at its end.

    Raises WireError for what is no message, is cut off, or has more than `longest` bytes.
    """
    start = stream.read(len(_HEAD) + 1)
    if not start:
        return b""
    extra = _length_bytes(start[-1]) - 1
    start += stream.read(extra)
    if len(start) != len(_HEAD) + 1 + extra or not start.startswith(_HEAD):
        raise WireError("expected a whole COSE_Sign1 with alg Ed25519 (-19) and no other header")
    initial = start[len(_HEAD)]
    size = int.from_bytes(start[-extra:], "big") if extra else initial & 0x1F
    rest = size + _AFTER_PAYLOAD
    if len(start) + rest > longest:
        raise WireError(f"expected at most {longest} bytes in a message")
    message = start + stream.read(rest)
    if len(message) != len(start) + rest:
        raise WireError("expected a whole message, got the beginning of one")
    split(message)
    return message
