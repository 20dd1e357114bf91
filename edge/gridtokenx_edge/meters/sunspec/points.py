"""A point of a SunSpec model: its raw registers as an integer quantity, or as no value.

Units are those of other meters: µWh, W, mV, mA, mHz, var, VA, permille. Integers are scaled
exactly; a float32 is rounded once to the unit, a float32 energy to a whole Wh.
Not implemented (Device Information Model Specification 1.2, 6.4): 0x8000.. signed, 0xFF..
unsigned, NaN, and 0 of an accumulator.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from gridtokenx_edge.meters.point import join_words, nearest_multiple
from gridtokenx_wire.units import MAX_AMOUNT

PointType = Literal["int16", "uint16", "uint32", "uint64", "acc32", "float32"]
PointUnit = Literal["Wh", "W", "V", "A", "Hz", "var", "VA", "Pct"]

WORDS: dict[str, int] = {
    "int16": 1,
    "uint16": 1,
    "uint32": 2,
    "uint64": 4,
    "acc32": 2,
    "float32": 2,
}
_NOT_IMPLEMENTED = {
    "int16": 0x8000,
    "uint16": 0xFFFF,
    "uint32": 0xFFFF_FFFF,
    "uint64": 0xFFFF_FFFF_FFFF_FFFF,
    "acc32": 0,
}
# How many base units a unit has.
_UNITS = {
    "Wh": Fraction(10**6),
    "W": Fraction(1),
    "V": Fraction(1000),
    "A": Fraction(1000),
    "Hz": Fraction(1000),
    "var": Fraction(1),
    "VA": Fraction(1),
    "Pct": Fraction(10),
}
_WH_UWH = 10**6
_LARGEST_OF_OTHERS = 2**31 - 1
_SCALES = range(-10, 11)
_NO_SCALE = 0x8000


class ScaleError(ValueError):
    """A value whose scale factor is not implemented or outside -10 to 10."""


class SunSpecPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Registers from `offset` on, counted from the model's id.

    `scale` is the offset of its scale factor, or 0 where there is none. `negated`: it counts the
    other way round than a meter of the grid does.
    """

    offset: int
    type: PointType
    unit: PointUnit
    scale: int = 0
    negated: bool = False

    @property
    def end(self) -> int:
        """The offset after its last register."""
        return self.offset + WORDS[self.type]

    def decode(
        self, words: Sequence[int], scale: int | None, *, signed_counters: bool = False
    ) -> int | None:
        """Return base units of the point's own `words`; None where there is no value.

        `scale` is the raw register of its scale factor. With `signed_counters` an accumulator may
        count downwards from zero in two's complement, and its size is what was counted. An energy
        below zero or beyond 2^63-1 µWh, and anything else beyond 32 bits, is no value. Raises
        ScaleError, but not for a value that is not implemented anyway.
        """
        raw = join_words(words, "msw_first")
        if raw == _NOT_IMPLEMENTED.get(self.type):
            return None
        value = _exact(raw, self.type, signed_counters=signed_counters)
        if value is None:
            return None
        factor = Fraction(10) ** _exponent(scale) if scale is not None else Fraction(1)
        step = Fraction(_WH_UWH if self.type == "float32" and self.unit == "Wh" else 1)
        amount = nearest_multiple(value * factor * _UNITS[self.unit], step)
        is_energy = self.unit == "Wh"
        lowest, highest = (
            (0, MAX_AMOUNT) if is_energy else (-_LARGEST_OF_OTHERS, _LARGEST_OF_OTHERS)
        )
        if not lowest <= amount <= highest:
            return None
        return -amount if self.negated else amount


def _exact(raw: int, kind: str, *, signed_counters: bool) -> Fraction | None:
    if kind == "float32":
        (number,) = struct.unpack(">f", raw.to_bytes(4, "big"))
        return Fraction(number) if math.isfinite(number) else None
    if kind == "int16" and raw >> 15:
        raw -= 1 << 16
    if kind == "acc32" and signed_counters and raw >> 31:
        raw = (1 << 32) - raw
    return Fraction(raw)


def _exponent(raw: int) -> int:
    exponent = raw - (1 << 16) if raw >> 15 else raw
    if raw == _NO_SCALE:
        raise ScaleError("its scale factor is not implemented")
    if exponent not in _SCALES:
        raise ScaleError(f"expected a scale factor of -10 to 10, got {exponent}")
    return exponent
