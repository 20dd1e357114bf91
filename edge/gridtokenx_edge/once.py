"""One poll of chosen meters, for the installer's `read`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from gridtokenx_edge.config import BusConfig, EdgeConfig, MeterConfig
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.modbus.faults import MeterGarbled, MeterSilent, ModbusError
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.readers import Reader, Readers
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.reading import Reading


class Answer(msgspec.Struct, frozen=True):
    """What came of asking a meter: a reading, or one line that says why not."""

    bus: str
    meter: MeterConfig
    reading: Reading | None = None
    error: str = ""


async def read_once(
    config: EdgeConfig, chosen: Sequence[tuple[BusConfig, Sequence[MeterConfig]]]
) -> list[Answer]:
    """Asks the chosen meters, the buses side by side; the answers are in the config's order."""
    clock = make_clock(config.clock)
    of_buses = await asyncio.gather(*(_read_bus(bus, meters, clock) for bus, meters in chosen))
    return [answer for answers in of_buses for answer in answers]


async def _read_bus(bus: BusConfig, meters: Sequence[MeterConfig], clock: Clock) -> list[Answer]:
    line = Line(bus, FaultLog(start_logging()))
    try:
        await line.connect()
        readers = Readers(line, clock)
        return [await _read_meter(readers.make(meter), bus, meter) for meter in meters]
    except ModbusError as fault:
        return [Answer(bus.name, meter, error=str(fault)) for meter in meters]
    finally:
        line.close()


async def _read_meter(reader: Reader, bus: BusConfig, meter: MeterConfig) -> Answer:
    for attempts_left in reversed(range(1 + bus.retries)):
        try:
            return Answer(bus.name, meter, await reader.poll())
        except (MeterSilent, MeterGarbled) as fault:
            if not attempts_left:
                return Answer(bus.name, meter, error=str(fault))
        except ModbusError as fault:
            return Answer(bus.name, meter, error=str(fault))
    raise AssertionError("the last attempt returns")
