"""Integer units: exact both ways, and nothing is rounded or wrapped."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.units import (
    MAX_AMOUNT,
    UGRX_PER_GRX,
    UWH_PER_KWH,
    energy_limit_uwh,
    format_decimal,
    format_grx,
    format_kwh,
    parse_decimal,
    parse_grx,
    parse_kwh,
)

amounts = st.integers(-MAX_AMOUNT, MAX_AMOUNT)


@given(amounts, st.integers(0, 18))
def test_what_is_formatted_is_parsed_to_the_same(value: int, decimals: int) -> None:
    assert parse_decimal(format_decimal(value, decimals), decimals) == value


@given(amounts, st.integers(0, 18))
def test_the_spelling_is_the_exact_number(value: int, decimals: int) -> None:
    assert Fraction(Decimal(format_decimal(value, decimals))) == Fraction(value, 10**decimals)


@given(st.text(max_size=30), st.integers(0, 18))
def test_whatever_is_parsed_is_the_exact_number(text: str, decimals: int) -> None:
    try:
        value = parse_decimal(text, decimals)
    except ValueError:
        return
    assert Fraction(value, 10**decimals) == Fraction(Decimal(text))


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("0", 6, 0),
        ("-0", 6, 0),
        ("-0.000000", 6, 0),
        ("1", 6, 1_000_000),
        ("1.5", 6, 1_500_000),
        ("001.500", 6, 1_500_000),
        ("-1.000001", 6, -1_000_001),
        ("0.000000001", 9, 1),
        ("7", 0, 7),
        ("9223372036854775807", 0, MAX_AMOUNT),
        ("9223372036.854775807", 9, MAX_AMOUNT),
        ("-9223372036.854775807", 9, -MAX_AMOUNT),
        ("0000000000000000001", 0, 1),
    ],
)
def test_plain_digits_are_parsed(text: str, decimals: int, value: int) -> None:
    assert parse_decimal(text, decimals) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        "-",
        ".",
        ".5",
        "5.",
        "1.-5",
        "1e3",
        "1E-3",
        "0x10",
        "1_000",
        "1,5",
        "1.5.5",
        "1 kWh",
        "NaN",
        "inf",
        "½",
        "٣",
        "\uff11",
        "²",
        "−1",
        "1.\uff15",
        "1\x00",
        20 * "9",
        "1." + 19 * "0",
    ],
    ids=repr,
)
def test_anything_but_plain_digits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a decimal number such as 1\.5"):
        parse_decimal(text, 6)


@pytest.mark.parametrize(
    ("text", "decimals"),
    [("0.0000001", 6), ("1.0000000", 6), ("0.0000000001", 9), ("1.0", 0)],
)
def test_more_decimals_than_the_unit_has_are_refused_even_if_zero(text: str, decimals: int) -> None:
    with pytest.raises(ValueError, match=f"at most {decimals} decimals"):
        parse_decimal(text, decimals)


@pytest.mark.parametrize(
    ("text", "decimals"),
    [
        ("9223372036854775808", 0),
        ("-9223372036854775808", 0),
        ("9223372036.854775808", 9),
        ("9999999999999999999", 9),
        ("9999999999999", 9),
    ],
)
def test_an_amount_beyond_63_bits_is_refused(text: str, decimals: int) -> None:
    with pytest.raises(ValueError, match=r"below 2\^63"):
        parse_decimal(text, decimals)


def test_an_error_quotes_at_most_the_start_of_what_was_given() -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_decimal(1_000_000 * "9", 6)
    assert len(str(caught.value)) < 100


def test_one_grid_is_one_kwh_of_10_to_the_9_and_one_grx_10_to_the_6() -> None:
    assert parse_kwh("1") == UWH_PER_KWH == 10**9
    assert parse_grx("1") == UGRX_PER_GRX == 10**6
    assert format_kwh(1_500_000_000) == "1.500000000"
    assert format_grx(-250_000) == "-0.250000"


@given(st.integers(0, 10**9), st.integers(0, 10**12))
def test_the_energy_limit_is_power_times_time_rounded_up(power_w: int, elapsed_ms: int) -> None:
    exact_uwh = Fraction(power_w * elapsed_ms, 3_600_000) * 10**6
    limit_uwh = energy_limit_uwh(power_w, elapsed_ms)
    assert 0 <= limit_uwh - exact_uwh < 1


def test_one_kilowatt_for_an_hour_is_one_kwh() -> None:
    assert energy_limit_uwh(1000, 3_600_000) == UWH_PER_KWH
