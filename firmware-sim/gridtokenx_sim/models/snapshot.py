"""A snapshot of everything that a meter could be asked at one moment."""

from __future__ import annotations

import msgspec

from gridtokenx_sim.physics.energy import Registers
from gridtokenx_sim.physics.noise import unit

_NOMINAL_MV = 230_000
_SWING_MV = 5_000
_SAG_MV_PER_W = 0.4  # about 0.1 ohm of supply line behind 230 V
_NOMINAL_MHZ = 50_000
_SWING_MHZ = 60
_PHASE_SHARES_PERCENT = (45, 30)  # the last phase takes the rest


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's quantities at one time. None stands for a value that it does not have (now)."""

    serial: str
    import_uwh: int | None
    export_uwh: int | None
    power_mw: int | None
    phase_mw: tuple[int, ...]
    voltage_mv: tuple[int, ...]
    current_ma: tuple[int, ...]
    frequency_mhz: int
    time_ms: int


def take_snapshot(registers: Registers, *, serial: str, phases: int, seed: int) -> Snapshot:
    """Return the quantities that go with `registers`: phases, voltages and currents, at power
    factor 1.
    """
    powers = _split(registers.power_mw, phases)
    minute = registers.time_ms // 60_000
    voltages = tuple(
        round(
            _NOMINAL_MV
            + _SWING_MV * (unit(seed, 4 * minute + phase) - 0.5)
            - _SAG_MV_PER_W * power / 1000
        )
        for phase, power in enumerate(powers)
    )
    return Snapshot(
        serial=serial,
        import_uwh=registers.import_uwh,
        export_uwh=registers.export_uwh,
        power_mw=registers.power_mw,
        phase_mw=powers,
        voltage_mv=voltages,
        current_ma=tuple(
            abs(power) * 1000 // voltage for power, voltage in zip(powers, voltages, strict=True)
        ),
        frequency_mhz=round(_NOMINAL_MHZ + _SWING_MHZ * (unit(seed, 4 * minute + 3) - 0.5)),
        time_ms=registers.time_ms,
    )


def _split(power_mw: int, phases: int) -> tuple[int, ...]:
    """Return the phases' powers, which add up to `power_mw` exactly."""
    if phases == 1:
        return (power_mw,)
    shares = [power_mw * share // 100 for share in _PHASE_SHARES_PERCENT]
    return (*shares, power_mw - sum(shares))
