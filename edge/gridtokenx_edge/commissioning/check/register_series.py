"""A meter's raw registers over time, under its profile or under another reading of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import Profile

# A float32 has 24 significant bits.
_FLOAT_BITS = 23
# No meter of a neighbourhood carries 2 MW, nor has it counted 10 GWh.
_MOST_POWER_W = 2 * 10**6
_MOST_ENERGY_UWH = 10**16


class Sample(msgspec.Struct, frozen=True):
    """One poll: the raw words of the points that were answered, by name."""

    time_ms: int
    words: dict[str, tuple[int, ...]]


class Interpretation(msgspec.Struct, frozen=True):
    """A way to read the registers: the profile's, or one with a mistake undone.

    If `exchanged`, the export register is import and the other way round, but the power stays.
    """

    points: Mapping[str, Point]
    exchanged: bool = False
    energy_factor: Fraction = Fraction(1)


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Values over time as the site sees them. A register without a value is empty.

    `steps_uwh` are the resolutions of import and export.
    """

    times_ms: list[int]
    import_uwh: list[int]
    export_uwh: list[int]
    power_w: list[int]
    steps_uwh: tuple[int, int]

    @property
    def is_absurd(self) -> bool:
        energies = self.import_uwh[-1:] + self.export_uwh[-1:]
        return any(abs(power) > _MOST_POWER_W for power in self.power_w) or any(
            energy > _MOST_ENERGY_UWH for energy in energies
        )

    @property
    def mean_power_w(self) -> int:
        return sum(self.power_w) // len(self.power_w) if self.power_w else 0


def as_profiled(profile: Profile) -> Interpretation:
    """Return the interpretation that the profile has."""
    return Interpretation(profile.points())


def swapped(point: Point) -> Point:
    """Return the point with its words in the other order."""
    order = "lsw_first" if point.word_order == "msw_first" else "msw_first"
    return msgspec.structs.replace(point, word_order=order)


def read_series(reading: Interpretation, samples: Sequence[Sample], *, invert: bool) -> Series:
    """Decode the samples. A value that most of them lack counts as none.

    A sample that lacks what others have is left out. (Words in the wrong order make some floats
    look possible, and others not.)
    """
    decoded = [
        (sample.time_ms, {name: _decode(reading, name, sample) for name in reading.points})
        for sample in samples
    ]
    present = [
        name
        for name in reading.points
        if 2 * sum(values[name] is not None for _, values in decoded) > len(decoded)
    ]
    kept = [row for row in decoded if all(row[1][name] is not None for name in present)]
    columns: dict[str, list[int]] = {
        name: [values[name] or 0 for _, values in kept] if name in present else []
        for name in ("energy_import", "energy_export", "active_power")
    }
    energies = [columns["energy_import"], columns["energy_export"]]
    steps = [_step_uwh(reading, name, columns[name]) for name in ("energy_import", "energy_export")]
    if invert != reading.exchanged:
        energies.reverse()
        steps.reverse()
    power_w = [-power for power in columns["active_power"]] if invert else columns["active_power"]
    return Series(
        times_ms=[time_ms for time_ms, _ in kept],
        import_uwh=energies[0],
        export_uwh=energies[1],
        power_w=power_w,
        steps_uwh=(steps[0], steps[1]),
    )


def _decode(reading: Interpretation, name: str, sample: Sample) -> int | None:
    words = sample.words.get(name)
    value = reading.points[name].decode(words) if words else None
    if value is None or not reading.points[name].is_energy:
        return value
    return int(value * reading.energy_factor)


def _step_uwh(reading: Interpretation, name: str, counted_uwh: Sequence[int]) -> int:
    """Return the resolution of an energy register at the values that it has."""
    point = reading.points.get(name)
    if point is None:
        return 1
    if point.type == "float32":
        highest = max(counted_uwh, default=0)
        return max(int(point.step * reading.energy_factor), highest >> _FLOAT_BITS, 1)
    one = [0] * (point.count - 1) + [1]
    step = point.decode(one if point.word_order == "msw_first" else one[::-1]) or 1
    return max(int(step * reading.energy_factor), 1)
