"""What an attacker may send: any bytes end in WireError, nothing else, and soon."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_wire.ack import Ack, decode_ack, encode_ack, open_ack, seal_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    MAX_FRAME_BYTES,
    ClockStatus,
    Gap,
    build_frame,
    decode_frame,
    encode_frame,
    open_frame,
    seal_frame,
)
from gridtokenx_wire.hello import Hello, decode_hello, encode_hello, open_hello, seal_hello
from gridtokenx_wire.keys import public_key_text
from gridtokenx_wire.order import Order, open_instruction, parse_instruction, sign_instruction
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.state_notice import (
    GatewayState,
    StateNotice,
    decode_notice,
    encode_notice,
    open_answer,
    seal_notice,
)
from gridtokenx_wire.verdict import Reason, Verdict

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
FRAME = build_frame(
    bytes(16),
    bytes(8),
    0,
    GENESIS_PREV,
    ClockStatus(synchronised=True, stepped=False, source="ntp"),
    [Reading(meter="ABB-1", time_ms=1_782_036_000_000, import_uwh=5, export_uwh=7, power_w=-3)],
)
SUMMARY = build_frame(
    bytes(16),
    bytes(8),
    300,
    bytes(32),
    ClockStatus(synchronised=True, stepped=False, source="ntp"),
    [Reading(meter="ABB-1", time_ms=1_782_036_000_000, import_uwh=5, export_uwh=7, power_w=-3)],
    Gap(
        first_seq=7,
        head=bytes(32),
        meter_index=(0,),
        count=(293,),
        first_ms=(1_782_033_070_000,),
        last_ms=(1_782_035_990_000,),
    ),
)
ACK = Ack(
    device=bytes(16),
    chain=bytes(8),
    next_seq=1,
    verdicts=[Verdict(seq=0, index=0, reason=Reason.STALE_TIME)],
)
ACK_WITH_HEAD = msgspec.structs.replace(ACK, head=bytes(32))
HELLO = Hello(device=bytes(16), chain=bytes(8), newest_ack=seal_ack(ACK, KEY))
NOTICE = StateNotice(
    device=bytes(16),
    time_ms=1_782_036_000_000,
    state=GatewayState.HELD,
    retry_ms=60_000,
    reason="the key was copied",
)
ORDER = Order(
    v=1,
    community="sonnenweg",
    wallet=public_key_text(PUBLIC),
    id="a-1",
    issued_ms=1_782_036_000_000,
    side="sell",
    quantity_kwh="1.5",
    price_grx_per_kwh="0.25",
)
MESSAGES: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "frame": (lambda message: open_frame(message, PUBLIC), seal_frame(FRAME, KEY)),
    "summary": (lambda message: open_frame(message, PUBLIC), seal_frame(SUMMARY, KEY)),
    "ack": (lambda message: open_ack(message, PUBLIC), seal_ack(ACK, KEY)),
    "ack with a head": (
        lambda message: open_ack(message, PUBLIC),
        seal_ack(ACK_WITH_HEAD, KEY),
    ),
    "hello": (lambda message: open_hello(message, PUBLIC), seal_hello(HELLO, KEY)),
    "notice": (lambda message: open_answer(message, PUBLIC), seal_notice(NOTICE, KEY)),
    "order": (open_instruction, sign_instruction(ORDER, KEY).encode()),
}
MESSAGE = pytest.mark.parametrize(("read", "message"), MESSAGES.values(), ids=MESSAGES)
DECODER = pytest.mark.parametrize(
    "decode",
    [decode_frame, decode_ack, decode_hello, decode_notice, parse_instruction],
    ids=["frame", "ack", "hello", "notice", "order"],
)

Reader = Callable[[bytes], Any]


@MESSAGE
def test_the_untouched_message_is_read(read: Reader, message: bytes) -> None:
    assert read(message) in (FRAME, SUMMARY, ACK, ACK_WITH_HEAD, HELLO, NOTICE, ORDER)


@MESSAGE
def test_every_truncation_is_refused(read: Reader, message: bytes) -> None:
    for length in range(len(message)):
        with pytest.raises(WireError):
            read(message[:length])


@MESSAGE
def test_every_change_of_one_byte_is_refused(read: Reader, message: bytes) -> None:
    for position in range(len(message)):
        for flip in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF):
            changed = bytearray(message)
            changed[position] ^= flip
            with pytest.raises(WireError):
                read(bytes(changed))


@MESSAGE
def test_every_byte_too_many_or_missing_is_refused(read: Reader, message: bytes) -> None:
    for position in range(len(message) + 1):
        for extra in (b"\x00", b"=", b".", b" ", b"\n"):
            with pytest.raises(WireError):
                read(message[:position] + extra + message[position:])
        with pytest.raises(WireError):
            read(message[:position] + message[position + 1 :] if position < len(message) else b"")


@pytest.mark.parametrize(
    ("payload", "decode"),
    [
        pytest.param(encode_frame(FRAME), decode_frame, id="frame"),
        pytest.param(encode_frame(SUMMARY), decode_frame, id="summary"),
        pytest.param(encode_ack(ACK), decode_ack, id="ack"),
        pytest.param(encode_ack(ACK_WITH_HEAD), decode_ack, id="ack with a head"),
        pytest.param(encode_hello(HELLO), decode_hello, id="hello"),
        pytest.param(encode_notice(NOTICE), decode_notice, id="notice"),
    ],
)
def test_a_signed_payload_with_any_one_byte_changed_is_read_or_refused(
    payload: bytes, decode: Reader
) -> None:
    # A gateway that turned hostile signs what it likes.
    for position in range(len(payload)):
        for value in range(256):
            with contextlib.suppress(WireError):
                decode(payload[:position] + bytes((value,)) + payload[position + 1 :])


@DECODER
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_end_in_wire_error(decode: Reader, data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


# -- arbitrary CBOR -----------------------------------------------------------------------------


def head(major: int, value: int) -> bytes:
    """Return an initial byte with its shortest argument (RFC 8949 §3)."""
    if value < 24:
        return bytes((major << 5 | value,))
    power = max(0, (value.bit_length() - 1).bit_length() - 3)
    return bytes((major << 5 | 24 + power,)) + value.to_bytes(1 << power, "big")


# The tags that a generic decoder gives a meaning to, and those of our columns.
STANDARD_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 64, 69, 78, 79, 100, 256)
LATER_TAGS = (258, 260, 261, 1004, 43000, 55799, 2**32, 2**64 - 1)
TAGS = st.sampled_from(STANDARD_TAGS + LATER_TAGS) | st.integers(0, 2**64 - 1)

scalars = st.one_of(
    st.integers(0, 2**64 - 1).map(lambda n: head(0, n)),
    st.integers(0, 2**64 - 1).map(lambda n: head(1, n)),
    st.binary(max_size=80).map(lambda b: head(2, len(b)) + b),
    st.binary(max_size=20).map(lambda b: head(3, len(b)) + b),
    st.text(max_size=20).map(str.encode).map(lambda b: head(3, len(b)) + b),
    st.integers(0, 255).map(lambda n: bytes((0xF8, n))),
    st.sampled_from([bytes((n,)) for n in range(0xE0, 0x100)]),
    st.binary(min_size=2, max_size=2).map(lambda b: b"\xf9" + b),
    st.binary(min_size=8, max_size=8).map(lambda b: b"\xfb" + b),
    # Lengths that promise what never comes.
    st.tuples(st.integers(2, 6), st.integers(0, 2**64 - 1)).map(lambda t: head(*t)),
)


def nested(items: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(
        st.lists(items, max_size=5).map(lambda parts: head(4, len(parts)) + b"".join(parts)),
        st.lists(items, max_size=5).map(lambda parts: b"\x9f" + b"".join(parts) + b"\xff"),
        st.lists(st.tuples(items, items), max_size=4).map(
            lambda pairs: head(5, len(pairs)) + b"".join(key + value for key, value in pairs)
        ),
        st.tuples(TAGS, items).map(lambda pair: head(6, pair[0]) + pair[1]),
    )


cbor_items = st.recursive(scalars, nested, max_leaves=12)


@DECODER
@given(data=cbor_items)
def test_arbitrary_cbor_ends_in_wire_error(decode: Reader, data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


def encoded_fields(payload: bytes) -> dict[int, bytes]:
    return {key: cbor2.dumps(value) for key, value in cbor2.loads(payload).items()}


@settings(max_examples=300)
@given(st.dictionaries(st.integers(1, 14), cbor_items, min_size=1, max_size=3))
def test_a_frame_with_arbitrary_fields_is_read_or_refused(changes: dict[int, bytes]) -> None:
    with contextlib.suppress(WireError):
        decode_frame(joined(encoded_fields(encode_frame(FRAME)) | changes))


@settings(max_examples=300)
@given(st.dictionaries(st.integers(1, 6), cbor_items, min_size=1, max_size=3))
def test_an_ack_with_arbitrary_fields_is_read_or_refused(changes: dict[int, bytes]) -> None:
    with contextlib.suppress(WireError):
        decode_ack(joined(encoded_fields(encode_ack(ACK)) | changes))


@settings(max_examples=300)
@given(st.dictionaries(st.integers(1, 9), cbor_items, min_size=1, max_size=3))
def test_a_notice_with_arbitrary_fields_is_read_or_refused(changes: dict[int, bytes]) -> None:
    with contextlib.suppress(WireError):
        decode_notice(joined(encoded_fields(encode_notice(NOTICE)) | changes))


def joined(fields: dict[int, bytes]) -> bytes:
    pairs = b"".join(head(0, key) + value for key, value in sorted(fields.items()))
    return head(5, len(fields)) + pairs


BOMBS = {
    "arrays in arrays": 60_000 * b"\x81",
    "maps in maps": 30_000 * b"\xa1\x01",
    "maps as keys": 60_000 * b"\xa1",
    "tags in tags": 60_000 * b"\xc6",
    "bignum tags in bignum tags": 60_000 * b"\xc2",
    "decimal fractions in each other": 20_000 * b"\xc4\x82\x01",
    "indefinite arrays": 60_000 * b"\x9f",
    "indefinite text in pieces": b"\x7f" + 60_000 * b"\x60",
    "a map of 2^64-1 entries": bytes.fromhex("bbffffffffffffffff"),
    "an array of 2^63 entries": bytes.fromhex("9b8000000000000000"),
    "a byte string of 2^62 bytes": bytes.fromhex("5b4000000000000000"),
    "a bignum of 60 kB": b"\xc2" + head(2, 60_000) + 60_000 * b"\xff",
    "10 to the power of 2^63-1": bytes.fromhex("c4821b7fffffffffffffff01"),
    "2 to the power of 2^63-1": bytes.fromhex("c5821b7fffffffffffffff01"),
    "2 to the power of a bignum": b"\xc5\x82\xc2\x58\xff" + 255 * b"\xff" + b"\x01",
    "a bignum over a bignum": b"\xd8\x1e\x82" + 2 * (b"\xc2\x59\x75\x30" + 30_000 * b"\xff"),
    "a list that holds itself": bytes.fromhex("d81c81d81d00"),
    "a list of references to a list, and so on": b"".join(
        b"\xd8\x1c\x82" + b"\xd8\x1d" + head(0, n) for n in range(300)
    )
    + b"\x00",
    "a pattern that never ends to match": b"\xd8\x23\x78\x50" + 16 * b"(a+)+",
    "many equal keys": head(5, 30_000) + 30_000 * b"\x01\x01",
    "many equal hashes": head(5, 3_000)
    + b"".join(b"\xc2\x4a" + (k * (2**61 - 1)).to_bytes(10, "big") + b"\x00" for k in range(3_000)),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("field", [None, 1, 5, 8, 9])
def test_no_structure_takes_long(bomb: bytes, field: int | None) -> None:
    assert len(bomb) <= MAX_FRAME_BYTES
    payload = bomb
    if field is not None:
        payload = joined(encoded_fields(encode_frame(FRAME)) | {field: bomb})
    started = time.process_time()
    with pytest.raises(WireError):
        decode_frame(payload)
    assert time.process_time() - started < 1


# -- arbitrary JSON -----------------------------------------------------------------------------

FIELDS: dict[str, Any] = msgspec.to_builtins(ORDER)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda items: (
        st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=9), items, max_size=4)
    ),
    max_leaves=8,
)


def jws(header: bytes, payload: bytes, signature: bytes | None = None) -> bytes:
    """Return a compact JWS with a right signature over whatever it says, unless another
    is given.
    """
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    made = KEY.sign(signed) if signature is None else signature
    return signed + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")


HEADER = b'{"alg":"Ed25519"}'


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from([*FIELDS, "extra"]), json_values, min_size=1, max_size=3),
    st.sets(st.sampled_from(list(FIELDS)), max_size=2),
)
def test_an_order_with_arbitrary_members_is_read_or_refused(
    changes: dict[str, Any], missing: set[str]
) -> None:
    members = {key: value for key, value in (FIELDS | changes).items() if key not in missing}
    with contextlib.suppress(WireError):
        parse_instruction(jws(HEADER, msgspec.json.encode(members)))


@given(st.binary(max_size=200), st.binary(max_size=400), st.binary(max_size=70))
def test_arbitrary_parts_of_a_jws_end_in_wire_error(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    with pytest.raises(WireError):
        parse_instruction(jws(header, payload, signature))


ORDER_JSON = msgspec.json.encode(FIELDS)
JSON_BOMBS = [
    pytest.param(HEADER, 2_900 * b"[", id="arrays in arrays"),
    pytest.param(1_400 * b"[" + 1_400 * b"]", ORDER_JSON, id="arrays in the header"),
    pytest.param(400 * b'{"alg":' + b"1" + 400 * b"}", ORDER_JSON, id="objects in the header"),
    pytest.param(HEADER, ORDER_JSON[:-1] + b',"x":' + 2_000 * b"[" + b"}", id="in an unknown key"),
    pytest.param(HEADER, ORDER_JSON.replace(b"1782036000000", 2_000 * b"9"), id="a long number"),
    pytest.param(HEADER, ORDER_JSON.replace(b"1782036000000", b"1e999999999"), id="an exponent"),
    pytest.param(HEADER, ORDER_JSON.replace(b"sonnenweg", b"\xff\xfe"), id="not UTF-8"),
    pytest.param(HEADER, ORDER_JSON.replace(b"sonnenweg", b"\xed\xa0\x80"), id="a raw surrogate"),
    pytest.param(HEADER, ORDER_JSON.replace(b"sonnenweg", b"\\ud800"), id="a lone surrogate"),
    pytest.param(HEADER, ORDER_JSON.replace(b"kind", b"\xffind"), id="a key that is not UTF-8"),
    pytest.param(b'{"alg":"Ed25519","kid":"\xff"}', ORDER_JSON, id="a header that is not UTF-8"),
    pytest.param(HEADER, b"", id="an empty payload"),
    pytest.param(b"", ORDER_JSON, id="an empty header"),
    pytest.param(HEADER, ORDER_JSON + ORDER_JSON, id="two payloads"),
    pytest.param(HEADER, b"\xef\xbb\xbf" + ORDER_JSON, id="a byte ORDER_JSON mark"),
]


@pytest.mark.parametrize(("header", "payload"), JSON_BOMBS)
def test_no_json_brings_down_the_reader(header: bytes, payload: bytes) -> None:
    started = time.process_time()
    with pytest.raises(WireError):
        parse_instruction(jws(header, payload))
    assert time.process_time() - started < 1


def test_a_jws_over_4_kib_is_not_looked_at() -> None:
    with pytest.raises(WireError, match="at most 4096 bytes"):
        parse_instruction(4097 * b".")
