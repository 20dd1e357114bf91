"""ABB B23.

From the B23/B24 user manual (2CMC485003M0201, "Communication with Modbus"): holding registers
(function 3) only, high word first. What the meter cannot measure reads as all ones (unsigned)
or 0x7F.. (signed). Unused addresses are refused here, inside blocks too: what a real B23 does
there is not documented, and a gateway should not depend on it.
"""

from __future__ import annotations

from gridtokenx_sim.models import quantities as of
from gridtokenx_sim.models.layout import Layout, Table
from gridtokenx_sim.models.register import Register

_CENTI_KWH = 10**7  # µWh in 0.01 kWh
_NO_U64 = 0xFFFF_FFFF_FFFF_FFFF
_NO_I64 = 0x7FFF_FFFF_FFFF_FFFF
_NO_U32 = 0xFFFF_FFFF
_NO_I32 = 0x7FFF_FFFF
_NO_U16 = 0xFFFF


def _energy(address: int, quantity: of.Quantity) -> Register:
    return Register(
        address=address,
        kind="uint64",
        quantity=quantity,
        per_count=_CENTI_KWH,
        invalid=_NO_U64,
        counter=True,
    )


def _power(address: int, quantity: of.Quantity) -> Register:
    return Register(address=address, kind="int32", quantity=quantity, per_count=10, invalid=_NO_I32)


_REGISTERS = [
    _energy(0x5000, of.import_uwh),
    _energy(0x5004, of.export_uwh),
    Register(
        address=0x5008,
        kind="int64",
        quantity=of.net_uwh,
        per_count=_CENTI_KWH,
        invalid=_NO_I64,
        counter=True,
    ),
    *[
        Register(
            address=0x5B00 + 2 * phase,
            kind="uint32",
            quantity=of.voltage_mv(phase),
            per_count=100,
            invalid=_NO_U32,
        )
        for phase in range(3)
    ],
    *[
        Register(
            address=0x5B0C + 2 * phase,
            kind="uint32",
            quantity=of.current_ma(phase),
            per_count=10,
            invalid=_NO_U32,
        )
        for phase in range(3)
    ],
    _power(0x5B14, of.power_mw),
    *[_power(0x5B16 + 2 * phase, of.phase_mw(phase)) for phase in range(3)],
    Register(
        address=0x5B2C, kind="uint16", quantity=of.frequency_mhz, per_count=10, invalid=_NO_U16
    ),
    Register(address=0x8900, kind="uint32", quantity=of.serial_number),
    Register(address=0x8960, kind="ascii", quantity=of.constant("B23 "), length=2),
]

ABB_B23 = Layout(
    model="abb_b23",
    name="ABB B23",
    maker="ABB",
    phases=3,
    serial="uint32",
    tables={3: Table(_REGISTERS)},
    without_export=True,
)
