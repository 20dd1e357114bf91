"""Carlo Gavazzi EM24 (RS485), EM24 E1 (Ethernet) and EM340.

From the maker's protocol documents (EM24-DIN V4R0, EM300 and ET300 series V2R6): functions 3
and 4 read the same map; 32-bit values have the low word first. The identification code at
0x000B answers only a request for that one word; in a longer read the address is the high word
of a voltage. Energy counts in 0.1 kWh. A request carries at most 11 registers on the EM24
(RS485) and 50 on the EM300 series.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_sim.models import quantities as of
from gridtokenx_sim.models.layout import Layout, Table
from gridtokenx_sim.models.register import Register

_DECI_KWH = 10**8  # µWh in 0.1 kWh
_SERIAL_LENGTH = 7


def _energy(address: int, quantity: of.Quantity) -> Register:
    return Register(
        address=address,
        kind="int32",
        quantity=quantity,
        per_count=_DECI_KWH,
        lsw_first=True,
        counter=True,
    )


def _int32(address: int, quantity: of.Quantity, per_count: int) -> Register:
    return Register(
        address=address, kind="int32", quantity=quantity, per_count=per_count, lsw_first=True
    )


def _identification(code: int) -> Register:
    return Register(address=0x000B, kind="uint16", quantity=of.constant(code), alone=True)


def _serial(address: int) -> Register:
    return Register(address=address, kind="ascii", quantity=of.serial_text, length=_SERIAL_LENGTH)


def _electrical() -> list[Register]:
    """Return voltage, current and power of each phase, and the sum of power.

    All models have them.
    """
    phases = [
        register
        for phase in range(3)
        for register in (
            _int32(0x0000 + 2 * phase, of.voltage_mv(phase), 100),
            _int32(0x000C + 2 * phase, of.current_ma(phase), 1),
            _int32(0x0012 + 2 * phase, of.phase_mw(phase), 100),
        )
    ]
    return [*phases, _int32(0x0028, of.power_mw, 100)]


def _layout(
    model: str,
    name: str,
    registers: Sequence[Register],
    *,
    block: range,
    max_registers: int,
    wire: str,
    without_export: bool = False,
) -> Layout:
    table = Table(registers, filled=[block])
    return Layout(
        model=model,
        name=name,
        maker="CARLO-GAVAZZI",
        phases=3,
        serial="ascii",
        tables={3: table, 4: table},
        max_registers=max_registers,
        wires=frozenset({wire, "tcp"}),
        without_export=without_export,
    )


EM24_RS485 = _layout(
    "carlo_gavazzi_em24_rs485",
    "Carlo Gavazzi EM24-DIN",
    [
        *_electrical(),
        Register(address=0x0037, kind="int16", quantity=of.frequency_mhz, per_count=100),
        _energy(0x003E, of.import_uwh),  # kWh(+) total
        _energy(
            0x0042, of.import_uwh
        ),  # kWh(+) partial, which is never reset here; other software reads it
        _energy(0x005C, of.export_uwh),  # refused where the application does not count it
        _identification(71),
        _serial(0x1300),
        _serial(0x5000),  # the register of the Ethernet version and the EM300 series
    ],
    block=range(0x0068),
    max_registers=11,
    wire="serial",
    without_export=True,
)


def _em300_energies() -> list[Register]:
    return [
        Register(address=0x0033, kind="int16", quantity=of.frequency_mhz, per_count=100),
        _energy(0x0034, of.import_uwh),
        _energy(0x003C, of.import_uwh),  # partial, never reset here
        _energy(0x004E, of.export_uwh),
        _serial(0x5000),
    ]


EM24_E1 = _layout(
    "carlo_gavazzi_em24_e1",
    "Carlo Gavazzi EM24 E1",
    [
        *_electrical(),
        *_em300_energies(),
        _identification(1648),
        Register(address=0x1002, kind="uint16", quantity=of.constant(0)),  # measuring system 3P.n
        Register(
            address=0xA000, kind="uint16", quantity=of.constant(7)
        ),  # application H: counts both directions
    ],
    block=range(0x0080),
    max_registers=50,
    wire="tcp",
)

EM340 = _layout(
    "carlo_gavazzi_em340",
    "Carlo Gavazzi EM340",
    [*_electrical(), *_em300_energies(), _identification(341)],
    block=range(0x0080),
    max_registers=50,
    wire="serial",
)
