"""Signed instructions: compact JWS (RFC 7515) with `alg: Ed25519` (RFC 9864 §2.2)."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import public_key_text
from gridtokenx_wire.order import (
    Cancel,
    Instruction,
    Order,
    Standing,
    open_instruction,
    parse_instruction,
    sign_instruction,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WALLET = public_key_text(KEY.public_key())
HEADER = {"alg": "Ed25519"}
FIELDS: dict[str, Any] = {
    "kind": "order",
    "v": 1,
    "community": "sonnenweg",
    "wallet": WALLET,
    "id": "2026-06-21.1",
    "issued_ms": 1_782_036_000_000,
    "side": "sell",
    "quantity_kwh": "1.5",
    "price_grx_per_kwh": "0.25",
    "tif": "IOC",
}
COMMON = {
    "v": st.just(1),
    "community": st.text(max_size=20),
    "wallet": st.just(WALLET),
    "id": st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    "issued_ms": st.integers(0, 2**63 - 1),
}
AMOUNTS = st.decimals(0, 10_000, places=6, allow_nan=False).map(str)
SIDES = st.sampled_from(["buy", "sell"])


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def compact(header: object, payload: object, key: Ed25519PrivateKey = KEY) -> bytes:
    """RFC 7515 §7.1, made with the standard library's JSON; objects or their text."""
    texts = [part if isinstance(part, str) else json.dumps(part) for part in (header, payload)]
    signed = ".".join(b64(text.encode()) for text in texts)
    return f"{signed}.{b64(key.sign(signed.encode()))}".encode()


# -- RFC 8037, appendix A -----------------------------------------------------------------------

# A.1 and A.2: the private key `d` and its public key `x`
RFC_D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
# A.4: the signing input, {"alg":"EdDSA"} and "Example of Ed25519 signing", and the signature
RFC_SIGNED = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
RFC_SIGNATURE = (
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def test_the_rfcs_key_makes_the_rfcs_signature() -> None:
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(RFC_D + "="))
    assert b64(key.public_key().public_bytes_raw()) == RFC_X
    assert b64(key.sign(RFC_SIGNED)) == RFC_SIGNATURE


def test_the_rfcs_jws_validates_but_its_algorithm_name_is_refused() -> None:
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(RFC_X + "="))
    key.verify(base64.urlsafe_b64decode(RFC_SIGNATURE + "=="), RFC_SIGNED)
    with pytest.raises(WireError, match="header: "):
        parse_instruction(RFC_SIGNED + b"." + RFC_SIGNATURE.encode())


# -- instructions -------------------------------------------------------------------------------


@given(
    st.one_of(
        st.builds(
            Order,
            **COMMON,
            side=SIDES,
            quantity_kwh=AMOUNTS,
            price_grx_per_kwh=AMOUNTS,
            tif=st.sampled_from(["GTC", "IOC"]),
        ),
        st.builds(Cancel, **COMMON, order=COMMON["id"]),
        st.builds(
            Standing,
            **COMMON,
            side=SIDES,
            price_grx_per_kwh=AMOUNTS,
            keep_kwh=AMOUNTS,
            active=st.booleans(),
        ),
    )
)
def test_an_instruction_comes_back_as_it_was_signed(instruction: Instruction) -> None:
    assert open_instruction(sign_instruction(instruction, KEY).encode()) == instruction


def test_the_header_names_the_algorithm_and_the_type_and_nothing_else() -> None:
    header, payload, _ = sign_instruction(msgspec.convert(FIELDS, Order), KEY).split(".")
    assert base64.urlsafe_b64decode(header + "==") == (
        b'{"alg":"Ed25519","typ":"gridtokenx-order+jws"}'
    )
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == FIELDS


def test_an_order_signed_by_another_tool_is_read() -> None:
    order = open_instruction(compact({"kid": WALLET, "alg": "Ed25519"}, FIELDS))
    assert isinstance(order, Order)
    assert (order.quantity_uwh, order.price_ugrx) == (1_500_000_000, 250_000)


def test_a_standing_order_keeps_nothing_unless_it_says_so() -> None:
    standing = Standing(
        v=1,
        community="sonnenweg",
        wallet=WALLET,
        id="s",
        issued_ms=0,
        side="sell",
        price_grx_per_kwh="0.2",
    )
    assert (standing.keep_uwh, standing.price_ugrx, standing.active) == (0, 200_000, True)


