"""Amounts in `sim.toml`: decimal strings there, integers here."""

from __future__ import annotations

from typing import Any

from gridtokenx_wire.units import parse_decimal


class Kwh(int):
    """Energy in µWh, written as a decimal string of kWh with at most 9 decimals."""


class Kilowatt(int):
    """Power in W, written as a decimal string of kW with at most 3 decimals."""


def kwh(text: str) -> Kwh:
    """Return energy from its text: `kwh("1.5")` is 1.5 kWh.

    Raises ValueError, also for negative amounts.
    """
    return Kwh(_parse(text, 9, "kWh"))


def kilowatts(text: str) -> Kilowatt:
    """Return power from its text: `kilowatts("6.5")` is 6.5 kW.

    Raises ValueError, also for negative amounts.
    """
    return Kilowatt(_parse(text, 3, "kW"))


def decode_amount(kind: type, value: Any) -> Any:
    """Return an amount from its text, as msgspec's hook for the types above."""
    if not isinstance(value, str):
        raise ValueError(f'expected a decimal number in quotes such as "6.5", got {value!r}')
    return kwh(value) if kind is Kwh else kilowatts(value)


def _parse(text: str, decimals: int, unit: str) -> int:
    value = parse_decimal(text, decimals)
    if value < 0:
        raise ValueError(f"expected a number of {unit} that is not negative, got {text!r}")
    return value
