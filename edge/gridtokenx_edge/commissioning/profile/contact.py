"""One meter on a bus, for as long as it is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.source import LineSource
from gridtokenx_edge.commissioning.scan.target import Target
from gridtokenx_edge.commissioning.scan.timing import read_timeout_s
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.modbus.line import Line


class MeterPlace(msgspec.Struct, frozen=True):
    """Where a meter is. `settings` is None on TCP."""

    target: Target
    settings: LineSettings | None
    address: int

    def __str__(self) -> str:
        at = f" at {self.settings}" if self.settings else ""
        return f"{self.target}{at}, address {self.address}"


@asynccontextmanager
async def open_meter(place: MeterPlace) -> AsyncIterator[LineSource]:
    """Open the meter's line and give a source of its registers. Raises LineDown."""
    bus = place.target.bus(place.settings, read_timeout_s(place.settings))
    line = Line(bus, FaultLog(start_logging()))
    await line.connect()
    try:
        yield LineSource(line, place.address)
    finally:
        line.close()