def test_only_the_wallet_itself_can_sign() -> None:
    thief = Ed25519PrivateKey.generate()
    with pytest.raises(WireError, match="signature by the wallet"):
        open_instruction(compact(HEADER, FIELDS, thief))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": "none"},
        {"alg": "EdDSA"},
        {"alg": "ed25519"},
        {"alg": "Ed448"},
        {"alg": "HS256"},
        {"alg": ["Ed25519"]},
        {"alg": "Ed25519", "typ": "JWT"},
        {"alg": "Ed25519", "crit": ["b64"], "b64": False},
        {"alg": "Ed25519", "b64": False},
        {"alg": "Ed25519", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": RFC_X}},
        {"alg": "Ed25519", "kid": 1},
        [],
        "Ed25519",
    ],
    ids=str,
)
def test_any_other_header_is_refused_though_its_signature_is_right(header: object) -> None:
    with pytest.raises(WireError, match="header: "):
        parse_instruction(compact(header, FIELDS))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "transfer"}, "kind"),
        ({"kind": None}, "kind"),
        ({"v": 2}, r"\$\.v"),
        ({"v": "1"}, r"\$\.v"),
        ({"community": 7}, r"\$\.community"),
        ({"id": ""}, "expected an id"),
        ({"id": "a b"}, "expected an id"),
        ({"id": "ä"}, "expected an id"),
        ({"id": "a\n"}, "expected an id"),
        ({"id": 65 * "a"}, "expected an id"),
        ({"issued_ms": -1}, r"\$\.issued_ms"),
        ({"issued_ms": 2**63}, r"\$\.issued_ms"),
        ({"issued_ms": 1.5}, r"\$\.issued_ms"),
        ({"issued_ms": True}, r"\$\.issued_ms"),
        ({"side": "SELL"}, r"\$\.side"),
        ({"quantity_kwh": 1.5}, r"\$\.quantity_kwh"),
        ({"price_grx_per_kwh": 1}, r"\$\.price_grx_per_kwh"),
        ({"tif": "DAY"}, r"\$\.tif"),
        ({"segment": "daily"}, r"\$\.segment"),
        ({"quantity": "1"}, "quantity"),
        ({"wallet": ""}, "wallet: expected a Base58"),
        ({"wallet": WALLET + "111"}, "wallet: expected a Base58"),
        ({"wallet": " " + WALLET}, "wallet: expected a Base58"),
        ({"wallet": "0" + WALLET[1:]}, "wallet: expected a Base58"),
        ({"wallet": public_key_text(bytes(32))}, "wallet: .*small order"),
    ],
    ids=str,
)
def test_a_wrong_member_is_named(change: dict[str, object], expected: str) -> None:
    with pytest.raises(WireError, match=f"payload: .*{expected}"):
        parse_instruction(compact(HEADER, FIELDS | change))


@pytest.mark.parametrize("missing", ["v", "community", "wallet", "id", "issued_ms", "side"])
def test_a_missing_member_is_named(missing: str) -> None:
    members = {key: value for key, value in FIELDS.items() if key != missing}
    with pytest.raises(WireError, match=f"payload: .*{missing}"):
        parse_instruction(compact(HEADER, members))


JWS = compact(HEADER, FIELDS).decode()
HEAD, BODY, SIGNATURE = JWS.split(".")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(f"{HEAD}.{BODY}", id="no signature"),
        pytest.param(f"{HEAD}.{BODY}.", id="an empty signature"),
        pytest.param(f"{HEAD}..{SIGNATURE}", id="a detached payload"),
        pytest.param(f"{JWS}.", id="four parts"),
        pytest.param(f" {JWS}", id="a leading blank"),
        pytest.param(f"{JWS}\n", id="a trailing line feed"),
        pytest.param(f"{JWS}==", id="padding"),
        pytest.param(f"{HEAD}.{BODY}.{SIGNATURE[:-1]}", id="63 bytes and a bit"),
        pytest.param(f"{HEAD}.{BODY}.{SIGNATURE}AAAA", id="67 bytes"),
        pytest.param(
            json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
            id="the JSON serialization",
        ),
    ],
)
def test_only_the_compact_form_is_accepted(text: str) -> None:
    with pytest.raises(WireError):
        parse_instruction(text.encode())


def test_a_signature_has_one_spelling() -> None:
    # The last of its 86 characters carries 2 bits; the other 4 must be zero.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = []
    for last in alphabet:
        try:
            open_instruction(f"{JWS[:-1]}{last}".encode())
        except WireError:
            continue
        accepted.append(last)
    assert accepted == [JWS[-1]]


@pytest.mark.parametrize("spelled", [86 * "+", 86 * "/", 84 * "A" + "==", 85 * "A" + " ", 86 * "é"])
def test_only_the_url_safe_alphabet_is_accepted(spelled: str) -> None:
    with pytest.raises(WireError, match="Base64url"):
        parse_instruction(f"{HEAD}.{BODY}.{spelled}".encode())
