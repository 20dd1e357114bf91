"""Which reader goes with a meter's profile."""

from __future__ import annotations

from typing import Protocol

from gridtokenx_edge.config import MeterConfig
from gridtokenx_edge.meters.profile import Profile, load_profile
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile, load_sunspec, sunspec_names
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.meter import MeterReader
from gridtokenx_edge.modbus.sunspec import SunSpecReader
from gridtokenx_edge.modbus.sunspec_unit import SunSpecUnit
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading


class Reader(Protocol):
    """Reads one meter. All may raise ModbusError but `forget_identity`."""

    def forget_identity(self) -> None: ...

    async def contact(self) -> None: ...

    async def poll(self) -> Reading: ...


def load_any(name: str) -> Profile | SunSpecProfile:
    """A profile of either kind. Raises ConfigError if its file is wrong."""
    return load_sunspec(name) if name in sunspec_names() else load_profile(name)


class Readers:
    """Makes the readers of one line."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._units: dict[int, SunSpecUnit] = {}

    def make(self, meter: MeterConfig) -> Reader:
        """The reader of a meter; those of one SunSpec unit share it."""
        if meter.profile not in sunspec_names():
            return MeterReader(self._line, meter, load_profile(meter.profile), self._clock)
        unit = SunSpecUnit(self._line, meter.address, self._clock)
        unit = self._units.setdefault(meter.address, unit)
        return SunSpecReader(unit, meter, load_sunspec(meter.profile))
