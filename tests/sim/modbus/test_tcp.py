"""Modbus TCP: frames written by hand through a plain socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from gridtokenx_sim.bus_error import BusError
from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.modbus.buses import RunningTcpBus
from gridtokenx_sim.simulation import serve

GAVAZZI = {
    "model": "carlo_gavazzi_em24_e1",
    "address": 1,
    "serial": "BX0001",
    "import_kwh": "1234.5",
}
BUS = {"name": "t", "kind": "tcp", "meter": [GAVAZZI]}


async def ask(port: int, frame: str, length: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(bytes.fromhex(frame))
        return await asyncio.wait_for(reader.readexactly(length), 2)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("12 34 00 00 00 06 01 04 00 34 00 02", "12 34 00 00 00 07 01 04 04 30 39 00 00"),
        ("00 01 00 00 00 06 01 03 00 0b 00 01", "00 01 00 00 00 05 01 03 02 06 70"),
        ("00 02 00 00 00 06 09 04 00 34 00 02", "00 02 00 00 00 03 09 84 0b"),  # no such unit
        ("00 03 00 00 00 06 01 04 02 00 00 02", "00 03 00 00 00 03 01 84 02"),
        ("00 04 00 00 00 06 01 04 00 00 00 7e", "00 04 00 00 00 03 01 84 03"),
    ],
)
async def test_a_frame_by_hand_gets_its_reply_byte_for_byte(
    site_config: Callable[..., Any], clock: HandClock, asked: str, answered: str
) -> None:
    async with serve(site_config(BUS), clock) as running:
        expected = bytes.fromhex(answered)
        assert await ask(running.buses[0].port, asked, len(expected)) == expected


async def test_an_unplugged_gateway_refuses_and_returns_on_its_port(
    site_config: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(site_config(BUS), clock) as running:
        bus = running.buses[0]
        assert isinstance(bus, RunningTcpBus)
        port = bus.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await bus.unplug()
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await bus.replug()
        assert bus.port == port
        assert len(await ask(port, "00 01 00 00 00 06 01 03 00 0b 00 01", 11)) == 11


async def test_a_taken_port_is_one_line(site_config: Callable[..., Any], clock: HandClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BusError, match=f"bus t: expected to listen on 127.0.0.1:{port}"):
            async with serve(site_config({**BUS, "port": port}), clock):
                pass
