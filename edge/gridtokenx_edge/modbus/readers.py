"""Which reader goes with a meter's profile."""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.profile import Profile, load_profile
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile, load_sunspec, sunspec_names
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.modbus.sunspec_reader import SunSpecReader
from gridtokenx_edge.modbus.sunspec_unit import SunSpecUnit
from gridtokenx_edge.polling.driver import Reader
from gridtokenx_wire.clock import Clock


def load_any(name: str) -> Profile | SunSpecProfile:
    """Return a profile with registers or one for SunSpec. Raises ConfigError if its file is
    wrong.
    """
    return load_sunspec(name) if name in sunspec_names() else load_profile(name)


class Readers:
    """Makes the readers of one line."""

    def __init__(
        self, line: Line, clock: Clock, is_synchronised: Callable[[], bool] = lambda: True
    ) -> None:
        self._line = line
        self._clock = clock
        self._is_synchronised = is_synchronised
        self._units: dict[int, SunSpecUnit] = {}

    def make(self, meter: MeterConfig) -> Reader:
        """Return the reader of a meter. The readers of one SunSpec unit share the unit."""
        if meter.profile not in sunspec_names():
            profile = load_profile(meter.profile)
            return RegisterReader(self._line, meter, profile, self._clock, self._is_synchronised)
        unit = SunSpecUnit(self._line, meter, self._clock)
        unit = self._units.setdefault(meter.address, unit)
        return SunSpecReader(unit, meter, load_sunspec(meter.profile))
