"""The envelope: COSE_Sign1 (RFC 9052 §4.2) with Ed25519 and nothing else.

The published examples are github.com/cose-wg/Examples, eddsa-examples/eddsa-sig-01.json and
eddsa-01.json. They predate RFC 9864 and say `EdDSA` (-8), which our reader refuses; the bytes to
be signed and the signature are made the same way.
"""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError

# The key of both examples, which is also RFC 8032 §7.1 TEST 1.
KEY = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)
CONTENT = b"This is the content."

# eddsa-sig-01.json: "intermediates": "ToBeSign_hex", and "output": "cbor"
SIG_01_SIGNED = bytes.fromhex(
    "846A5369676E61747572653145A2012703004054546869732069732074686520636F6E74656E742E"
)
SIG_01 = bytes.fromhex(
    "D28445A201270300A10442313154546869732069732074686520636F6E74656E742E5840"
    "7142FD2FF96D56DB85BEE905A76BA1D0B7321A95C8C4D3607C5781932B7AFB87"
    "11497DFA751BF40B58B3BCC32300B1487F3DB34085EEF013BF08F4A44D6FEF0D"
)
# eddsa-01.json: a COSE_Sign (tag 98) with one signer
EDDSA_01 = bytes.fromhex(
    "D8628443A10300A054546869732069732074686520636F6E74656E742E818343A10127A1044231315840"
    "77F3EACD11852C4BF9CB1D72FABE6B26FBA1D76092B2B5B7EC83B83557652264"
    "E69690DBC1172DDC0BF88411C0D25A507FDB247A20C40D5E245FABD3FC9EC106"
)

PROTECTED = {1: -19}


def test_the_published_signature_is_made_over_the_structure_that_we_sign() -> None:
    tag = cbor2.loads(SIG_01)
    protected, _, payload, signature = tag.value
    assert _sig_structure(protected, payload) == SIG_01_SIGNED
    assert KEY.sign(SIG_01_SIGNED) == signature
    # Ours differs from the published one in the protected header alone.
    _, signed, _ = cose.split(cose.sign(CONTENT, KEY))
    assert signed == _sig_structure(cbor2.dumps(PROTECTED), CONTENT)
    assert signed == SIG_01_SIGNED.replace(bytes.fromhex("45A201270300"), bytes.fromhex("43A10132"))


@pytest.mark.parametrize("message", [SIG_01, EDDSA_01], ids=["eddsa-sig-01", "eddsa-01"])
def test_the_published_examples_are_refused_for_their_algorithm(message: bytes) -> None:
    with pytest.raises(WireError, match="alg Ed25519"):
        cose.verify(message, KEY.public_key())


@given(st.binary(max_size=70_000) | st.integers(0, 3).map(lambda n: bytes(0xFFFE + n)))
def test_what_is_signed_is_an_ordinary_cose_sign1_and_comes_back(payload: bytes) -> None:
    message = cose.sign(payload, KEY)
    tag = cbor2.loads(message)
    assert tag.tag == 18
    protected, unprotected, content, signature = tag.value
    assert cbor2.loads(protected) == PROTECTED
    assert (unprotected, content) == ({}, payload)
    KEY.public_key().verify(signature, _sig_structure(protected, payload))
    assert cbor2.dumps(tag) == message
    assert cose.verify(message, KEY.public_key()) == payload


@pytest.mark.parametrize(
    ("protected", "unprotected", "content", "tag"),
    [
        pytest.param({1: -8}, {}, CONTENT, 18, id="EdDSA, which names no curve"),
        pytest.param({1: -53}, {}, CONTENT, 18, id="Ed448"),
        pytest.param({1: -7}, {}, CONTENT, 18, id="ES256"),
        pytest.param({}, {1: -19}, CONTENT, 18, id="algorithm not protected"),
        pytest.param({1: -19}, {4: b"11"}, CONTENT, 18, id="a key id beside it"),
        pytest.param({1: -19, 2: [15], 15: {}}, {}, CONTENT, 18, id="a critical header"),
        pytest.param({1: -19}, {}, None, 18, id="detached payload"),
        pytest.param({1: -19}, {}, "This is text.", 18, id="payload as text"),
        pytest.param({1: -19}, {}, CONTENT, 98, id="COSE_Sign"),
        pytest.param({1: -19}, {}, CONTENT, None, id="no tag"),
    ],
)
def test_any_other_spelling_is_refused_though_its_signature_is_right(
    protected: dict[int, object],
    unprotected: dict[int, object],
    content: bytes | str | None,
    tag: int | None,
) -> None:
    header = cbor2.dumps(protected)
    signature = KEY.sign(_sig_structure(header, content))
    body = [header, unprotected, content, signature]
    message = cbor2.dumps(body if tag is None else cbor2.CBORTag(tag, body))
    with pytest.raises(WireError, match=r"COSE_Sign1 with alg|one payload byte string"):
        cose.verify(message, KEY.public_key())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("58 01 61", id="one-byte length where none is needed"),
        pytest.param("59 0001 61", id="two-byte length"),
        pytest.param("5a 00000001 61", id="four-byte length"),
        pytest.param("5b 0000000000000001 61", id="eight-byte length"),
        pytest.param("5f 41 61 ff", id="indefinite length"),
        pytest.param("42 61", id="longer than it is"),
        pytest.param("40 61", id="shorter than it is"),
        pytest.param("5a ffffffff 61", id="four GiB"),
    ],
)
def test_a_payload_has_one_spelling_of_its_length(content: str) -> None:
    spelled = bytes.fromhex(content)
    signed = b"\x84\x6aSignature1\x43\xa1\x01\x32\x40" + spelled
    message = bytes.fromhex("d28443a10132a0") + spelled + b"\x58\x40" + KEY.sign(signed)
    with pytest.raises(WireError, match="stated length"):
        cose.verify(message, KEY.public_key())


def test_another_key_does_not_open_a_message() -> None:
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(WireError, match="signature by the known key"):
        cose.verify(cose.sign(CONTENT, KEY), other)


def _sig_structure(protected: bytes, payload: bytes | str | None) -> bytes:
    """RFC 9052 §4.4, made by a CBOR library instead of by hand."""
    return cbor2.dumps(["Signature1", protected, b"", payload])
