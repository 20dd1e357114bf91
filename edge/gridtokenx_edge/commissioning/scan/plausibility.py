"""Whether a meter's values make sense together, decoded as a model's.

This module is pure. Each fact that speaks for a model adds to its score, and a fact that cannot be
true rules it out. So a wrong word order or scale does not win unnoticed: it shows as a voltage of 3
V, or as a power that volts and amperes do not give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

import msgspec

# These are in base units: mV, mHz, µWh, W.
_VOLTAGES_MV = range(80_000, 300_001)
_NO_VOLTAGE_MV = 5_000
_FREQUENCIES_MHZ = range(45_000, 65_001)
# 10 GWh is what a 400 kW supply counts in almost three years without a pause.
_MOST_ENERGY_UWH = 10_000_000 * 10**9
_MOST_POWER_W = 2_000_000
# Loads change between two requests, and their power factor can be anything. Only a wrong scale is
# beyond these.
_MOST_OF_VA = 1.5
_LEAST_OF_VA = 0.02
_SLACK_W = 50
_WORTH_JUDGING_VA = 100
_PHASES = ("l1", "l2", "l3")
JUDGED = (
    "frequency",
    *(f"{of}_{phase}" for of in ("voltage", "current", "power") for phase in _PHASES),
)
"""The values beside a reading's that are judged here."""

Values = Mapping[str, int | None]


class Weight(IntEnum):
    """How much a clue says about the model."""

    FAINT = 1
    FAIR = 2
    STRONG = 3
    SERIAL = 5
    TYPE_CODE = 20
    """The meter says that it is this model."""


class ProfileClue(msgspec.Struct, frozen=True, kw_only=True):
    """One line for a person.

    A `weight` of 0 or less speaks against the model. If it `rules_out` the model, it cannot be this
    one.
    """

    text: str
    weight: int
    rules_out: bool = False


def judge(values: Values) -> list[ProfileClue]:
    """Return what the values of one reading say about the profile that they were decoded with."""
    return [
        *_voltages(values),
        *_frequency(values),
        *_energies(values),
        *_powers(values),
    ]


def score(findings: list[ProfileClue]) -> int:
    return sum(finding.weight for finding in findings)


def _voltages(values: Values) -> Iterator[ProfileClue]:
    for phase in _PHASES:
        name = f"voltage_{phase}"
        if name not in values:
            continue
        value = values[name]
        if value is None or abs(value) < _NO_VOLTAGE_MV:
            yield ProfileClue(text=f"no voltage on {phase.upper()}", weight=-Weight.FAINT)
        elif value in _VOLTAGES_MV:
            yield ProfileClue(text=f"{value / 1000:.1f} V on {phase.upper()}", weight=Weight.STRONG)
        else:
            text = f"{value / 1000:g} V on {phase.upper()}, expected 80 to 300"
            yield ProfileClue(text=text, weight=-Weight.STRONG, rules_out=True)


def _frequency(values: Values) -> Iterator[ProfileClue]:
    if "frequency" not in values:
        return
    value = values["frequency"]
    if not value:
        yield ProfileClue(text="no frequency", weight=-Weight.FAINT)
    elif value in _FREQUENCIES_MHZ:
        yield ProfileClue(text=f"{value / 1000:.2f} Hz", weight=Weight.STRONG)
    else:
        text = f"{value / 1000:g} Hz, expected 45 to 65"
        yield ProfileClue(text=text, weight=-Weight.STRONG, rules_out=True)


def _energies(values: Values) -> Iterator[ProfileClue]:
    for name in ("energy_import", "energy_export"):
        value = values.get(name)
        word = name.removeprefix("energy_")
        if value is None:
            if name == "energy_import":
                yield ProfileClue(text="no import register", weight=-Weight.STRONG, rules_out=True)
        elif value > _MOST_ENERGY_UWH:
            text = f"{value // 10**9} kWh {word}, expected at most {_MOST_ENERGY_UWH // 10**9}"
            yield ProfileClue(text=text, weight=-Weight.STRONG, rules_out=True)
        elif value:
            yield ProfileClue(text=f"{value / 10**9:.3f} kWh {word}", weight=Weight.FAINT)


def _powers(values: Values) -> Iterator[ProfileClue]:
    power = values.get("active_power")
    if power is not None and abs(power) > _MOST_POWER_W:
        text = f"{power} W, expected at most {_MOST_POWER_W}"
        yield ProfileClue(text=text, weight=-Weight.STRONG, rules_out=True)
        return
    apparent = _apparent_va(values)
    if power is not None and apparent is not None:
        yield from _against_va("power", power, apparent)
    total, phases = power, [values.get(f"power_{phase}") for phase in _PHASES]
    known = [of for of in phases if of is not None]
    if total and len(known) == len(_PHASES):
        near = abs(sum(known) - total) <= _SLACK_W + abs(total) // 2
        if near:
            yield ProfileClue(text="the phases' powers add up", weight=Weight.FAIR)
        else:
            text = f"the phases' powers add up to {sum(known)} W, not {total} W"
            yield ProfileClue(text=text, weight=-Weight.FAIR)


def _against_va(name: str, power_w: int, apparent_va: float) -> Iterator[ProfileClue]:
    if abs(power_w) > _MOST_OF_VA * apparent_va + _SLACK_W:
        text = f"{power_w} W of {name}, but volts and amperes give {apparent_va:.0f} VA"
        yield ProfileClue(text=text, weight=-Weight.STRONG, rules_out=True)
    elif apparent_va >= _WORTH_JUDGING_VA:
        if abs(power_w) < _LEAST_OF_VA * apparent_va:
            text = f"only {power_w} W of {name}, but volts and amperes give {apparent_va:.0f} VA"
            yield ProfileClue(text=text, weight=-Weight.STRONG)
        else:
            yield ProfileClue(text=f"{power_w} W fits {apparent_va:.0f} VA", weight=Weight.STRONG)


def _apparent_va(values: Values) -> float | None:
    """Return volts × amperes over the phases that the model tells, or None if it tells none."""
    products = []
    for phase in _PHASES:
        volts, amperes = values.get(f"voltage_{phase}"), values.get(f"current_{phase}")
        if volts is not None and amperes is not None:
            products.append(volts * abs(amperes))
    return sum(products) / 10**6 if products else None
