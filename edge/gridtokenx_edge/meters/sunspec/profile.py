"""A SunSpec profile: it has no registers, because the device tells them, but what makers do
differently.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from gridtokenx_edge.meters.profile import Confidence, Provenance
from gridtokenx_edge.meters.sunspec.models import OF_KIND, Kind
from gridtokenx_wire.config import load_toml

_FOLDER = Path(__file__).parent.parent.parent / "profiles" / "sunspec"
# The longest request of a discovery is a common model.
_MAX_REGISTERS = range(66, 126)


class SunSpecProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Meters or inverters that are found by their models.

    Makers are written as in ids. Meters of `reversed_power_makers` count power positive for export.
    The energy registers of `signed_counter_makers` may count downwards from zero.
    """

    name: str
    kind: Kind
    confidence: Confidence
    provenance: tuple[Provenance, ...]
    max_registers: int
    reversed_power_makers: tuple[str, ...] = ()
    signed_counter_makers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_registers not in _MAX_REGISTERS:
            raise ValueError("expected max_registers from 66 to 125")
        if not self.provenance:
            raise ValueError("expected at least one provenance")

    @property
    def models(self) -> tuple[int, ...]:
        """The models that it reads, the preferred ones first."""
        return OF_KIND[self.kind]


@cache
def sunspec_names() -> tuple[str, ...]:
    """Return the SunSpec profiles that this package knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_sunspec(name: str) -> SunSpecProfile:
    """Return a profile of `sunspec_names()`. Raises ConfigError if its file is wrong."""
    return load_toml(_FOLDER / f"{name}.toml", SunSpecProfile)
