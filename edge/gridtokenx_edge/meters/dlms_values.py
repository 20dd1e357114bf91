"""COSEM values as energies, powers and names. Pure, and exact in integers."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from gridtokenx_dlms.data import Data, DataType
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_edge.meters.point import nearest_multiple
from gridtokenx_wire.units import MAX_AMOUNT

# Blue Book, table of units.
UNIT_W, UNIT_WH = 27, 30
_UWH_EXPONENT = 6  # 1 Wh = 10^6 µWh
_HIGHEST_POWER_W = 2**31 - 1


class ScalerUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A value is its integer × 10^scaler, in this unit (class 3, attribute 3)."""

    scaler: int
    unit: int

    @classmethod
    def from_data(cls, value: Data) -> ScalerUnit:
        """Return a scaler and a unit from the attribute's value. Raises MalformedError."""
        items = value.items()
        if len(items) != 2:
            raise MalformedError("expected a scaler and a unit")
        return cls(scaler=items[0].integer(), unit=items[1].integer())


def energy_uwh(value: Data, scale: ScalerUnit) -> int | None:
    """Return an energy register in µWh; None where it holds no value.

    Raises MalformedError for another unit, or for a value that is no whole number of µWh.
    """
    if value.type is DataType.NULL:
        return None
    if scale.unit != UNIT_WH:
        raise MalformedError(f"expected an energy in Wh (unit 30), got unit {scale.unit}")
    exponent = scale.scaler + _UWH_EXPONENT
    raw = value.integer()
    amount, rest = (raw * 10**exponent, 0) if exponent >= 0 else divmod(raw, 10**-exponent)
    if rest:
        raise MalformedError(f"expected whole µWh, got a scaler of {scale.scaler}")
    return amount if 0 <= amount <= MAX_AMOUNT else None


def power_w(value: Data, scale: ScalerUnit) -> int | None:
    """Return a power register in W, rounded to the nearest; None where it holds no value.

    Raises MalformedError for another unit.
    """
    if value.type is DataType.NULL:
        return None
    if scale.unit != UNIT_W:
        raise MalformedError(f"expected a power in W (unit 27), got unit {scale.unit}")
    amount = nearest_multiple(value.integer() * Fraction(10) ** scale.scaler, Fraction(1))
    return amount if abs(amount) <= _HIGHEST_POWER_W else None


def name_text(value: Data) -> str:
    """Return a serial number or logical device name as text, or "" where there is none.

    Octets that are no printable ASCII, as at the end of some names, are written in hexadecimal.
    """
    if value.type in {DataType.VISIBLE_STRING, DataType.UTF8_STRING}:
        return str(value.value).strip("\0 ")
    if value.type is not DataType.OCTET_STRING:
        return "" if value.type is DataType.NULL else str(value.integer())
    octets = value.octets().strip(b"\0 ")
    text = octets.decode("ascii", "replace")
    if text.isascii() and text.isprintable():
        return text
    letters = text[:3] if text[:3].isascii() and text[:3].isalpha() else ""
    return letters + octets[len(letters) :].hex().upper()
