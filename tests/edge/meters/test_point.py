"""Raw registers to integer quantities."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridtokenx_edge.meters.point import Point, join_words, nearest_multiple

KWH = 10**9


def point(**more: Any) -> Point:
    fields = {"fc": 4, "address": 0, "type": "int32", "unit": "kWh"}
    return msgspec.convert(fields | more, Point)


def kwh_float(**more: Any) -> Point:
    return point(type="float32", resolution="0.001", **more)


@pytest.mark.parametrize(
    ("meaning", "words", "value"),
    [
        ({"type": "int16", "unit": "W"}, [0x8000], -32768),
        ({"type": "uint16", "unit": "W"}, [0x8000], 32768),
        ({"type": "int32", "unit": "W"}, [0xFFFF, 0xFFFE], -2),
        ({"type": "uint32", "unit": "Wh"}, [0x0001, 0x0000], 65536 * 10**6),
        ({"type": "int32", "scale": "0.1"}, [0x0001, 0xE240], 123456 * 10**8),
        ({"type": "int32", "scale": "0.1", "word_order": "lsw_first"}, [0xE240, 1], 123456 * 10**8),
        ({"type": "uint64", "scale": "0.01"}, [0, 0, 0x12, 0xD687], 1234567 * 10**7),
        ({"type": "int64", "unit": "Wh"}, [0, 0, 0xBC, 0x614E], 12345678 * 10**6),
        ({"type": "int32", "unit": "W", "scale": "0.01"}, [0, 50], 1),
        ({"type": "int32", "unit": "W", "scale": "0.01"}, [0xFFFF, 0xFFCE], -1),
        ({"type": "int32", "unit": "W", "scale": "0.01"}, [0, 49], 0),
        ({"type": "int32", "unit": "kW", "scale": "0.1"}, [0, 7], 700),
        ({"type": "int32", "unit": "W", "scale": "-0.1"}, [0, 15], -2),  # half, away from zero
        ({"type": "uint48", "unit": "Wh"}, [1, 0, 0], 2**32 * 10**6),
        ({"type": "uint16", "unit": "V", "scale": "0.1"}, [2301], 230_100),
        ({"type": "int16", "unit": "A", "scale": "0.01"}, [0xFFFF], -10),
        ({"type": "uint16", "unit": "Hz", "scale": "0.01"}, [5002], 50_020),
        ({"type": "int16", "unit": "1", "scale": "0.001"}, [0xFC18], -1000),
        ({"type": "int32", "unit": "kvar", "scale": "0.1"}, [0, 7], 700),
    ],
)
def test_an_integer_register_is_scaled_exactly(
    meaning: dict[str, Any], words: list[int], value: int
) -> None:
    assert point(**meaning).decode(words) == value


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([0x449A, 0x5225], 1_234_567 * 10**6),  # 1234.5670166 as stored
        ([0x42B2, 0x3333], 89_100 * 10**6),  # 89.0999985
        ([0x3A83, 0x126F], 1 * 10**6),  # 0.001, a hair above
        ([0x0000, 0x0001], 0),  # the smallest float there is
        ([0x0000, 0x0000], 0),
        ([0x8000, 0x0000], 0),  # minus zero
        ([0x4B18, 0x967F], 9_999_999_000 * 10**6),  # a seven-digit counter, whole kWh
    ],
)
def test_a_float_register_is_rounded_once_to_its_resolution(words: list[int], value: int) -> None:
    assert kwh_float().decode(words) == value


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([0x4132, 0xD687, 0x0000, 0x0000], 1_234_567 * 10**6),  # 0x12D687 = 1234567, 2^20 ahead
        ([0x4132, 0xD687, 0x8000, 0x0000], 1_234_568 * 10**6),  # and a half
        ([0x42A2, 0x309C, 0xE540, 0x0000], None),  # 10^13 Wh are beyond 2^63-1 µWh
        ([0x8000, 0x0000, 0x0000, 0x0000], 0),
        ([0x7FF8, 0x0000, 0x0000, 0x0000], None),
        ([0xC132, 0xD687, 0x0000, 0x0000], None),  # a counter below zero
    ],
)
def test_a_double_holds_every_wh(words: list[int], value: int | None) -> None:
    double = point(type="float64", unit="Wh", resolution="1")
    assert double.decode(words) == value
    assert replace(double, word_order="lsw_first").decode(words[::-1]) == double.decode(words)


@pytest.mark.parametrize(
    ("meaning", "words"),
    [
        ({"type": "float32", "resolution": "0.001"}, [0x7FC0, 0x0000]),  # NaN
        ({"type": "float32", "resolution": "0.001"}, [0x7F80, 0x0000]),  # infinity
        ({"type": "float32", "resolution": "0.001"}, [0xFF80, 0x0000]),
        ({"type": "float32", "resolution": "0.001"}, [0xBF80, 0x0000]),  # -1 kWh
        ({"type": "float32", "resolution": "0.001"}, [0x7F7F, 0xFFFF]),  # 3e38 kWh
        ({"type": "int32"}, [0xFFFF, 0xFFFF]),  # a counter below zero
        ({"type": "uint64", "invalid_raw": ["0xFFFFFFFFFFFFFFFF"]}, [0xFFFF] * 4),
        ({"type": "uint64"}, [0xFFFF] * 4),  # beyond 2^63-1 µWh
        ({"type": "int32", "unit": "W", "invalid_raw": ["0x7FFFFFFF"]}, [0x7FFF, 0xFFFF]),
        ({"type": "uint32", "unit": "W"}, [0x8000, 0x0000]),  # 2.1 GW does not fit the wire
    ],
)
def test_what_is_no_value_is_missing_and_never_a_number(
    meaning: dict[str, Any], words: list[int]
) -> None:
    assert point(**meaning).decode(words) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"address": 0xFFFF}, "expected registers"),
        ({"address": -1}, "expected registers"),
        ({"type": "float32"}, "expected a resolution"),
        ({"type": "float64"}, "expected a resolution"),
        ({"resolution": "0.1"}, "expected a resolution"),
        ({"type": "float32", "resolution": "0.0000000001"}, "whole µWh"),
        ({"scale": "0.0000000001"}, "whole µWh"),
        ({"scale": "0"}, "other than zero"),
        ({"scale": "-1"}, "above zero for an energy"),
        ({"scale": "nan"}, "other than zero"),
        ({"scale": "1/3"}, "other than zero"),
        ({"invalid_raw": ["0x1FFFFFFFF"]}, "invalid_raw"),
        ({"type": "int24"}, "Invalid enum"),
        ({"fc": 6}, "Invalid enum"),
        ({"unit": "MWh"}, "Invalid enum"),
        ({"colour": "red"}, "unknown field"),
    ],
)
def test_a_point_that_makes_no_sense_is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=expected):
        point(**fields)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4))
def test_swapped_words_are_the_same_number_read_from_the_other_end(words: list[int]) -> None:
    assert join_words(words, "msw_first") == join_words(words[::-1], "lsw_first")


@given(st.fractions(), st.integers(1, 10**7))
def test_rounding_never_moves_further_than_half_a_step(value: Fraction, step: int) -> None:
    rounded = nearest_multiple(value, Fraction(step))
    assert rounded % step == 0
    assert abs(rounded - value) <= Fraction(step, 2)


@given(st.floats(0, 10**6, width=32), st.floats(0, 10**6, width=32))
def test_a_counter_that_grows_never_decodes_to_less(one: float, other: float) -> None:
    low, high = (list(struct.unpack(">HH", struct.pack(">f", kwh))) for kwh in sorted((one, other)))
    before, after = kwh_float().decode(low), kwh_float().decode(high)
    assert before is not None
    assert after is not None
    assert before <= after
