"""A member's short-lived token to read what is theirs: a compact JWS, sent as a bearer token.

The payload is JSON of kind `read`. It can do nothing but read, at one community, for minutes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import jws
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import parse_public_key

MAX_BYTES = 1024
LONGEST_MS = 900_000
"""No token is good for longer."""
_KIND = jws.Kind(typ="gridtokenx-read+jws", max_bytes=MAX_BYTES)
_Time = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ReadToken(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="read",
    gc=False,
):
    """The right to read what is `wallet`'s at one community, from `issued_ms` until
    `expires_ms`.
    """

    v: Literal[1]
    community: str
    wallet: str
    issued_ms: _Time
    expires_ms: _Time


class SignedToken(msgspec.Struct, frozen=True, gc=False):
    """A parsed token.

    It is not verified until its signature was, under the wallet's `public_key`.
    """

    token: ReadToken
    public_key: bytes
    signed: jws.Signed


_decoder = msgspec.json.Decoder(ReadToken)


def sign_read_token(token: ReadToken, key: Ed25519PrivateKey) -> str:
    """Return the compact JWS. The caller puts the key's own wallet address into the token."""
    return jws.sign(msgspec.json.encode(token), _KIND, key)


def parse_read_token(text: bytes) -> SignedToken:
    """Check everything of a token but its signature and its time. Raises WireError."""
    signed = jws.split(text, _KIND)
    try:
        token = _decoder.decode(signed.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"payload: {error}") from None
    if not 0 < token.expires_ms - token.issued_ms <= LONGEST_MS:
        raise WireError(f"payload: expected expires_ms up to {LONGEST_MS} ms after issued_ms")
    try:
        public_key = parse_public_key(token.wallet)
    except ValueError as error:
        raise WireError(f"payload: wallet: {error}") from None
    return SignedToken(token, public_key, signed)
