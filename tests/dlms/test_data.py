"""COSEM data in A-XDR: by table, there and back, and from hostile bytes."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms import data
from gridtokenx_dlms.axdr import decode
from gridtokenx_dlms.data import Data, DataType, encode
from gridtokenx_dlms.date_time import CosemDate, CosemDateTime, CosemTime
from gridtokenx_dlms.errors import MalformedError, TruncatedError

MOMENT = CosemDateTime(
    year=2026,
    month=6,
    day=21,
    weekday=7,
    hour=12,
    minute=30,
    second=15,
    hundredths=0,
    deviation_min=-120,
    status=0x80,
)

# hex, value
TABLE: list[tuple[str, Data]] = [
    ("00", data.NULL),
    ("03 01", data.boolean(True)),
    ("04 0c ab c0", Data(DataType.BIT_STRING, "101010111100")),
    ("05 ff ff ff fe", data.double_long(-2)),
    ("06 00 00 30 39", data.double_long_unsigned(12345)),
    ("09 06 01 00 01 08 00 ff", data.octet_string(bytes([1, 0, 1, 8, 0, 255]))),
    ("0a 03 4c 47 5a", data.visible_string("LGZ")),
    ("0c 02 c3 bc", Data(DataType.UTF8_STRING, "ü")),
    ("0d 12", Data(DataType.BCD, 0x12)),
    ("0f fd", data.integer(-3)),
    ("10 80 00", data.long(-32768)),
    ("11 ff", data.unsigned(255)),
    ("12 01 00", data.long_unsigned(256)),
    ("14 ff ff ff ff ff ff ff ff", Data(DataType.LONG64, -1)),
    ("15 ff ff ff ff ff ff ff ff", data.long64_unsigned(2**64 - 1)),
    ("16 1e", data.enum(30)),
    ("17 3f 80 00 00", Data(DataType.FLOAT32, 1.0)),
    ("18 3f f0 00 00 00 00 00 00", Data(DataType.FLOAT64, 1.0)),
    ("19 07 ea 06 15 07 0c 1e 0f 00 ff 88 80", Data(DataType.DATE_TIME, MOMENT)),
    ("1a 07 ea 06 15 07", Data(DataType.DATE, CosemDate(year=2026, month=6, day=21, weekday=7))),
    ("1b 0c 1e 0f 00", Data(DataType.TIME, CosemTime(hour=12, minute=30, second=15, hundredths=0))),
    ("ff", Data(DataType.DONT_CARE)),
    # a scaler and unit: 10^-3, Wh
    ("02 02 0f fd 16 1e", data.structure(data.integer(-3), data.enum(30))),
    ("01 02 11 01 11 02", data.array([data.unsigned(1), data.unsigned(2)])),
    ("01 00", data.array([])),
    # a length of two bytes
    ("09 81 80" + " 00" * 128, data.octet_string(bytes(128))),
    # two structures of an unsigned and a long, their types told once
    (
        "13 02 02 11 10 06 01 00 02 03 ff fc",
        Data(
            DataType.COMPACT_ARRAY,
            (
                data.structure(data.unsigned(1), data.long(2)),
                data.structure(data.unsigned(3), data.long(-4)),
            ),
        ),
    ),
    # two arrays of three unsigneds
    (
        "13 01 00 03 11 06 01 02 03 04 05 06",
        Data(
            DataType.COMPACT_ARRAY,
            tuple(data.array(map(data.unsigned, numbers)) for numbers in ((1, 2, 3), (4, 5, 6))),
        ),
    ),
]


@pytest.mark.parametrize(("text", "value"), TABLE)
def test_a_value_is_written_and_read_as_the_standard_has_it(text: str, value: Data) -> None:
    assert encode(value) == bytes.fromhex(text)
    assert decode(bytes.fromhex(text)) == value


@pytest.mark.parametrize(("text", "value"), TABLE)
def test_a_value_that_is_cut_off_is_known_as_such(text: str, value: Data) -> None:
    message = bytes.fromhex(text)
    for size in range(len(message)):
        with pytest.raises(TruncatedError):
            decode(message[:size])
    with pytest.raises(MalformedError, match="the end"):
        decode(message + b"\0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("08", "the tag of a data type"),
        ("1a 07 ea 0d 01 07", "expected a date"),
        ("1b 18 00 00 00", "expected a time"),
        ("19 07 ea 06 15 07 0c 1e 0f 00 03 ff 80", "a deviation"),
        ("0a 01 ff", "ascii text"),
        ("0c 01 ff", "utf-8 text"),
        ("09 80", "a length of 1 to 4"),
        ("09 85 00 00 00 00 01 00", "a length of 1 to 4"),
        ("01 01" * 17 + "00", "levels"),
        ("13 00 01 00", "take up space"),  # as many nulls as one likes
        ("13 13 11 01 00", "no compact array inside"),
        ("13 01 ff ff 01 ff ff 01 ff ff 00 01 00", "at most 200000 values"),
    ],
)
def test_hostile_bytes_are_refused_in_one_line(text: str, expected: str) -> None:
    with pytest.raises(MalformedError, match=expected):
        decode(bytes.fromhex(text))


@pytest.mark.parametrize(
    "value",
    [
        data.unsigned(256),
        data.unsigned(-1),
        data.integer(128),
        data.long64_unsigned(2**64),
        Data(DataType.COMPACT_ARRAY, ()),
        Data(DataType.COMPACT_ARRAY, (data.unsigned(1), data.long(1))),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_the_callers_mistake(value: Data) -> None:
    with pytest.raises(ValueError, match="expected"):
        encode(value)


def integers(kind: DataType, bits: int, *, signed: bool) -> st.SearchStrategy[Data]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(lambda value: Data(kind, value))


MOMENTS = st.builds(
    CosemDateTime,
    year=st.integers(1, 9999) | st.just(0xFFFF),
    month=st.integers(1, 12) | st.sampled_from([0xFD, 0xFE, 0xFF]),
    day=st.integers(1, 31) | st.sampled_from([0xFD, 0xFE, 0xFF]),
    weekday=st.integers(1, 7) | st.just(0xFF),
    hour=st.integers(0, 23) | st.just(0xFF),
    minute=st.integers(0, 59) | st.just(0xFF),
    second=st.integers(0, 59) | st.just(0xFF),
    hundredths=st.integers(0, 99) | st.just(0xFF),
    deviation_min=st.integers(-840, 840) | st.just(-0x8000),
    status=st.integers(0, 255),
)
SIMPLE = st.one_of(
    st.just(data.NULL),
    st.booleans().map(data.boolean),
    st.text("01", max_size=40).map(lambda bits: Data(DataType.BIT_STRING, bits)),
    integers(DataType.DOUBLE_LONG, 32, signed=True),
    integers(DataType.DOUBLE_LONG_UNSIGNED, 32, signed=False),
    integers(DataType.INTEGER, 8, signed=True),
    integers(DataType.LONG, 16, signed=True),
    integers(DataType.UNSIGNED, 8, signed=False),
    integers(DataType.LONG_UNSIGNED, 16, signed=False),
    integers(DataType.LONG64, 64, signed=True),
    integers(DataType.LONG64_UNSIGNED, 64, signed=False),
    integers(DataType.ENUM, 8, signed=False),
    integers(DataType.DELTA_LONG_UNSIGNED, 16, signed=False),
    st.binary(max_size=300).map(data.octet_string),
    st.text(st.characters(max_codepoint=127), max_size=20).map(data.visible_string),
    st.text(max_size=20).map(lambda text: Data(DataType.UTF8_STRING, text)),
    st.floats(width=32, allow_nan=False).map(lambda value: Data(DataType.FLOAT32, value)),
    st.floats(allow_nan=False).map(lambda value: Data(DataType.FLOAT64, value)),
    MOMENTS.map(lambda moment: Data(DataType.DATE_TIME, moment)),
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=5).flatmap(
        lambda items: st.sampled_from([data.array(items), data.structure(*items)])
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Data) -> None:
    assert decode(encode(value)) == value


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=9)), min_size=1, max_size=20))
def test_a_compact_array_is_read_as_the_array_that_it_stands_for(rows: Any) -> None:
    items = tuple(data.structure(data.unsigned(n), data.octet_string(text)) for n, text in rows)
    assert decode(encode(Data(DataType.COMPACT_ARRAY, items))).items() == items


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(message: bytes) -> None:
    with suppress(MalformedError):
        assert isinstance(decode(message), Data)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(decode(bytes.fromhex("17 7f c0 00 01")).value)


@pytest.mark.parametrize(
    ("read", "value"),
    [("items", data.unsigned(1)), ("integer", data.NULL), ("octets", data.visible_string(""))],
)
def test_a_value_of_another_type_than_expected_is_malformed(read: str, value: Data) -> None:
    with pytest.raises(MalformedError, match="expected an"):
        getattr(value, read)()
