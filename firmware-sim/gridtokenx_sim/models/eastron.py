"""Eastron SDM120, SDM230, SDM630 and SDM72D-M.

From the maker's "Modbus Protocol Implementation" documents: input registers (function 4) hold
IEEE 754 floats, high word first; holding registers (function 3) hold settings and the serial
number at 0xFC00 (unsigned 32 bits). One request carries at most 40 values, 80 registers (30 and
60 for the SDM72D-M). An input register that a model does not use reads as zero ("any parameter
with a cross will return the value zero"), so the block up to 0x017F has no holes.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_sim.models import quantities as of
from gridtokenx_sim.models.layout import Layout, Table
from gridtokenx_sim.models.register import Register

_KWH = 10**9
_WH = 10**6  # their counters' step, as their 1000 pulses for a kWh
_INPUT_BLOCK = range(0x0180)


def _float(address: int, quantity: of.Quantity, per_count: int = 1000) -> Register:
    return Register(address=address, kind="float32", quantity=quantity, per_count=per_count)


def _energies() -> list[Register]:
    return [
        Register(address=address, kind="float32", quantity=quantity, per_count=_KWH, step=_WH)
        for address, quantity in (
            (0x0048, of.import_uwh),
            (0x004A, of.export_uwh),
            (0x0156, of.total_uwh),
        )
    ]


def _phases(count: int) -> list[Register]:
    """Return voltage, current and power of each phase."""
    return [
        register
        for phase in range(count)
        for register in (
            _float(0x0000 + 2 * phase, of.voltage_mv(phase)),
            _float(0x0006 + 2 * phase, of.current_ma(phase)),
            _float(0x000C + 2 * phase, of.phase_mw(phase)),
        )
    ]


def _layout(
    model: str, name: str, phases: int, inputs: Sequence[Register], max_registers: int = 80
) -> Layout:
    return Layout(
        model=model,
        name=name,
        maker="EASTRON",
        phases=1 if phases == 1 else 3,
        serial="uint32",
        tables={
            3: Table([Register(address=0xFC00, kind="uint32", quantity=of.serial_number)]),
            4: Table(inputs, filled=[_INPUT_BLOCK]),
        },
        max_registers=max_registers,
    )


_FREQUENCY = _float(0x0046, of.frequency_mhz)
_TOTAL_POWER = _float(0x0034, of.power_mw)

SDM120 = _layout(
    "eastron_sdm120", "Eastron SDM120-Modbus", 1, [*_phases(1), _FREQUENCY, *_energies()]
)
SDM230 = _layout(
    "eastron_sdm230", "Eastron SDM230-Modbus", 1, [*_phases(1), _FREQUENCY, *_energies()]
)
SDM630 = _layout(
    "eastron_sdm630",
    "Eastron SDM630-Modbus",
    3,
    [*_phases(3), _TOTAL_POWER, _FREQUENCY, *_energies()],
)
# The first SDM72D-M measures no voltages or currents.
SDM72D_M = _layout(
    "eastron_sdm72d_m", "Eastron SDM72D-M", 3, [_TOTAL_POWER, *_energies()], max_registers=60
)
