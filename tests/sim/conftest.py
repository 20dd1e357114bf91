"""A site to simulate, a clock moved by hand, and a serial port read without any Modbus library."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import serial
from tests.sim.dlms.reader import METER as DLMS_METER
from tests.sim.dlms.reader import SERIAL as DLMS_SERIAL

from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.config.loading import parse_config
from gridtokenx_sim.config.sim_config import SimConfig

START = "2026-06-21T00:00:00Z"
START_MS = round(datetime(2026, 6, 21, tzinfo=UTC).timestamp() * 1000)
SITE = {"latitude": 48.2, "longitude": 16.37, "seed": 7, "start": START}

METER = {
    "model": "eastron_sdm630",
    "address": 1,
    "serial": "12345678",
    "import_kwh": "1234.5",
    "export_kwh": "67.25",
}


def _crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, bit by bit, low byte first."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


class Port:
    """The gateway's end of a line, by pyserial alone."""

    def __init__(self, path: Path, baud: int = 9600) -> None:
        self.serial = serial.Serial(str(path), baud, timeout=0)

    async def send(self, frame: str) -> None:
        """Bytes in hex, as they are."""
        self.serial.write(bytes.fromhex(frame))

    async def receive(self, until: int = 5, within_s: float = 2.0) -> bytes:
        """Return what arrives until the line falls silent, at least `until` bytes, or the time is
        up.
        """
        received = b""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            await asyncio.sleep(0.005)
            more = self.serial.read(512)
            received += more
            if not more and len(received) >= until:
                break
        return received

    async def begin(self, body: str) -> None:
        """Send a request whose checksum is added here."""
        await self.send((bytes.fromhex(body) + _crc(bytes.fromhex(body))).hex())

    async def ask(self, body: str, until: int = 5, within_s: float = 2.0) -> bytes:
        """Return the reply to a request whose checksum is added here."""
        await self.begin(body)
        return await self.receive(until, within_s)

    async def registers(self, body: str) -> list[int]:
        """Return the registers of a correct reply."""
        count = bytes.fromhex(body)[5]
        reply = await self.ask(body, until=5 + 2 * count)
        assert reply[:3] == bytes.fromhex(body)[:2] + bytes([2 * count]), reply.hex(" ")
        assert _crc(reply[:-2]) == reply[-2:]
        words = reply[3:-2]
        return [int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2)]

    def close(self) -> None:
        self.serial.close()


@pytest.fixture
def crc() -> Callable[[bytes], bytes]:
    return _crc


@pytest.fixture
def meter_entry() -> dict[str, Any]:
    """Return a meter's section, with counters that are not at zero and neither load nor panels."""
    return dict(METER)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(START_MS)


@pytest.fixture
def site_config(tmp_path: Path) -> Callable[..., SimConfig]:
    """Return a config of the given buses at the usual site."""

    def build(*buses: dict[str, Any]) -> SimConfig:
        return parse_config({"site": SITE, "bus": list(buses)}, folder=tmp_path)

    return build


@pytest.fixture
def one_meter(site_config: Callable[..., SimConfig]) -> Callable[..., SimConfig]:
    """Return a config of one serial bus with one meter, changed as told."""

    def build(**changes: Any) -> SimConfig:
        return site_config(
            {"name": "a", "kind": "serial", "link": "a", "meter": [{**METER, **changes}]}
        )

    return build


@pytest.fixture
def open_port() -> Iterator[Callable[..., Port]]:
    ports: list[Port] = []

    def build(path: Path, baud: int = 9600) -> Port:
        ports.append(Port(path, baud))
        return ports[-1]

    yield build
    for port in ports:
        port.close()


@pytest.fixture
def dlms(site_config: Callable[..., Any]) -> Callable[..., Any]:
    """Return a config of one bus, its meter changed as told."""

    def build(
        bus: dict[str, Any] = DLMS_SERIAL, changes: dict[str, Any] | None = None, **more: Any
    ) -> Any:
        return site_config({**bus, "meter": [{**DLMS_METER, **(changes or {})}], **more})

    return build
