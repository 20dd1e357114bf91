"""A hello: what a gateway says when it has connected."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, build_frame, decode_frame, seal_frame
from gridtokenx_wire.hello import (
    MAX_NEWEST_ACK,
    Hello,
    decode_hello,
    encode_hello,
    is_hello,
    open_hello,
    seal_hello,
)
from gridtokenx_wire.reading import Reading

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HELLO = Hello(device=bytes(16), chain=bytes(8), newest_ack=b"an ack")
FIELDS: dict[int, Any] = cbor2.loads(encode_hello(HELLO))


@given(
    st.builds(
        Hello,
        device=st.binary(min_size=16, max_size=16),
        chain=st.binary(min_size=8, max_size=8),
        newest_ack=st.binary(max_size=MAX_NEWEST_ACK),
    )
)
def test_a_hello_comes_back_as_it_was(hello: Hello) -> None:
    assert open_hello(seal_hello(hello, KEY), KEY.public_key()) == hello


def test_a_hello_by_another_key_is_refused() -> None:
    with pytest.raises(WireError, match="signature by the known key"):
        open_hello(seal_hello(HELLO, Ed25519PrivateKey.generate()), KEY.public_key())


def test_a_hello_is_no_frame_and_a_frame_is_no_hello() -> None:
    """A backend of version 0.2 and before counts a hello as a frame that is malformed."""
    with pytest.raises(WireError):
        decode_frame(encode_hello(HELLO))
    clock = ClockStatus(synchronised=True, stepped=False, source="ntp")
    reading = Reading(meter="A-1", time_ms=0, import_uwh=0, export_uwh=0)
    frame = build_frame(bytes(16), bytes(8), 0, GENESIS_PREV, clock, [reading])
    payload = cose.split(seal_frame(frame, KEY))[2]
    assert not is_hello(payload)
    with pytest.raises(WireError):
        decode_hello(payload)


def test_a_later_hello_may_say_more() -> None:
    assert decode_hello(cbor2.dumps(FIELDS | {6: "more"})) == HELLO


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(1, 6, id="a notice's type"),
        pytest.param(2, 2, id="another version"),
        pytest.param(3, bytes(15), id="a short device id"),
        pytest.param(4, "12345678", id="chain id as text"),
        pytest.param(5, None, id="no ack"),
        pytest.param(5, bytes(MAX_NEWEST_ACK + 1), id="an ack that is too long"),
        pytest.param(6, bytes(2 * MAX_NEWEST_ACK), id="more than a hello may have"),
    ],
)
def test_a_well_formed_map_that_is_no_hello_is_refused(key: int, value: object) -> None:
    with pytest.raises(WireError):
        decode_hello(cbor2.dumps(FIELDS | {key: value}))


def test_a_hello_that_a_backend_would_refuse_is_not_sealed() -> None:
    with pytest.raises(WireError):
        seal_hello(
            Hello(device=bytes(16), chain=bytes(8), newest_ack=bytes(MAX_NEWEST_ACK + 1)), KEY
        )
