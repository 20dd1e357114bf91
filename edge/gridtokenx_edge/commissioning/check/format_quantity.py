"""Quantities as an installer reads them on a display: V, A, kWh, with a display's decimals."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_wire.reading import Reading, ReadingFlag
from gridtokenx_wire.units import format_decimal

# The beginning of a value's name gives its unit, the decimals of its base unit, and those of a
# display.
_SPELLING: tuple[tuple[str, str, int, int], ...] = (
    ("energy", "kWh", 9, 3),
    ("import", "kWh", 9, 3),
    ("export", "kWh", 9, 3),
    ("voltage", "V", 3, 1),
    ("current", "A", 3, 3),
    ("frequency", "Hz", 3, 2),
    ("power_factor", "", 3, 3),
    ("reactive", "var", 0, 0),
    ("apparent", "VA", 0, 0),
    ("power", "W", 0, 0),
)


def unit(name: str) -> str:
    """Return the unit that the value of this name is shown in."""
    return _row(name)[1]


def exact(name: str, value: int) -> str:
    """Return a value in its unit, with every decimal that its base unit has."""
    return format_decimal(value, _row(name)[2])


def shown(name: str, value: int) -> str:
    """Return a value in its unit with a display's decimals.

    Energy is cut off, everything else is rounded.
    """
    _, _, stored, decimals = _row(name)
    step = int(10 ** (stored - decimals))
    half = 0 if stored == 9 else step // 2
    cut = (abs(value) + half) // step
    return format_decimal(-cut if value < 0 else cut, decimals)


def kwh(energy_uwh: int) -> str:
    """Return an energy that may be small: kWh with six decimals."""
    return f"{format_decimal(energy_uwh // 1000, 6)} kWh"


def label(name: str) -> str:
    """Return `voltage_l1` as a person writes it: `voltage L1`."""
    words = name.split("_")
    return " ".join(word.upper() if word in {"l1", "l2", "l3"} else word for word in words)


def flag_names(flags: int) -> list[str]:
    """Return a reading's flags by name."""
    return [str(flag.name).lower() for flag in ReadingFlag if flags & flag]


def _row(name: str) -> tuple[str, str, int, int]:
    return next(row for row in _SPELLING if name.startswith(row[0]))


def reading_lines(reading: Reading) -> Iterator[str]:
    """Yield the lines of a reading."""
    flags = ReadingFlag(reading.flags)
    shown: tuple[tuple[str, int, ReadingFlag], ...] = (
        ("import", reading.import_uwh, ReadingFlag.NO_IMPORT),
        ("export", reading.export_uwh, ReadingFlag.NO_EXPORT),
        ("power", reading.power_w, ReadingFlag.NO_POWER),
    )
    for name, value, absent in shown:
        yield value_line(name, name, None if flags & absent else value)
    if flags:
        yield f"  {'flags':<24}{', '.join(flag_names(reading.flags))}"


def value_line(title: str, name: str, value: int | None) -> str:
    """Return the line of one value, behind its title."""
    if value is None:
        return f"  {title:<20}{'none':>16}"
    return f"  {title:<20}{shown(name, value):>16} {unit(name)}".rstrip()
