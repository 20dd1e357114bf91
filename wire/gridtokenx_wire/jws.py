"""Compact JWS (RFC 7515) with `alg: Ed25519` (RFC 9864 §2.2), and nothing else.

Base64url is without padding, and only in its one canonical spelling (RFC 7515 §2).
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire.errors import WireError

SIGNATURE_BYTES = 64
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class Signed(msgspec.Struct, frozen=True, gc=False):
    """A split JWS: not verified until `signature` over `signed` was."""

    payload: bytes
    signed: bytes
    signature: bytes

    def job(self, public_key: bytes) -> tuple[bytes, bytes, bytes]:
        """(public key, signature, what was signed), for a verifier of one's own."""
        return public_key, self.signature, self.signed


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    typ: str


_header_decoder = msgspec.json.Decoder(_Header)


def encode_base64url(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def decode_base64url(part: bytes) -> bytes:
    """Raises WireError for anything but the canonical spelling."""
    try:
        content = binascii.a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise WireError("expected Base64url without padding") from None
    # Encoding again is the check: it also finds bits that the last character must not have.
    if encode_base64url(content) != part:
        raise WireError("expected Base64url without padding")
    return content


def sign(payload: bytes, typ: str, key: Ed25519PrivateKey) -> str:
    """The compact JWS of a payload whose kind is told by `typ`."""
    header = encode_base64url(msgspec.json.encode({"alg": "Ed25519", "typ": typ}))
    signed = header + b"." + encode_base64url(payload)
    return (signed + b"." + encode_base64url(key.sign(signed))).decode()


def split(jws: bytes, typ: str, max_bytes: int) -> Signed:
    """The parts of a JWS of kind `typ`, all checked but the signature. Raises WireError."""
    if len(jws) > max_bytes:
        raise WireError(f"expected a JWS of at most {max_bytes} bytes")
    parts = jws.split(b".")
    if len(parts) != 3:
        raise WireError("expected a compact JWS: header.payload.signature")
    header, payload, signature = (decode_base64url(part) for part in parts)
    try:
        given = _header_decoder.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"header: {error}") from None
    if given.typ != typ:
        raise WireError(f"header: expected typ {typ!r}")
    if len(signature) != SIGNATURE_BYTES:
        raise WireError("expected an Ed25519 signature of 64 bytes")
    return Signed(payload, parts[0] + b"." + parts[1], signature)


def verify(signed: Signed, public_key: bytes) -> None:
    """Raises WireError unless the raw `public_key` made the signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, signed.signed)
    except InvalidSignature:
        raise WireError("expected a signature by the named key") from None
