"""The gateway's own bus code against libmodbus, a server that is neither ours nor pymodbus's.

The bytes of its registers are written here by hand, from the makers' documents.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.faults import MeterSilent
from gridtokenx_sim.line.line import Line as SimulatedLine
from gridtokenx_wire.clock import ClockConfig, make_clock

SERVER = Path(__file__).parent / "libmodbus_server.py"

# Eastron SDM630 Modbus V2, protocol manual: input registers are IEEE 754 floats of two registers,
# high word first. 30053 (0x34) total power in W, 30073 (0x48) import and 30075 (0x4A) export in
# kWh; holding register 464513 (0xFC00) the serial number. 43 66 33 33 is the manual's 230.2.
SDM630 = {
    "inputs": {"34": "43 66 33 33" + "00" * 36 + "44 9a 52 25 42 86 80 00"},
    "holding": {"fc00": "00 bc 61 4e"},
}
# ABB B23/B24 user manual (2CMC485003M0201), chapter 9: active energy import 0x5000 and export
# 0x5004 in 0.01 kWh, four registers each; power 0x5B14 in 0.01 W, signed; serial number 0x8900;
# type designation 0x8960 in ASCII.
B23 = {
    "holding": {
        "5000": "00 00 00 00 00 01 e2 3a",
        "5004": "00 00 00 00 00 00 1a 45",
        "5b14": "ff ff ff 38",
        "8900": "00 00 04 d2",
        "8960": "42 32 33 20",
    }
}
METERS = [
    pytest.param(SDM630, "EASTRON-12345678", "eastron_sdm630", (1234567, 67250, 230), id="sdm630"),
    pytest.param(B23, "ABB-1234", "abb_b23", (1234500, 67250, -2), id="b23"),
]
"""Registers, id, profile; and what they mean: Wh imported and exported, W."""


@contextmanager
def libmodbus(**plan: Any) -> Iterator[str]:
    """A running server; yields its first line."""
    try:
        ctypes.CDLL("libmodbus.so.5")
    except OSError:
        pytest.fail("expected the Debian package libmodbus5; scripts/test installs it")
    with subprocess.Popen(
        [sys.executable, str(SERVER), json.dumps(plan)], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout
            yield server.stdout.readline().strip()
        finally:
            server.kill()


@asynccontextmanager
async def connected(bus: BusConfig) -> AsyncIterator[Line]:
    line = Line(bus, FaultLog(start_logging()))
    await line.connect()
    try:
        yield line
    finally:
        line.close()


@asynccontextmanager
async def on_serial(folder: Path, registers: dict[str, Any], baud: int) -> AsyncIterator[Line]:
    wire = SimulatedLine(folder / "tty", baud, paced=True)
    plan = {"kind": "rtu", "port": wire.meters_port, "baud": baud, "unit": 1, **registers}
    with libmodbus(**plan) as said:
        assert said == "ready"
        wire.open()
        try:
            async with connected(
                SerialBus(name="roof", port=str(wire.link), meter=[], baud=baud)
            ) as line:
                yield line
        finally:
            wire.close()


@asynccontextmanager
async def on_tcp(_: Path, registers: dict[str, Any], __: int) -> AsyncIterator[Line]:
    with libmodbus(kind="tcp", **registers) as port:
        async with connected(
            TcpBus(name="hall", host="127.0.0.1", meter=[], port=int(port))
        ) as line:
            yield line


@pytest.mark.parametrize(("serve", "baud"), [(on_serial, 9600), (on_serial, 38_400), (on_tcp, 0)])
@pytest.mark.parametrize(("registers", "meter_id", "profile", "means"), METERS)
async def test_a_meter_served_by_libmodbus_is_read(
    tmp_path: Path,
    serve: Any,
    baud: int,
    registers: dict[str, Any],
    meter_id: str,
    profile: str,
    means: tuple[int, int, int],
) -> None:
    clock = make_clock(ClockConfig())
    async with serve(tmp_path, registers, baud) as line:
        config = MeterConfig(id=meter_id, profile=profile, address=1)
        reader = RegisterReader(line, config, load_profile(profile), clock)
        for _ in range(3):
            reading = await reader.poll()
            seen = (reading.import_uwh // 10**6, reading.export_uwh // 10**6, reading.power_w)
            assert seen == means
            assert reading.flags == 0


async def test_libmodbus_refuses_what_it_has_not_and_goes_on(tmp_path: Path) -> None:
    async with on_serial(tmp_path, SDM630, 38_400) as line:
        with pytest.raises(MeterRefused, match="illegal data address"):
            await line.read(1, Block(fc=4, address=0x1000, count=2))
        with pytest.raises(MeterSilent):
            # Another address: libmodbus listens for that one's reply, half a second long.
            await line.read(2, Block(fc=3, address=0xFC00, count=2), 0.8)
        assert await line.read(1, Block(fc=3, address=0xFC00, count=2)) == [0x00BC, 0x614E]
