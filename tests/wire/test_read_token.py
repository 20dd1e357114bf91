"""Read tokens: what they say, and what is no token."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import jws
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import public_key_text
from gridtokenx_wire.read_token import ReadToken, parse_read_token, sign_read_token

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SAID: dict[str, Any] = {
    "kind": "read",
    "v": 1,
    "community": "lane",
    "wallet": public_key_text(KEY.public_key()),
    "issued_ms": 1_000,
    "expires_ms": 901_000,
}


def signed(typ: str = "gridtokenx-read+jws", **other: Any) -> bytes:
    kind = jws.Kind(typ=typ, max_bytes=1024)
    return jws.sign(msgspec.json.encode(SAID | other), kind, KEY).encode()


def test_a_token_is_read_as_it_was_signed() -> None:
    token = ReadToken(
        v=1, community="lane", wallet=SAID["wallet"], issued_ms=1_000, expires_ms=901_000
    )
    parsed = parse_read_token(sign_read_token(token, KEY).encode())
    assert parsed.token == token == parse_read_token(signed()).token
    jws.verify(parsed.signed, parsed.public_key)


def test_another_keys_signature_is_found() -> None:
    parsed = parse_read_token(signed())
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(WireError, match="signature"):
        jws.verify(parsed.signed, other)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param(b"", "compact JWS", id="nothing"),
        pytest.param(b"\xff.\xff.\xff", "Base64url", id="bytes"),
        pytest.param(signed(typ="gridtokenx-order+jws"), "expected typ", id="an order's"),
        pytest.param(signed(kind="order"), "payload", id="another kind"),
        pytest.param(signed(v=2), "payload", id="another version"),
        pytest.param(signed(more=1), "payload", id="unknown field"),
        pytest.param(signed(issued_ms=-1), "payload", id="before time"),
        pytest.param(signed(expires_ms=901_001), "900000 ms after", id="for too long"),
        pytest.param(signed(expires_ms=1_000), "900000 ms after", id="for no time"),
        pytest.param(signed(wallet="0OIl"), "wallet", id="no wallet"),
        pytest.param(signed(community="x" * 1_000), "1024 bytes", id="too long"),
    ],
)
def test_what_is_no_token_is_told_in_one_line(message: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said) as refused:
        parse_read_token(message)
    assert "\n" not in str(refused.value)
