"""The one parser of compact JWS: what each kind of JWS accepts as its header."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import jws
from gridtokenx_wire.errors import WireError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OURS = jws.Kind(typ="ours+jws", max_bytes=1024)
OPEN = jws.Kind(typ="ours+jws", max_bytes=1024, is_signed_by_others=True)


def signed(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = jws.encode_base64url(text) + b"." + jws.encode_base64url(b"payload")
    return content + b"." + jws.encode_base64url(KEY.sign(content))


@pytest.mark.parametrize("kind", [OURS, OPEN])
def test_what_was_signed_is_split_and_verifies(kind: jws.Kind) -> None:
    parts = jws.split(jws.sign(b"payload", kind, KEY).encode(), kind)
    assert parts.payload == b"payload"
    jws.verify(parts, KEY.public_key().public_bytes_raw())


@pytest.mark.parametrize(
    ("header", "is_ours", "is_open"),
    [
        ({"alg": "Ed25519", "typ": "ours+jws"}, True, True),
        ({"typ": "ours+jws", "alg": "Ed25519"}, True, True),
        ({"alg": "Ed25519"}, False, True),
        ({"alg": "Ed25519", "typ": None}, False, True),
        ({"alg": "Ed25519", "typ": "ours+jws", "kid": "a key"}, False, True),
        ({"alg": "Ed25519", "typ": ""}, False, False),
        ({"alg": "Ed25519", "typ": "theirs+jws"}, False, False),
        ({"alg": "EdDSA", "typ": "ours+jws"}, False, False),
        ({"alg": "none", "typ": "ours+jws"}, False, False),
        ({"typ": "ours+jws"}, False, False),
        ({"alg": "Ed25519", "typ": "ours+jws", "crit": ["b64"]}, False, False),
        (b"", False, False),
        (b"{" * 600, False, False),
    ],
    ids=str,
)
def test_only_a_kind_that_others_sign_may_leave_its_type_out_or_name_a_key(
    header: object, is_ours: bool, is_open: bool
) -> None:
    for kind, is_accepted in ((OURS, is_ours), (OPEN, is_open)):
        if is_accepted:
            assert jws.split(signed(header), kind).payload == b"payload"
        else:
            with pytest.raises(WireError, match="header: "):
                jws.split(signed(header), kind)


def test_a_signature_by_another_key_names_who_should_have_signed() -> None:
    parts = jws.split(signed({"alg": "Ed25519", "typ": "ours+jws"}), OURS)
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with pytest.raises(WireError, match="a signature by the wallet"):
        jws.verify(parts, other, "the wallet")
