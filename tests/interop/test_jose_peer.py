"""Orders against `joserfc`, a JOSE library that is not ours."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey

from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import public_key_text, raw_private_seed, raw_public_key
from gridtokenx_wire.order import Cancel, Order, open_instruction, sign_instruction

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = urlsafe_b64encode(raw_public_key(KEY.public_key())).rstrip(b"=").decode()
ALGORITHM = "Ed25519"
ORDER = Order(
    v=1,
    community="sonnenweg",
    wallet=public_key_text(KEY.public_key()),
    id="joserfc-1",
    issued_ms=1_782_036_000_000,
    side="buy",
    quantity_kwh="2.5",
    price_grx_per_kwh="0.31",
    tif="IOC",
)


def jwk(*, private: bool) -> OKPKey:
    """RFC 8037 §2."""
    members: dict[str, str | list[str]] = {"kty": "OKP", "crv": "Ed25519", "x": PUBLIC}
    if private:
        members["d"] = b64(raw_private_seed(KEY))
    return OKPKey.import_key(members)


def b64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def serialized(header: dict[str, Any], payload: bytes, algorithm: str = ALGORITHM) -> bytes:
    return jws.serialize_compact(header, payload, jwk(private=True), [algorithm]).encode()


def test_joserfc_verifies_our_order_and_reads_its_json() -> None:
    signed = sign_instruction(ORDER, KEY)
    found = jws.deserialize_compact(signed, jwk(private=False), [ALGORITHM])
    assert found.headers() == {"alg": "Ed25519", "typ": "gridtokenx-order+jws"}
    assert json.loads(found.payload) == msgspec.to_builtins(ORDER)


def test_joserfc_refuses_our_order_with_another_payload() -> None:
    head, _, signature = sign_instruction(ORDER, KEY).split(".")
    cancel = Cancel(
        v=1,
        community=ORDER.community,
        wallet=ORDER.wallet,
        id="c-1",
        issued_ms=ORDER.issued_ms,
        order=ORDER.id,
    )
    body = b64(msgspec.json.encode(cancel))
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(f"{head}.{body}.{signature}", jwk(private=False), [ALGORITHM])


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "Ed25519"},
        {"alg": "Ed25519", "typ": "gridtokenx-order+jws"},
        {"typ": "gridtokenx-order+jws", "alg": "Ed25519", "kid": "my phone"},
    ],
    ids=str,
)
def test_an_order_that_joserfc_signed_is_accepted(header: dict[str, Any]) -> None:
    # Its JSON has blanks and an order of its own: the signature is over whatever was sent.
    payload = json.dumps(dict(reversed(msgspec.to_builtins(ORDER).items())), indent=2).encode()
    assert open_instruction(serialized(header, payload)) == ORDER


def test_the_same_bytes_are_signed_to_the_same_text() -> None:
    header = {"alg": "Ed25519", "typ": "gridtokenx-order+jws"}
    theirs = serialized(header, msgspec.json.encode(ORDER)).decode()
    assert theirs == sign_instruction(ORDER, KEY)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_the_older_algorithm_name_is_refused_though_joserfc_knows_it() -> None:
    message = serialized({"alg": "EdDSA"}, msgspec.json.encode(ORDER), "EdDSA")
    with pytest.raises(WireError, match="header: "):
        open_instruction(message)
