"""Acks: the backend's signed receipt."""

from __future__ import annotations

from typing import Any

import cbor2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.ack import MAX_VERDICTS, Ack, decode_ack, encode_ack, open_ack, seal_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, build_frame, seal_frame
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason, Verdict

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ACK = Ack(
    device=bytes(16),
    chain=bytes(8),
    next_seq=3,
    verdicts=[Verdict(seq=1, index=0, reason=Reason.STALE_TIME)],
)
FIELDS: dict[int, Any] = cbor2.loads(encode_ack(ACK))

verdicts = st.builds(
    Verdict,
    seq=st.integers(0, 2**63 - 1),
    index=st.integers(0, 999),
    reason=st.sampled_from(Reason),
)


@given(
    st.builds(
        Ack,
        device=st.binary(min_size=16, max_size=16),
        chain=st.binary(min_size=8, max_size=8),
        next_seq=st.integers(0, 2**63 - 1),
        verdicts=st.lists(verdicts, max_size=20),
        head=st.sampled_from([b"", bytes(32), bytes(range(32))]),
    )
)
def test_an_ack_comes_back_as_it_was(ack: Ack) -> None:
    assert open_ack(seal_ack(ack, KEY), KEY.public_key()) == ack


@pytest.mark.parametrize("head", [b"", bytes(range(32))])
@given(st.integers(0, 2**63 - 1), st.lists(verdicts, max_size=300))
def test_an_ack_is_encoded_as_any_cbor_encoder_would(
    head: bytes, next_seq: int, told: list[Verdict]
) -> None:
    ack = Ack(device=bytes(16), chain=bytes(8), next_seq=next_seq, verdicts=told, head=head)
    plain = [[each.seq, each.index, int(each.reason)] for each in told]
    version, more = (2, {7: head}) if head else (1, {})
    fields = {1: 2, 2: version, 3: ack.device, 4: ack.chain, 5: next_seq, 6: plain, **more}
    assert encode_ack(ack) == cbor2.dumps(fields, canonical=True)


def test_an_ack_by_another_key_is_refused() -> None:
    with pytest.raises(WireError, match="signature by the known key"):
        open_ack(seal_ack(ACK, Ed25519PrivateKey.generate()), KEY.public_key())


def test_a_frame_is_not_an_ack_though_the_same_key_signed_it() -> None:
    clock = ClockStatus(synchronised=True, stepped=False, source="ntp")
    frame = build_frame(
        bytes(16),
        bytes(8),
        0,
        GENESIS_PREV,
        clock,
        [Reading(meter="A-1", time_ms=0, import_uwh=0, export_uwh=0)],
    )
    with pytest.raises(WireError):
        open_ack(seal_frame(frame, KEY), KEY.public_key())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(1, 1, id="a frame's type"),
        pytest.param(2, 0, id="another version"),
        pytest.param(3, bytes(17), id="long device id"),
        pytest.param(4, "12345678", id="chain id as text"),
        pytest.param(5, -1, id="negative next_seq"),
        pytest.param(5, 2**63, id="next_seq beyond 63 bits"),
        pytest.param(5, True, id="next_seq as a truth value"),
        pytest.param(6, None, id="no verdicts"),
        pytest.param(6, [[1, 0]], id="verdict without a reason"),
        pytest.param(6, [[1, 0, 63]], id="unknown reason"),
        pytest.param(6, [[1, 0, 5.0]], id="reason as a float"),
        pytest.param(6, [[True, 0, 5]], id="seq of a verdict as a truth value"),
        pytest.param(6, [[-1, 0, 5]], id="negative seq of a verdict"),
        pytest.param(6, [[2**63, 0, 5]], id="seq of a verdict beyond 63 bits"),
        pytest.param(6, [[1, -1, 5]], id="negative index"),
        pytest.param(6, [[1, 1000, 5]], id="index beyond a frame"),
        pytest.param(6, [[1, 0, 5]] * (MAX_VERDICTS + 1), id="too many verdicts"),
    ],
)
def test_a_well_formed_map_that_is_no_ack_is_refused(key: int, value: object) -> None:
    assert decode_ack(cbor2.dumps(FIELDS)) == ACK
    with pytest.raises(WireError):
        decode_ack(cbor2.dumps(FIELDS | {key: value}))


def test_an_ack_without_a_head_is_written_as_ever_and_one_with_it_is_of_version_2() -> None:
    """Gateways of version 0.2 and before take exactly the keys 1 to 6, and version 1."""
    assert (FIELDS[2], list(FIELDS)) == (1, list(range(1, 7)))
    fields = cbor2.loads(encode_ack(msgspec.structs.replace(ACK, head=bytes(32))))
    assert fields == FIELDS | {2: 2, 7: bytes(32)}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(FIELDS | {7: bytes(32)}, id="a head in version 1"),
        pytest.param(FIELDS | {2: 2}, id="no head in version 2"),
        pytest.param(FIELDS | {2: 2, 7: bytes(31)}, id="a short head"),
        pytest.param(FIELDS | {2: 2, 7: b""}, id="an empty head"),
        pytest.param(FIELDS | {2: 2, 7: "0" * 32}, id="a head as text"),
        pytest.param(FIELDS | {2: 3, 7: bytes(32)}, id="a later version"),
    ],
)
def test_an_ack_has_a_head_in_version_2_alone(fields: dict[int, Any]) -> None:
    with pytest.raises(WireError):
        decode_ack(cbor2.dumps(fields))


def test_an_ack_that_a_gateway_would_refuse_is_not_sealed() -> None:
    too_many = Ack(
        device=bytes(16), chain=bytes(8), next_seq=99, verdicts=ACK.verdicts * (MAX_VERDICTS + 1)
    )
    with pytest.raises(WireError, match="at most 10000 verdicts"):
        seal_ack(too_many, KEY)


def test_the_numbers_of_the_reasons_never_change() -> None:
    # They stand in signed messages and journals.
    assert {reason.label: int(reason) for reason in Reason} == {
        "accepted": 0,
        "unbound_meter": 1,
        "inactive_meter": 2,
        "future_time": 3,
        "stale_time": 4,
        "not_after_last": 5,
        "too_frequent": 6,
        "register_rollback": 7,
        "implausible_jump": 8,
        "implausible_power": 9,
        "clock_unsynchronised": 64,
        "production_ratio": 65,
    }


def test_a_reason_is_one_of_accepted_rejected_and_quarantined() -> None:
    for reason in Reason:
        assert [reason == Reason.ACCEPTED, reason.rejected, reason.quarantined].count(True) == 1
