"""A meter model's profile: package data, one TOML file a model, unknown keys refused.

A profile is facts, each with its source: which registers, how to ask for them, how sure we are.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_edge.meters.point import Point, check_span
from gridtokenx_wire.config import load_toml

Confidence = Literal["confirmed", "single", "contested"]
# Modbus Application Protocol V1.1b3, 6.3: a request reads 1 to 125 registers.
_MOST_REGISTERS = 125
_FOLDER = Path(__file__).parent.parent / "profiles"


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a fact was read: a public repository, its commit, the file, what it says."""

    repo: str
    commit: str
    file: str
    says: str


class ModelRegister(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A register whose value tells the model apart; any of `values` will do."""

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
    """The serial number's registers. `optional`: some meters of this model refuse to tell."""

    fc: Literal[3, 4]
    address: int
    type: Literal["uint32", "ascii"]
    confidence: Confidence
    count: int = 2
    optional: bool = False
    model: ModelRegister | None = None

    def __post_init__(self) -> None:
        check_span(self.address, self.count)
        if self.count < 1 or (self.type == "uint32" and self.count != 2):
            raise ValueError("expected a count of 2 for a uint32, from 1 on for ascii")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model: what to read and how.

    `max_registers` bounds one request, and it may read across `bridge_registers` unused ones.
    `min_gap_ms` is the rest that the meter wants between two. A model without `identity` cannot
    say who it is.
    """

    name: str
    maker: Literal["ABB", "CARLO-GAVAZZI", "EASTRON", "SCHNEIDER"]
    confidence: Confidence
    max_registers: int
    energy_import: Point
    energy_export: Point
    active_power: Point
    provenance: tuple[Provenance, ...]
    bridge_registers: int = 0
    min_gap_ms: int = 0
    identity: Identity | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.max_registers <= _MOST_REGISTERS:
            raise ValueError(f"expected max_registers from 1 to {_MOST_REGISTERS}")
        if not 0 <= self.bridge_registers < self.max_registers:
            raise ValueError("expected bridge_registers from 0 to below max_registers")
        if not 0 <= self.min_gap_ms <= 10_000:
            raise ValueError("expected min_gap_ms from 0 to 10000")
        if not (self.energy_import.is_energy and self.energy_export.is_energy):
            raise ValueError("expected energies in kWh or Wh")
        if self.active_power.is_energy:
            raise ValueError("expected active_power in W or kW")
        if max(point.count for point in self.points().values()) > self.max_registers:
            raise ValueError("expected max_registers to hold every point")
        if not self.provenance:
            raise ValueError("expected at least one provenance")

    def points(self) -> dict[str, Point]:
        """The quantities of a reading by name, energies first."""
        return {
            "energy_import": self.energy_import,
            "energy_export": self.energy_export,
            "active_power": self.active_power,
        }


@cache
def profile_names() -> tuple[str, ...]:
    """The models that this package knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_profile(name: str) -> Profile:
    """The profile of a model in `profile_names()`. Raises ConfigError if its file is wrong."""
    return load_toml(_FOLDER / f"{name}.toml", Profile)
