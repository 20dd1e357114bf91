"""What a meter's display shows now, as an installer types it. This module is pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec

from gridtokenx_edge.meters.point import Unit

# The meter goes on counting, and the load changes, between the look at the display and the
# registers.
_ENERGY_MOVES_KWH = Fraction(1, 5)
_SHARES = {
    "power": Fraction(1, 10),
    "current": Fraction(3, 20),
    "voltage": Fraction(3, 100),
    "frequency": Fraction(1, 200),
}
_POWER_MOVES_W = 10


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity that can be looked for. A float of it is rounded to `resolution`."""

    point: str
    unit: Unit
    resolution: str
    is_signed: bool = False


QUANTITIES = {
    "import": Quantity(point="energy_import", unit="kWh", resolution="0.001"),
    "export": Quantity(point="energy_export", unit="kWh", resolution="0.001"),
    "power": Quantity(point="active_power", unit="W", resolution="1", is_signed=True),
    "voltage": Quantity(point="voltage_l1", unit="V", resolution="0.1"),
    "current": Quantity(point="current_l1", unit="A", resolution="0.001", is_signed=True),
    "frequency": Quantity(point="frequency", unit="Hz", resolution="0.01"),
}


class DisplayedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value on the display. `digit` is what its last digit counts."""

    name: str
    value: Fraction
    digit: Fraction

    @property
    def quantity(self) -> Quantity:
        return QUANTITIES[self.name]

    @property
    def span(self) -> tuple[Fraction, Fraction]:
        """Which values of the registers agree with it, in the quantity's unit."""
        if self.quantity.unit == "kWh":
            return self.value - self.digit, self.value + self.digit + _ENERGY_MOVES_KWH
        slack = abs(self.value) * _SHARES[self.name] + 2 * self.digit
        if self.name == "power":
            slack += _POWER_MOVES_W
        return self.value - slack, self.value + slack


def parse_displayed(text: str) -> DisplayedValue:
    """Return the value of `import=1234.5`. Raises ValueError."""
    name, _, number = text.partition("=")
    name = name.strip()
    if name not in QUANTITIES:
        raise ValueError(f"expected {', '.join(QUANTITIES)} or serial, and =, got {text!r}")
    try:
        value = Decimal(number.strip())
        exponent = int(value.as_tuple().exponent)
    except (InvalidOperation, ValueError):
        raise ValueError(f"expected {name}=NUMBER as the display shows it, got {text!r}") from None
    if not value or not -9 <= exponent <= 9 or abs(value) >= 10**12:
        raise ValueError(
            f"expected a number other than zero, as zeros are everywhere, got {text!r}"
        )
    return DisplayedValue(name=name, value=Fraction(value), digit=Fraction(10) ** exponent)
