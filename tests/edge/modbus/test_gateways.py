"""TCP gateways with several meters behind one address, served by pymodbus's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_wire.clock import ClockConfig, make_clock

CLOCK = make_clock(ClockConfig())
UNITS = (1, 2, 7)
DEAD = 9


def sdm630(unit: int) -> SimDevice:
    """Eastron's manual: 30073 import and 30075 export in kWh, 30053 power in W, as floats of two
    registers, high word first; 464513 (0xFC00) the serial number."""
    registers = [
        SimData(0x34, values=12.0 * unit, datatype=DataType.FLOAT32),
        SimData(0x36, count=18, values=0, datatype=DataType.REGISTERS),
        SimData(0x48, values=[100.25 + unit, 50.5 + unit], datatype=DataType.FLOAT32),
    ]
    serial = [SimData(0xFC00, values=7000 + unit, datatype=DataType.UINT32)]
    unused = [SimData(0, values=False, datatype=DataType.BITS)]
    return SimDevice(unit, (unused, unused, serial, registers))


def dead(code: ExcCodes) -> SimDevice:
    """A gateway's own answer for a meter that is not there."""

    async def refuse(*_: Any) -> ExcCodes:
        await asyncio.sleep(0)
        return code

    device = sdm630(DEAD)
    device.action = refuse
    return device


@asynccontextmanager
async def gateway(framer: FramerType, *devices: SimDevice) -> AsyncIterator[Line]:
    server = ModbusTcpServer(list(devices), framer=framer, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    is_rtu = framer == FramerType.RTU
    bus = TcpBus(
        name="hall", host="127.0.0.1", meter=[], port=port, rtu_over_tcp=is_rtu, timeout_ms=300
    )
    line = Line(bus, FaultLog(start_logging()))
    await line.connect()
    try:
        yield line
    finally:
        line.close()
        await server.shutdown()


def reader_of(line: Line, unit: int) -> RegisterReader:
    config = MeterConfig(id=f"EASTRON-{7000 + unit}", profile="eastron_sdm630", address=unit)
    return RegisterReader(line, config, load_profile("eastron_sdm630"), CLOCK)


@pytest.mark.parametrize("framer", [FramerType.SOCKET, FramerType.RTU])
async def test_meters_behind_one_address_are_read_side_by_side(framer: FramerType) -> None:
    async with gateway(framer, *(sdm630(unit) for unit in UNITS)) as line:
        readers = [reader_of(line, unit) for unit in UNITS]
        for _ in range(3):
            readings = await asyncio.gather(*(reader.poll() for reader in readers))
            for unit, reading in zip(UNITS, readings, strict=True):
                assert reading.meter == f"EASTRON-{7000 + unit}"
                assert reading.import_uwh == (100_250_000 + unit * 10**6) * 1000
                assert reading.export_uwh == (50_500_000 + unit * 10**6) * 1000
                assert reading.power_w == 12 * unit


@pytest.mark.parametrize("framer", [FramerType.SOCKET, FramerType.RTU])
@pytest.mark.parametrize(
    ("code", "text"),
    [
        (ExcCodes.GATEWAY_PATH_UNAVIABLE, "exception 10 .gateway path unavailable"),
        (ExcCodes.GATEWAY_NO_RESPONSE, "exception 11 .gateway target device failed to respond"),
    ],
)
async def test_a_gateway_that_answers_for_a_dead_meter_hurts_no_other(
    framer: FramerType, code: ExcCodes, text: str
) -> None:
    async with gateway(framer, *(sdm630(unit) for unit in UNITS), dead(code)) as line:
        readers = [reader_of(line, unit) for unit in UNITS]
        gone = reader_of(line, DEAD)
        for _ in range(3):
            with pytest.raises(MeterRefused, match=text):
                await gone.poll()
            for unit, reader in zip(UNITS, readers, strict=True):
                assert (await reader.poll()).power_w == 12 * unit
        assert line.generation == 1, "one connection for all of it"
