"""The table of drivers: which one opens the buses of which section of the config."""

from __future__ import annotations

from gridtokenx_edge.modbus.driver import ModbusDriver
from gridtokenx_edge.polling.buses import AnyDriver, DriverTable
from gridtokenx_edge.polling.driver import Surroundings


def _dlms(surroundings: Surroundings) -> AnyDriver:
    # Imported where it is wanted: memory is dear on a Pi.
    from gridtokenx_edge.dlms.driver import DlmsDriver  # noqa: PLC0415

    return DlmsDriver(surroundings)


DRIVERS: DriverTable = {
    "bus": ModbusDriver,
    "dlms": _dlms,
}
