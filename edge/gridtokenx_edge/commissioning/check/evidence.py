"""What a meter is judged by: its series, and the series as they would be without a mistake."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum
from fractions import Fraction
from typing import Protocol

import msgspec

from gridtokenx_edge.commissioning.check.register_series import (
    Interpretation,
    Sample,
    Series,
    as_profiled,
    read_series,
    swapped,
)
from gridtokenx_edge.meters.profile import Profile
from gridtokenx_wire.reading import Reading, ReadingFlag

_SCALES = (1000, 10, 100, 10_000)
_UWH_PER_WH = 10**6


class Mistake(Enum):
    """A way in which the registers are read wrongly."""

    EXCHANGED = "exchanged"
    ENERGY_WORD_ORDER = "energy_word_order"
    POWER_WORD_ORDER = "power_word_order"
    WORD_ORDER = "word_order"
    SCALE = "scale"


Undone = tuple[Mistake, Fraction, Series]
"""A mistake, the factor for the energy without it, and the series without it."""


class Evidence(Protocol):
    """The polls of a meter."""

    @property
    def series(self) -> Series: ...

    def missing(self) -> str:
        """Return the register that should have values and has none, or ""."""
        ...

    def undone(self) -> Iterator[Undone]:
        """Return the series with each mistake undone, the likeliest one first."""
        ...


class RegisterEvidence:
    """Raw registers, which can be read in another way."""

    def __init__(self, profile: Profile, samples: Sequence[Sample], *, invert: bool) -> None:
        self._profile = profile
        self._samples = samples
        self._invert = invert
        self.series = read_series(as_profiled(profile), samples, invert=invert)

    def missing(self) -> str:
        return self._missing_in(self.series)

    def undone(self) -> Iterator[Undone]:
        for mistake, reading in _interpretations(self._profile):
            series = read_series(reading, self._samples, invert=self._invert)
            if not self._missing_in(series):
                yield mistake, reading.energy_factor, series

    def _missing_in(self, series: Series) -> str:
        registers = [series.import_uwh, series.export_uwh]
        imported, exported = registers[::-1] if self._invert else registers
        if not imported:
            return "import"
        register = self._profile.energy_export
        if not exported and register and not register.optional:
            return "export"
        return "" if series.power_w else "power"


class ReadingEvidence:
    """Readings of a device that describes its own registers, as SunSpec does."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        flags = readings[-1].flags
        self.series = Series(
            times_ms=[reading.time_ms for reading in readings],
            import_uwh=_register(readings, "import_uwh", flags & ReadingFlag.NO_IMPORT),
            export_uwh=_register(readings, "export_uwh", flags & ReadingFlag.NO_EXPORT),
            power_w=_register(readings, "power_w", flags & ReadingFlag.NO_POWER),
            steps_uwh=(1, 1),
        )
        steps = (_step_uwh(self.series.import_uwh), _step_uwh(self.series.export_uwh))
        self.series = msgspec.structs.replace(self.series, steps_uwh=steps)

    def missing(self) -> str:
        return "" if self.series.power_w else "power"

    def undone(self) -> Iterator[Undone]:
        series = self.series
        if series.import_uwh and series.export_uwh:
            exchanged = msgspec.structs.replace(
                series,
                import_uwh=series.export_uwh,
                export_uwh=series.import_uwh,
                steps_uwh=series.steps_uwh[::-1],
            )
            yield Mistake.EXCHANGED, Fraction(1), exchanged
        for scale in _SCALES:
            for factor in (Fraction(1, scale), Fraction(scale)):
                yield Mistake.SCALE, factor, _scaled(series, factor)


def _register(readings: Sequence[Reading], name: str, is_absent: int) -> list[int]:
    return [] if is_absent else [getattr(reading, name) for reading in readings]


def _step_uwh(counted_uwh: Sequence[int]) -> int:
    """Return what all values are multiples of: at least the register's resolution."""
    return max(math.gcd(*counted_uwh), _UWH_PER_WH) if any(counted_uwh) else _UWH_PER_WH


def _scaled(series: Series, factor: Fraction) -> Series:
    return msgspec.structs.replace(
        series,
        import_uwh=[int(energy * factor) for energy in series.import_uwh],
        export_uwh=[int(energy * factor) for energy in series.export_uwh],
        steps_uwh=(
            max(1, int(series.steps_uwh[0] * factor)),
            max(1, int(series.steps_uwh[1] * factor)),
        ),
    )


def _interpretations(profile: Profile) -> Iterator[tuple[Mistake, Interpretation]]:
    points = profile.points()
    turned = {name: swapped(point) for name, point in points.items()}
    energy = turned | {"active_power": points["active_power"]}
    power = points | {"active_power": turned["active_power"]}
    if "energy_export" in points:
        yield Mistake.EXCHANGED, Interpretation(points, exchanged=True)
    if any(energy[name].count > 1 for name in points if name.startswith("energy")):
        yield Mistake.ENERGY_WORD_ORDER, Interpretation(energy)
    if points["active_power"].count > 1:
        yield Mistake.POWER_WORD_ORDER, Interpretation(power)
        yield Mistake.WORD_ORDER, Interpretation(turned)
    for scale in _SCALES:
        yield Mistake.SCALE, Interpretation(points, energy_factor=Fraction(1, scale))
        yield Mistake.SCALE, Interpretation(points, energy_factor=Fraction(scale))
