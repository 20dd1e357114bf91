"""The profile of a meter model with registers: package data, one TOML file a model. Unknown keys
are errors.

A profile holds facts, each with its source: which registers, how to ask for them, how sure we are.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_edge.meters.point import Point, check_span
from gridtokenx_wire.config import load_toml

Confidence = Literal["confirmed", "single", "contested"]
# Modbus Application Protocol V1.1b3, 6.3: a request reads 1 to 125 registers.
_MOST_REGISTERS = 125
_MAKER = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)*", re.ASCII)
_FOLDER = Path(__file__).parent.parent / "profiles"


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a fact was read: a public repository, its commit, the file, and what it says."""

    repo: str
    commit: str
    file: str
    says: str


class ModelRegister(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A register whose value tells the model apart. Any of `values` is right."""

    fc: Literal[3, 4]
    address: int
    type: Literal["uint16", "uint32"]
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        check_span(self.address, self.count)
        if not self.values:
            raise ValueError("expected at least one value")

    @property
    def count(self) -> int:
        return 1 if self.type == "uint16" else 2


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The registers of the serial number. `optional`: some meters of this model refuse to
    tell it.
    """

    fc: Literal[3, 4]
    address: int
    type: Literal["uint32", "bcd", "ascii"]
    confidence: Confidence
    count: int = 2
    optional: bool = False
    model: ModelRegister | None = None

    def __post_init__(self) -> None:
        check_span(self.address, self.count)
        if self.count < 1 or (self.type != "ascii" and self.count != 2):
            raise ValueError("expected a count of 2 for uint32 and bcd, from 1 on for ascii")


class ClockRegister(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the meter's own clock stands, in four registers (see meter_clock)."""

    fc: Literal[3, 4]
    address: int
    type: Literal["datetime"]
    confidence: Confidence

    def __post_init__(self) -> None:
        check_span(self.address, self.count)

    @property
    def count(self) -> int:
        return 4


class SerialDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a meter of this model leaves the factory. A scan begins there."""

    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1
    address: int = 1


ValueName = Literal[
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "power_l1",
    "power_l2",
    "power_l3",
    "energy_import_l1",
    "energy_import_l2",
    "energy_import_l3",
    "energy_export_l1",
    "energy_export_l2",
    "energy_export_l3",
    "frequency",
    "power_factor",
    "reactive_power",
    "apparent_power",
]
_UNITS_OF_VALUES: dict[str, tuple[str, ...]] = {
    "voltage": ("V",),
    "current": ("A",),
    "power_l": ("W", "kW"),
    "energy": ("kWh", "Wh"),
    "frequency": ("Hz",),
    "power_factor": ("1",),
    "reactive": ("var", "kvar"),
    "apparent": ("VA", "kVA"),
}


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model: what to read and how.

    One request reads at most `max_registers`, and may read across `bridge_registers` unused ones.
    `min_gap_ms` is the rest that the meter wants between two requests. A model without `identity`
    cannot say who it is. A model without `energy_export` only counts what is taken from the grid.
    `values` are further quantities that an installer likes to see beside a reading.
    """

    name: str
    maker: str
    confidence: Confidence
    max_registers: int
    energy_import: Point
    active_power: Point
    provenance: tuple[Provenance, ...]
    energy_export: Point | None = None
    values: dict[ValueName, Point] = {}
    transports: tuple[Literal["rtu", "tcp"], ...] = ("rtu",)
    serial: SerialDefaults = SerialDefaults()
    bridge_registers: int = 0
    min_gap_ms: int = 0
    identity: Identity | None = None
    clock: ClockRegister | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _MAKER.fullmatch(self.maker):
            raise ValueError("expected a maker of capitals and digits, joined by single hyphens")
        if not self.transports:
            raise ValueError("expected at least one transport")
        if not 1 <= self.max_registers <= _MOST_REGISTERS:
            raise ValueError(f"expected max_registers from 1 to {_MOST_REGISTERS}")
        if not 0 <= self.bridge_registers < self.max_registers:
            raise ValueError("expected bridge_registers from 0 to below max_registers")
        if not 0 <= self.min_gap_ms <= 10_000:
            raise ValueError("expected min_gap_ms from 0 to 10000")
        energies = [point for name, point in self.points().items() if name != "active_power"]
        if not all(point.is_energy for point in energies):
            raise ValueError("expected energies in kWh or Wh")
        if not self.active_power.is_power:
            raise ValueError("expected active_power in W or kW")
        for name, point in self.values.items():
            expected = next(units for kind, units in _UNITS_OF_VALUES.items() if kind in name)
            if point.unit not in expected:
                raise ValueError(f"expected {name} in {' or '.join(expected)}")
        if max(point.count for point in self.all_points().values()) > self.max_registers:
            raise ValueError("expected max_registers to hold every point")
        if not self.provenance:
            raise ValueError("expected at least one provenance")

    def points(self) -> dict[str, Point]:
        """Return the quantities of a reading by name, energies first."""
        points = {"energy_import": self.energy_import}
        if self.energy_export:
            points["energy_export"] = self.energy_export
        return points | {"active_power": self.active_power}

    def all_points(self) -> dict[str, Point]:
        """Return the quantities of a reading and whatever else the model tells."""
        return self.points() | {str(name): point for name, point in self.values.items()}


@cache
def profile_names() -> tuple[str, ...]:
    """Return the models that this package knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_profile(name: str) -> Profile:
    """Return the profile of a model in `profile_names()`, or of a file of the site's own (see
    `is_file`).

    Raises ConfigError if the file is wrong.
    """
    return load_toml(Path(name), Profile) if is_file(name) else _packaged(name)


def is_file(name: str) -> bool:
    """Return whether a profile is named by a file of the site's own, not as a model of this
    package.
    """
    return name.endswith(".toml")


@cache
def _packaged(name: str) -> Profile:
    return load_toml(_FOLDER / f"{name}.toml", Profile)
