"""Voltages, frequency and current that a wrong profile would not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gridtokenx_edge.commissioning.check.finding import Finding, error, ok, warning
from gridtokenx_edge.commissioning.check.format_quantity import label, shown, unit

# Low-voltage grids have 100 to 240 V from phase to neutral, ±10 % (IEC 60038), at 50 or 60 Hz.
_VOLTAGES_MV = (85_000, 300_000)
_DEAD_MV = 20_000
_FREQUENCIES_MHZ = (45_000, 65_000)
_MOST_CURRENT_MA = 2_000_000
_PHASES = ("l1", "l2", "l3")
# A power is beyond what its voltages and currents carry if it is half as much again, and more than
# rounding explains.
_EXCESS_W = 100


def judge_values(
    meter: str, profile: str, values: Mapping[str, int | None], power_w: int | None
) -> Iterator[Finding]:
    """Yield findings from one reading of a model's values (mV, mA, mHz) and its power."""
    told = {name: value for name, value in values.items() if value is not None}
    if not any(value for name, value in told.items() if name.startswith("voltage")):
        return  # a model's register that this meter does not measure reads as zero
    strange = [name for name, value in told.items() if not _is_plausible(name, value)]
    if strange:
        yield error(
            "implausible",
            meter,
            ", ".join(_said(name, told[name]) for name in strange),
            f"no grid has that: profile {profile} may be another model's",
        )
        return
    voltages = {name: value for name, value in told.items() if name.startswith("voltage")}
    dead = [name for name, value in voltages.items() if value < _DEAD_MV]
    if dead and len(dead) < len(voltages):
        names = ", ".join(_said(name, voltages[name]) for name in dead)
        yield warning("dead_phase", meter, names, "a fuse, or a voltage wire that is not connected")
    if power_fits(told, power_w) is False:
        seen = f"{abs(power_w or 0)} W, but voltages and currents carry {_apparent_va(told)} VA"
        do = f"compare the power with the display: its scale in profile {profile} may be wrong"
        yield error("power_scale", meter, seen, do)
        return
    looked_at = [name for name in told if name.startswith(("voltage", "frequency"))]
    if looked_at:
        yield ok("plausible", meter, ", ".join(_said(name, told[name]) for name in looked_at))


def power_fits(values: Mapping[str, int | None], power_w: int | None) -> bool | None:
    """Return whether voltages and currents carry the power, or None if that cannot be said.

    It is False if the power is far more than they carry, and True if it is neither that nor a small
    part of it.
    """
    apparent_va = _apparent_va(values)
    if apparent_va is None or power_w is None:
        return None
    if 2 * abs(power_w) > 3 * apparent_va + 2 * _EXCESS_W:
        return False
    return True if _EXCESS_W < apparent_va < 5 * abs(power_w) else None


def _is_plausible(name: str, value: int) -> bool:
    if name.startswith("voltage"):
        return 0 <= value < _DEAD_MV or _VOLTAGES_MV[0] <= value <= _VOLTAGES_MV[1]
    if name == "frequency":
        return value == 0 or _FREQUENCIES_MHZ[0] <= value <= _FREQUENCIES_MHZ[1]
    if name.startswith("current"):
        return abs(value) <= _MOST_CURRENT_MA
    return True


def _apparent_va(values: Mapping[str, int | None]) -> int | None:
    """Return the sum of voltage times current, or None unless each voltage has its current."""
    total_uva, count = 0, 0
    for phase in _PHASES:
        voltage_mv, current_ma = values.get(f"voltage_{phase}"), values.get(f"current_{phase}")
        if voltage_mv is None:
            continue
        if current_ma is None:
            return None
        total_uva += voltage_mv * abs(current_ma)
        count += 1
    return total_uva // 10**6 if count else None


def _said(name: str, value: int) -> str:
    return f"{label(name)} {shown(name, value)} {unit(name)}"
