"""Tokens and statements of enrolment: one spelling, and nothing else is read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import jws
from gridtokenx_wire.enrolment import (
    Consent,
    Enrol,
    Succeed,
    make_token,
    parse_enrolment,
    parse_rotation,
    parse_token,
    sign_statement,
)
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_id, device_text, public_key_text, raw_public_key

KEY, NEXT = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
PUBLIC = raw_public_key(KEY.public_key())
DEVICE = device_text(device_id(KEY.public_key()))
ENROL = Enrol(v=1, token="aa", public_key=public_key_text(KEY.public_key()), csr="csr")
SUCCEED = Succeed(v=1, device=DEVICE, public_key=public_key_text(NEXT.public_key()), csr="csr")


def b64(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_a_token_is_its_secret_and_half_the_hash_of_the_ca() -> None:
    token = make_token(bytes(range(16)), b"the CA")
    assert token.text == f"{token.secret}.{hashlib.sha256(b'the CA').hexdigest()[:32]}"
    assert token.secret == "aaaqeayeaudaocajbifqydiob4"
    assert token.digest == hashlib.sha256(token.secret.encode()).hexdigest()
    assert parse_token(f" {token.text}\n") == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a" * 26,
        "a" * 26 + "." + "0" * 31,
        "a" * 25 + "." + "0" * 32,
        "A" * 26 + "." + "0" * 32,
        "a" * 26 + "." + "G" * 32,
        "a" * 26 + ".." + "0" * 32,
        "a1" * 13 + "." + "0" * 32,
    ],
)
def test_what_is_no_token_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(WireError) as refused:
        parse_token(text)
    assert str(refused.value) == "expected a token: 26 letters and digits, a dot, 32 hex digits"


def test_a_statement_is_read_as_it_was_signed() -> None:
    enrolment = parse_enrolment(sign_statement(ENROL, KEY).encode())
    assert (enrolment.statement, enrolment.public_key) == (ENROL, PUBLIC)
    jws.verify(enrolment.signed, PUBLIC)
    with pytest.raises(WireError, match="expected a signature by the named key"):
        jws.verify(enrolment.signed, raw_public_key(NEXT.public_key()))


def test_a_consent_holds_a_statement_by_the_next_key() -> None:
    consent = Consent(v=1, device=DEVICE, statement=sign_statement(SUCCEED, NEXT))
    rotation = parse_rotation(sign_statement(consent, KEY).encode())
    assert rotation.statement == SUCCEED
    jws.verify(rotation.consent, PUBLIC)
    jws.verify(rotation.signed, rotation.public_key)


HEADER = {"alg": "Ed25519", "typ": "gridtokenx-enrolment+jws"}
PAYLOAD = {"kind": "enrol", "v": 1, "token": "aa", "public_key": ENROL.public_key, "csr": "c"}
SIGNATURE = bytes(64)


def made(header: Any = HEADER, payload: Any = PAYLOAD, signature: bytes = SIGNATURE) -> bytes:
    return f"{b64(header)}.{b64(payload)}.{b64(signature)}".encode()


def consent_of(statement: Any, device: str = DEVICE) -> bytes:
    text = statement if isinstance(statement, str) else sign_statement(statement, NEXT)
    return sign_statement(Consent(v=1, device=device, statement=text), KEY).encode()


@pytest.mark.parametrize(
    ("parse", "message", "said"),
    [
        (parse_enrolment, b"", "expected a compact JWS"),
        (parse_enrolment, b"a.b", "expected a compact JWS"),
        (parse_enrolment, b"\xff.\xff.\xff", "expected Base64url"),
        (parse_enrolment, made() + b"=", "expected Base64url without padding"),
        (parse_enrolment, made() + b"." * 8192, "expected a JWS of at most 8192 bytes"),
        (parse_enrolment, made({"alg": "EdDSA", "typ": "x"}), "header: Invalid enum value"),
        (parse_enrolment, made({"alg": "Ed25519"}), "header: Object missing"),
        (parse_enrolment, made(HEADER | {"jwk": {}}), "header: Object contains unknown field"),
        (parse_enrolment, made(HEADER | {"typ": "gridtokenx-order+jws"}), "header: expected typ"),
        (parse_enrolment, made(signature=bytes(63)), "expected an Ed25519 signature of 64"),
        (parse_enrolment, made(payload=PAYLOAD | {"v": 2}), "payload: Invalid enum value 2"),
        (parse_enrolment, made(payload=PAYLOAD | {"x": 1}), "payload: Object contains unknown"),
        (parse_enrolment, made(payload=b"\xff"), "payload: "),
        (parse_enrolment, made(payload=b"[" * 5000), "payload: "),
        (parse_enrolment, made(payload=PAYLOAD | {"public_key": "0"}), "payload: public_key: "),
        (parse_enrolment, sign_statement(SUCCEED, KEY).encode(), "expected a statement of kind"),
        (parse_rotation, sign_statement(ENROL, KEY).encode(), "expected a statement of kind"),
        (parse_rotation, consent_of(ENROL), "expected the consent to hold a statement"),
        (parse_rotation, consent_of(SUCCEED, "a" * 26), "expected the consent to hold a statem"),
        (
            parse_rotation,
            consent_of(Succeed(v=1, device="x", public_key="y", csr="z"), "x"),
            "device: expected a device",
        ),
        (parse_rotation, consent_of("a.b.ü"), "expected Base64url"),
    ],
)
def test_what_is_no_statement_is_refused_with_what_was_expected(
    parse: Callable[[bytes], object], message: bytes, said: str
) -> None:
    with pytest.raises(WireError) as refused:
        parse(message)
    assert str(refused.value).startswith(said)
