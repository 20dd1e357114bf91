"""State notices: what the backend says of a gateway itself."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.ack import Ack, decode_ack, encode_ack, open_ack, seal_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.state_notice import (
    MAX_REASON,
    MAX_RETRY_MS,
    GatewayState,
    StateNotice,
    decode_notice,
    encode_notice,
    open_answer,
    open_notice,
    seal_notice,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOTICE = StateNotice(
    device=bytes(16),
    time_ms=1_782_036_000_000,
    state=GatewayState.SLOW_DOWN,
    retry_ms=30_000,
    reason="more than 64 MiB in a day",
)
FIELDS: dict[int, Any] = cbor2.loads(encode_notice(NOTICE))
SENT = [state for state in GatewayState if state is not GatewayState.UNKNOWN]


@given(
    st.builds(
        StateNotice,
        device=st.binary(min_size=16, max_size=16),
        time_ms=st.integers(0, 2**63 - 1),
        state=st.sampled_from(SENT),
        retry_ms=st.integers(0, MAX_RETRY_MS),
        reason=st.text(max_size=MAX_REASON).filter(str.isprintable),
    )
)
def test_a_notice_comes_back_as_it_was(notice: StateNotice) -> None:
    assert open_notice(seal_notice(notice, KEY), KEY.public_key()) == notice
    assert open_answer(seal_notice(notice, KEY), KEY.public_key()) == notice


def test_acks_and_notices_of_one_topic_are_told_apart() -> None:
    ack = Ack(device=bytes(16), chain=bytes(8), next_seq=3, verdicts=[])
    assert open_answer(seal_ack(ack, KEY), KEY.public_key()) == ack
    with pytest.raises(WireError):
        open_notice(seal_ack(ack, KEY), KEY.public_key())


def test_a_gateway_that_knows_only_acks_refuses_a_notice_and_deletes_nothing() -> None:
    with pytest.raises(WireError, match="expected an ack of version 1"):
        open_ack(seal_notice(NOTICE, KEY), KEY.public_key())


def test_a_notice_by_another_key_is_refused() -> None:
    sealed = seal_notice(NOTICE, Ed25519PrivateKey.generate())
    for read in (open_notice, open_answer):
        with pytest.raises(WireError, match="signature by the known key"):
            read(sealed, KEY.public_key())


def test_what_later_versions_add_is_passed_over() -> None:
    later = cbor2.dumps(FIELDS | {5: 99, 8: ["more"], 9: b"and more"})
    notice = decode_notice(later)
    assert notice.state is GatewayState.UNKNOWN
    assert notice.reason == NOTICE.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(1, 2, id="an ack's type"),
        pytest.param(2, 2, id="another version"),
        pytest.param(2, True, id="the version as a truth value"),
        pytest.param(3, bytes(15), id="short device id"),
        pytest.param(4, -1, id="negative time"),
        pytest.param(4, 2**63, id="time beyond 63 bits"),
        pytest.param(5, 255, id="a state that is never sent"),
        pytest.param(5, "held", id="state as text"),
        pytest.param(6, MAX_RETRY_MS + 1, id="a wait of more than a day"),
        pytest.param(6, 1.5, id="wait as a float"),
        pytest.param(7, "x" * (MAX_REASON + 1), id="long reason"),
        pytest.param(7, "held\x1b[2J", id="control characters in the reason"),
        pytest.param(7, b"held", id="reason as bytes"),
    ],
)
def test_a_well_formed_map_that_is_no_notice_is_refused(key: int, value: object) -> None:
    assert decode_notice(cbor2.dumps(FIELDS)) == NOTICE
    with pytest.raises(WireError):
        decode_notice(cbor2.dumps(FIELDS | {key: value}))


@pytest.mark.parametrize("key", range(1, 8))
def test_a_map_that_lacks_a_key_is_refused(key: int) -> None:
    with pytest.raises(WireError):
        decode_notice(cbor2.dumps({name: FIELDS[name] for name in FIELDS if name != key}))


@pytest.mark.parametrize(
    "notice",
    [
        StateNotice(device=bytes(16), time_ms=0, state=GatewayState.UNKNOWN),
        StateNotice(device=bytes(16), time_ms=0, state=GatewayState.HELD, reason="a\nb"),
        StateNotice(device=bytes(15), time_ms=0, state=GatewayState.HELD),
    ],
    ids=["an unknown state", "a reason of two lines", "no device id"],
)
def test_a_notice_that_a_gateway_would_refuse_is_not_sealed(notice: StateNotice) -> None:
    with pytest.raises(WireError):
        seal_notice(notice, KEY)


def test_the_numbers_of_the_states_never_change() -> None:
    assert {state.label: int(state) for state in GatewayState} == {
        "active": 0,
        "pending": 1,
        "revoked": 2,
        "held": 3,
        "slow_down": 4,
        "paused": 5,
        "out_of_chain": 6,
        "unknown": 255,
    }


def test_an_acks_payload_is_no_notice_and_a_notices_no_ack() -> None:
    ack = Ack(device=bytes(16), chain=bytes(8), next_seq=3, verdicts=[])
    with pytest.raises(WireError):
        decode_notice(encode_ack(ack))
    with pytest.raises(WireError):
        decode_ack(encode_notice(NOTICE))
