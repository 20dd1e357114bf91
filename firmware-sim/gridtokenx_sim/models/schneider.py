"""Schneider Electric iEM3155.

From the iEM3100/3200/3300 user manual (DOCA0005EN): holding registers (function 3), high word
first; an address on the wire is the manual's register number minus 1. Powers are floats in kW,
energies 64-bit Wh, repeated as floats in Wh from 45100 on. The clock (DATETIME) is set to UTC
here. Unused addresses are refused.
"""

from __future__ import annotations

from gridtokenx_sim.models import quantities as of
from gridtokenx_sim.models.layout import Layout, Table
from gridtokenx_sim.models.register import Register

_WH = 10**6
_KW = 10**6  # mW


def _float(number: int, quantity: of.Quantity, per_count: int = 1000) -> Register:
    return Register(address=number - 1, kind="float32", quantity=quantity, per_count=per_count)


def _energy(number: int, quantity: of.Quantity) -> Register:
    return Register(
        address=number - 1, kind="int64", quantity=quantity, per_count=_WH, counter=True
    )


_REGISTERS = [
    Register(address=50 - 1, kind="ascii", quantity=of.constant("iEM3155"), length=20),
    Register(address=70 - 1, kind="ascii", quantity=of.constant("Schneider Electric"), length=20),
    Register(address=130 - 1, kind="uint32", quantity=of.serial_number),
    Register(address=1845 - 1, kind="datetime", quantity=of.time_ms),
    *[_float(3000 + 2 * phase, of.current_ma(phase)) for phase in range(3)],
    *[_float(3028 + 2 * phase, of.voltage_mv(phase)) for phase in range(3)],
    *[_float(3054 + 2 * phase, of.phase_mw(phase), _KW) for phase in range(3)],
    _float(3060, of.power_mw, _KW),
    _float(3110, of.frequency_mhz),
    _energy(3204, of.import_uwh),
    _energy(3208, of.export_uwh),
    Register(address=45100 - 1, kind="float32", quantity=of.import_uwh, per_count=_WH, step=_WH),
    Register(address=45102 - 1, kind="float32", quantity=of.export_uwh, per_count=_WH, step=_WH),
]

IEM3155 = Layout(
    model="schneider_iem3155",
    name="Schneider Electric iEM3155",
    maker="SCHNEIDER",
    phases=3,
    serial="uint32",
    tables={3: Table(_REGISTERS)},
)
