"""A register as a profile describes it, and its raw words as an integer quantity. Pure.

Energies are µWh, powers W, var and VA, the rest mV, mA, mHz and permille. Integers are scaled
exactly. A float is taken at its exact binary value and rounded once, to the resolution that the
meter's documents give. No float comes out.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

import msgspec

from gridtokenx_wire.units import MAX_AMOUNT

RegisterType = Literal[
    "int16", "int32", "int64", "uint16", "uint32", "uint48", "uint64", "float32", "float64"
]
Unit = Literal["kWh", "Wh", "W", "kW", "V", "A", "Hz", "var", "kvar", "VA", "kVA", "1"]
WordOrder = Literal["msw_first", "lsw_first"]

WORDS: dict[str, int] = {
    "int16": 1,
    "int32": 2,
    "int64": 4,
    "uint16": 1,
    "uint32": 2,
    "uint48": 3,
    "uint64": 4,
    "float32": 2,
    "float64": 4,
}
_FLOATS = {"float32": ">f", "float64": ">d"}
# How many base units a unit has: µWh, W, mV, mA, mHz, var, VA; a plain number's are permille.
_ENERGY_UNITS = {"kWh": Fraction(10**9), "Wh": Fraction(10**6)}
_POWER_UNITS = {"W": Fraction(1), "kW": Fraction(1000)}
_OTHER_UNITS = {
    "V": Fraction(1000),
    "A": Fraction(1000),
    "Hz": Fraction(1000),
    "1": Fraction(1000),
    "var": Fraction(1),
    "kvar": Fraction(1000),
    "VA": Fraction(1),
    "kVA": Fraction(1000),
}
_UNITS = _ENERGY_UNITS | _POWER_UNITS | _OTHER_UNITS


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity of a meter: where it stands and what its raw value means.

    `scale` is an exact decimal: value = raw × scale, in `unit`. It is below zero where a model
    counts power the other way round. `resolution` (floats only, in `unit`) is what the value is
    rounded to. `optional` says that some meters of this model do not have it.
    """

    fc: Literal[3, 4]
    address: int
    type: RegisterType
    unit: Unit
    word_order: WordOrder = "msw_first"
    scale: str = "1"
    resolution: str = ""
    invalid_raw: tuple[str, ...] = ()
    optional: bool = False

    def __post_init__(self) -> None:
        check_span(self.address, self.count)
        if (self.type in _FLOATS) != bool(self.resolution):
            raise ValueError("expected a resolution for a float, and for nothing else")
        factor = decimal(self.scale) * _UNITS[self.unit]
        if self.is_energy and self.type not in _FLOATS and factor.denominator != 1:
            raise ValueError("expected a scale that gives whole µWh")
        if self.is_energy and factor < 0:
            raise ValueError("expected a scale above zero for an energy")
        if self.resolution and (self.step <= 0 or self.step.denominator != 1):
            raise ValueError("expected a resolution of whole µWh, W, mV, mA or mHz")
        for text in self.invalid_raw:
            if not 0 <= int(text, 16) < 1 << 16 * self.count:
                raise ValueError(f"expected invalid_raw of {self.count} words, got {text}")

    @property
    def count(self) -> int:
        return WORDS[self.type]

    @property
    def is_energy(self) -> bool:
        return self.unit in _ENERGY_UNITS

    @property
    def is_power(self) -> bool:
        return self.unit in _POWER_UNITS

    @property
    def step(self) -> Fraction:
        """What values are multiples of, in base units."""
        if self.resolution:
            return decimal(self.resolution) * _UNITS[self.unit]
        return Fraction(1)

    def decode(self, words: Sequence[int]) -> int | None:
        """Return base units, or None where the meter says that it has no value.

        An energy below zero or beyond 2^63-1 µWh counts as no value, and so does anything else
        beyond 32 bits.
        """
        raw = join_words(words, self.word_order)
        if any(raw == int(text, 16) for text in self.invalid_raw):
            return None
        value = _exact(raw, self.type)
        if value is None:
            return None
        amount = nearest_multiple(value * decimal(self.scale) * _UNITS[self.unit], self.step)
        lowest, highest = (0, MAX_AMOUNT) if self.is_energy else (-(2**31), 2**31 - 1)
        return amount if lowest <= amount <= highest else None


def check_span(address: int, count: int) -> None:
    """Raise ValueError unless the registers lie within Modbus's 65,536."""
    if not 0 <= address <= 0x10000 - count:
        raise ValueError("expected registers from 0 to 0xFFFF")


def decimal(text: str) -> Fraction:
    """Return an exact decimal other than zero. Raises ValueError."""
    try:
        value = Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        value = Fraction(0)
    if not value:
        raise ValueError(f"expected a decimal other than zero in quotes, got {text!r}")
    return value


def join_words(words: Sequence[int], order: WordOrder) -> int:
    """Return the registers as one unsigned integer. The bytes of a register are always
    big-endian.
    """
    raw = 0
    for word in words if order == "msw_first" else reversed(words):
        raw = raw << 16 | word
    return raw


def nearest_multiple(value: Fraction, step: Fraction) -> int:
    """Return the multiple of `step` that is nearest to `value`; halfway goes away from zero."""
    quotient = value / step
    whole, rest = divmod(abs(quotient.numerator), quotient.denominator)
    whole += 2 * rest >= quotient.denominator
    return int((whole if quotient >= 0 else -whole) * step)


def _exact(raw: int, kind: str) -> Fraction | None:
    if kind in _FLOATS:
        (number,) = struct.unpack(_FLOATS[kind], raw.to_bytes(2 * WORDS[kind], "big"))
        return Fraction(number) if math.isfinite(number) else None
    bits = 16 * WORDS[kind]
    if kind.startswith("int") and raw >> bits - 1:
        raw -= 1 << bits
    return Fraction(raw)
