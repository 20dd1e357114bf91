"""Frames: what is sealed is what is opened, and what a reader would refuse is never sealed."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire import cbor
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    MAX_FRAME_BYTES,
    MAX_READINGS_PER_FRAME,
    ClockStatus,
    Frame,
    Gap,
    build_frame,
    decode_frame,
    encode_frame,
    frame_hash,
    head_after,
    open_frame,
    seal_frame,
)
from gridtokenx_wire.reading import Reading

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NTP = ClockStatus(synchronised=True, stepped=False, source="ntp")
GOOD = Reading(
    meter="ABB-1", time_ms=1_782_036_000_000, import_uwh=5, export_uwh=7, power_w=-3, flags=0
)

meters = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
registers = st.integers(0, 2**63 - 1)
readings = st.builds(
    Reading,
    meter=meters,
    time_ms=registers,
    import_uwh=registers,
    export_uwh=registers,
    power_w=st.integers(-(2**31), 2**31 - 1),
    flags=st.integers(0, 255),
)
clocks = st.builds(
    ClockStatus, synchronised=st.booleans(), stepped=st.booleans(), source=st.text(max_size=32)
)


def frame_of(*entries: Reading, **changes: Any) -> Frame:
    frame = build_frame(bytes(16), bytes(8), 0, GENESIS_PREV, NTP, entries or [GOOD])
    return msgspec.structs.replace(frame, **changes)


@given(
    device=st.binary(min_size=16, max_size=16),
    chain=st.binary(min_size=8, max_size=8),
    seq=registers,
    prev=st.binary(min_size=32, max_size=32),
    clock=clocks,
    entries=st.lists(readings, min_size=1, max_size=40),
)
def test_a_frame_comes_back_as_it_was(
    device: bytes, chain: bytes, seq: int, prev: bytes, clock: ClockStatus, entries: list[Reading]
) -> None:
    frame = build_frame(device, chain, seq, prev, clock, entries)
    message = seal_frame(frame, KEY)
    opened = open_frame(message, KEY.public_key())
    assert opened == frame
    assert opened.readings() == entries
    assert seal_frame(opened, KEY) == message


@given(
    st.lists(
        st.builds(
            Reading,
            meter=st.text(max_size=70),
            time_ms=st.integers(),
            import_uwh=st.integers(),
            export_uwh=st.integers(),
            power_w=st.integers(),
            flags=st.integers(-1, 300),
        ),
        max_size=3,
    ),
    st.builds(
        ClockStatus, synchronised=st.booleans(), stepped=st.booleans(), source=st.text(max_size=40)
    ),
    st.integers(),
)
def test_whatever_can_be_sealed_can_be_opened(
    entries: list[Reading], clock: ClockStatus, seq: int
) -> None:
    # A sealed frame that its reader refuses would hold up the chain behind it for ever.
    try:
        frame = build_frame(bytes(16), bytes(8), seq, GENESIS_PREV, clock, entries)
        message = seal_frame(frame, KEY)
    except WireError:
        return
    assert open_frame(message, KEY.public_key()).readings() == entries


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(frame_of(device=bytes(15)), id="short device id"),
        pytest.param(frame_of(chain=bytes(9)), id="long chain id"),
        pytest.param(frame_of(prev=b""), id="no hash"),
        pytest.param(frame_of(seq=-1), id="negative seq"),
        pytest.param(frame_of(seq=2**63), id="seq beyond 63 bits"),
        pytest.param(
            frame_of(clock=ClockStatus(synchronised=True, stepped=False, source=33 * "x")),
            id="long clock source",
        ),
        pytest.param(frame_of(meters=[]), id="no meters"),
        pytest.param(frame_of(meters=[""]), id="empty meter id"),
        pytest.param(frame_of(meters=[65 * "x"]), id="long meter id"),
        pytest.param(frame_of(meters=["ZÄHLER-1"]), id="meter id beyond ASCII"),
        pytest.param(frame_of(meters=["ABB-1\n"]), id="line feed in a meter id"),
        pytest.param(frame_of(meter_index=(1,)), id="index of no meter"),
        pytest.param(frame_of(time_ms=(-1,)), id="time before 1970"),
        pytest.param(frame_of(import_uwh=(-1,)), id="negative import register"),
        pytest.param(frame_of(export_uwh=(-1,)), id="negative export register"),
        pytest.param(frame_of(import_uwh=(2**63,)), id="register beyond 63 bits"),
        pytest.param(frame_of(power_w=(2**31,)), id="power beyond 32 bits"),
        pytest.param(frame_of(flags=(256,)), id="flags beyond a byte"),
        pytest.param(frame_of(export_uwh=(7, 7)), id="columns of two lengths"),
    ],
)
def test_what_a_reader_would_refuse_is_not_sealed(frame: Frame) -> None:
    with pytest.raises(WireError, match="expected"):
        seal_frame(frame, KEY)


def summary_of(**changes: Any) -> Frame:
    gap = Gap(
        first_seq=3,
        head=bytes(32),
        meter_index=(0, 1),
        count=(5, 6),
        first_ms=(1, 2),
        last_ms=(10, 20),
    )
    two = [GOOD, msgspec.structs.replace(GOOD, meter="ABB-2")]
    return frame_of(*two, seq=9, gap=msgspec.structs.replace(gap, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"first_seq": 9},
        {"first_seq": 0, "count": (2**32 - 1, 1)},
        {"meter_index": (1,), "count": (1,), "first_ms": (5,), "last_ms": (5,)},
        {"meter_index": (), "count": (), "first_ms": (), "last_ms": ()},
    ],
)
def test_a_summary_comes_back_as_it_was(changes: dict[str, Any]) -> None:
    summary = summary_of(**changes)
    message = seal_frame(summary, KEY)
    assert open_frame(message, KEY.public_key()) == summary
    assert summary.left_out == sum(changes.get("count", (5, 6)))
    assert head_after(summary, message) == bytes(32)
    assert head_after(frame_of(), message) == frame_hash(message)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"first_seq": 10}, id="first seq behind its own"),
        pytest.param({"first_seq": -1}, id="negative first seq"),
        pytest.param({"head": bytes(31)}, id="no hash"),
        pytest.param({"meter_index": (1, 0)}, id="meters out of order"),
        pytest.param({"meter_index": (0, 0)}, id="a meter twice"),
        pytest.param({"meter_index": (0, 2)}, id="index of no meter"),
        pytest.param({"count": (0, 1)}, id="a gap of nothing"),
        pytest.param({"count": (2**32, 1)}, id="count beyond 32 bits"),
        pytest.param({"count": (1,)}, id="columns of two lengths"),
        pytest.param({"first_ms": (11, 2)}, id="end before the beginning"),
        pytest.param({"first_ms": (-1, 2)}, id="time before 1970"),
    ],
)
def test_a_summary_that_a_reader_would_refuse_is_not_sealed(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="expected"):
        seal_frame(summary_of(**changes), KEY)


@pytest.mark.parametrize("count", [0, MAX_READINGS_PER_FRAME + 1])
def test_a_frame_holds_1_to_1000_readings(count: int) -> None:
    with pytest.raises(WireError, match="1 to 1000 readings"):
        build_frame(bytes(16), bytes(8), 0, GENESIS_PREV, NTP, [GOOD] * count)


def test_a_full_frame_of_one_meter_fits_the_size_limit() -> None:
    message = seal_frame(frame_of(*[GOOD] * MAX_READINGS_PER_FRAME), KEY)
    assert len(message) < MAX_FRAME_BYTES / 2
    assert len(open_frame(message, KEY.public_key()).readings()) == MAX_READINGS_PER_FRAME


def test_a_frame_over_64_kib_is_neither_sealed_nor_opened() -> None:
    entries = [
        msgspec.structs.replace(GOOD, meter=f"METER-{n:058d}")
        for n in range(MAX_READINGS_PER_FRAME)
    ]
    with pytest.raises(WireError, match="at most 65536 bytes"):
        seal_frame(frame_of(*entries), KEY)
    with pytest.raises(WireError, match="at most 65536 bytes"):
        open_frame(bytes(MAX_FRAME_BYTES + 1), KEY.public_key())


def test_the_next_frame_names_the_sha_256_of_the_whole_message() -> None:
    message = seal_frame(frame_of(), KEY)
    assert frame_hash(message) == hashlib.sha256(message).digest()


def test_readings_keep_their_order_and_share_their_meters_names() -> None:
    entries = [msgspec.structs.replace(GOOD, meter=name) for name in ("B-2", "A-1", "B-2")]
    frame = frame_of(*entries)
    assert frame.meters == ["B-2", "A-1"]
    assert frame.meter_index == (0, 1, 0)
    assert frame.readings() == entries


FIELDS: dict[int, Any] = cbor2.loads(encode_frame(frame_of(GOOD, GOOD)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(1, 2, id="an ack's type"),
        pytest.param(2, 2, id="a version to come"),
        pytest.param(3, "0123456789abcdef", id="device id as text"),
        pytest.param(5, 1.0, id="seq as a float"),
        pytest.param(5, True, id="seq as a truth value"),
        pytest.param(5, -1, id="negative seq"),
        pytest.param(7, [1, 0, "ntp"], id="clock status as numbers"),
        pytest.param(7, [True, False], id="clock status cut short"),
        pytest.param(7, {True: False}, id="clock status as a map"),
        pytest.param(8, "ABB-1", id="meters as text"),
        pytest.param(8, {}, id="meters as a map"),
        pytest.param(8, [b"ABB-1"], id="meter id as bytes"),
        pytest.param(8, ["ABB 1\x7f"], id="control character in a meter id"),
        pytest.param(9, [0, 0], id="a column as a list"),
        pytest.param(9, cbor2.CBORTag(65, bytes(4)), id="a column in big-endian"),
        pytest.param(9, cbor2.CBORTag(69, bytes(3)), id="half a value"),
        pytest.param(10, cbor2.CBORTag(71, bytes(16)), id="times as unsigned"),
        pytest.param(11, cbor2.CBORTag(79, bytes(8)), id="a short column"),
        pytest.param(11, cbor2.CBORTag(79, [0, 0]), id="a tag around a list"),
        pytest.param(12, bytes(16), id="a column without its tag"),
        pytest.param(14, cbor2.CBORTag(64, b""), id="no readings"),
        pytest.param(14, cbor2.CBORTag(64, bytes(1001)), id="too many readings"),
        pytest.param(14, cbor2.CBORSimpleValue(99), id="a simple value"),
        pytest.param(15, 0, id="an unknown field"),
        pytest.param("1", 0, id="a field named by text"),
    ],
)
def test_a_well_formed_map_that_is_no_frame_is_refused(key: int, value: object) -> None:
    assert decode_frame(cbor2.dumps(FIELDS)).seq == 0
    with pytest.raises(WireError):
        decode_frame(cbor2.dumps(FIELDS | {key: value}))


@pytest.mark.parametrize("missing", sorted(FIELDS))
def test_every_field_is_required(missing: int) -> None:
    with pytest.raises(WireError, match=r"order|version 1|whole frame|another type"):
        decode_frame(cbor2.dumps({key: FIELDS[key] for key in FIELDS if key != missing}))


def test_a_payload_is_one_item_with_nothing_behind_it() -> None:
    with pytest.raises(WireError, match="nothing more"):
        decode_frame(encode_frame(frame_of()) + b"\x00")


def test_a_field_given_twice_is_refused() -> None:
    payload = encode_frame(frame_of())
    chain_as_device = payload.replace(bytes.fromhex("04 48"), bytes.fromhex("03 48"))
    with pytest.raises(WireError, match="in their order"):
        decode_frame(chain_as_device)


def test_an_indefinite_length_is_refused() -> None:
    payload = encode_frame(frame_of())
    one_meter = bytes.fromhex("08 81 65") + b"ABB-1"
    assert one_meter in payload
    with pytest.raises(WireError, match="another type"):
        decode_frame(payload.replace(one_meter, bytes.fromhex("08 9f 65") + b"ABB-1\xff"))


@pytest.mark.parametrize("tag", [cbor.UINT8, cbor.UINT16, cbor.SINT32, cbor.SINT64])
def test_the_typed_arrays_are_little_endian_as_their_tags_say(tag: int) -> None:
    # RFC 8746 §2.1: 0b010_f_s_e_ll with f = 0; e = 1 is little endian (uint8 has none).
    width = 1 << (tag & 3)
    signed = bool(tag & 8)
    assert tag == cbor.UINT8 or tag & 4
    array = cbor.typed_array(tag, [1, 100])
    assert array.value == b"".join(n.to_bytes(width, "little", signed=signed) for n in (1, 100))


@pytest.mark.parametrize(
    ("shortest", "longer"),
    [
        pytest.param("05 05", "05 18 05", id="seq in two bytes"),
        pytest.param("05 05", "05 1b 00 00 00 00 00 00 00 05", id="seq in nine bytes"),
        pytest.param("05 05", "05 c2 41 05", id="seq as a bignum"),
        pytest.param("08 81 65", "08 98 01 65", id="count of meters in two bytes"),
        pytest.param("08 81 65", "08 81 78 05", id="length of a meter id in two bytes"),
        pytest.param("0e d8 40 41", "0e d8 40 58 01", id="length of a column in two bytes"),
        pytest.param("ae 01 01", "b8 0e 01 01", id="count of fields in two bytes"),
    ],
)
def test_only_the_shortest_spelling_of_a_number_is_accepted(shortest: str, longer: str) -> None:
    payload = encode_frame(frame_of(seq=5))
    assert payload.count(bytes.fromhex(shortest)) == 1
    with pytest.raises(WireError):
        decode_frame(payload.replace(bytes.fromhex(shortest), bytes.fromhex(longer)))
