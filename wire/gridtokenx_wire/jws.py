"""Compact JWS (RFC 7515) with `alg: Ed25519` (RFC 9864 §2.2), and nothing else.

Base64url is without padding, and only in its one canonical spelling (RFC 7515 §2).
"""

from __future__ import annotations

import base64
import binascii
import functools
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


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a JWS is for. A JWS of one kind is never accepted as one of another.

    `typ` names the kind in the header. Where `is_signed_by_others`, tools that do not know this
    project may have made the header: `typ` may be missing then, and a `kid` is allowed.
    """

    typ: str
    max_bytes: int
    is_signed_by_others: bool = False


class Signed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A JWS in its parts. It is not verified until `signature` over `signed` was."""

    payload: bytes
    signed: bytes
    signature: bytes

    def job(self, public_key: bytes) -> tuple[bytes, bytes, bytes]:
        """Return (public key, signature, signed bytes), as a verifier of many takes them."""
        return public_key, self.signature, self.signed


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    typ: str


class _HeaderByOthers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    typ: str | None = None
    kid: str | None = None


_header_decoder: msgspec.json.Decoder[_Header | _HeaderByOthers] = msgspec.json.Decoder(_Header)
_header_by_others_decoder = msgspec.json.Decoder(_HeaderByOthers)


def encode_base64url(content: bytes) -> bytes:
    """Return `content` in Base64url (RFC 4648 §5) without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def decode_base64url(part: bytes) -> bytes:
    """Return what `part` spells. Raises WireError for anything but the canonical spelling."""
    try:
        content = binascii.a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise WireError("expected Base64url without padding") from None
    # Encoding again is the check: it also finds bits that the last character must not have.
    if encode_base64url(content) != part:
        raise WireError("expected Base64url without padding")
    return content


@functools.cache
def _own_header(typ: str) -> bytes:
    """Return the header that this project signs with, in Base64url."""
    return encode_base64url(msgspec.json.encode({"alg": "Ed25519", "typ": typ}))


def sign(payload: bytes, kind: Kind, key: Ed25519PrivateKey) -> str:
    """Return the compact JWS of a payload, signed with `key`."""
    signed = _own_header(kind.typ) + b"." + encode_base64url(payload)
    return (signed + b"." + encode_base64url(key.sign(signed))).decode()


def split(jws: bytes, kind: Kind) -> Signed:
    """Return the parts of a JWS of this kind; all but its signature has been checked.

    Raises WireError saying what was expected.
    """
    if len(jws) > kind.max_bytes:
        raise WireError(f"expected a JWS of at most {kind.max_bytes} bytes")
    parts = jws.split(b".")
    if len(parts) != 3:
        raise WireError("expected a compact JWS: header.payload.signature")
    if parts[0] != _own_header(kind.typ):
        _check_header(decode_base64url(parts[0]), kind)
    payload, signature = decode_base64url(parts[1]), decode_base64url(parts[2])
    if len(signature) != SIGNATURE_BYTES:
        raise WireError("expected an Ed25519 signature of 64 bytes")
    return Signed(payload=payload, signed=parts[0] + b"." + parts[1], signature=signature)


def _check_header(header: bytes, kind: Kind) -> None:
    """Raise WireError unless a header that is not our own names the algorithm and the kind."""
    decoder = _header_by_others_decoder if kind.is_signed_by_others else _header_decoder
    try:
        typ = decoder.decode(header).typ
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"header: {error}") from None
    if typ != kind.typ and not (typ is None and kind.is_signed_by_others):
        raise WireError(f"header: expected typ {kind.typ!r}")


def verify(signed: Signed, public_key: bytes, signer: str = "the named key") -> None:
    """Raise WireError unless the raw `public_key` of `signer` made the signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, signed.signed)
    except InvalidSignature:
        raise WireError(f"expected a signature by {signer}") from None
