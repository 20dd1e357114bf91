"""Where registers come from: a meter on a line, or a recording of one. It can only read."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import LineDown, MeterGarbled, MeterSilent

# Some models restart when they are asked without a pause. This pause costs a scan little.
_REST_S = 0.01


class Source(Protocol):
    """A meter that answers reads."""

    async def read(self, block: Block) -> list[int]:
        """Return the block's registers. Raises BusFault."""


class LineSource:
    """The meter at `address` of a line. A request without a valid reply, or to a meter
    that is busy, is made once more.
    """

    def __init__(self, line: Line, address: int, rest_s: float = _REST_S) -> None:
        self._line = line
        self._address = address
        self._rest_s = rest_s
        self._asked_at_s = float("-inf")

    async def read(self, block: Block) -> list[int]:
        try:
            return await self._read(block)
        except MeterRefused as refusal:
            if not refusal.is_busy:
                raise
        except (MeterSilent, MeterGarbled):
            pass
        # A late reply must not be taken for the next one's, so it gets time to come.
        await asyncio.sleep(self._line.timeout_s)
        return await self._read(block)

    async def _read(self, block: Block) -> list[int]:
        rest_s = self._asked_at_s + self._rest_s - time.monotonic()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        try:
            return await read_in_turn(self._line, self._address, block)
        finally:
            self._asked_at_s = time.monotonic()


async def read_in_turn(line: Line, address: int, block: Block) -> list[int]:
    """Make one request on a line that reopens itself after much silence. Raises BusFault."""
    async with line.hold():
        if not line.is_up:
            await line.connect()
        try:
            return await line.read(address, block)
        except LineDown:
            await line.connect()  # it may have gone down just now, between two requests
            return await line.read(address, block)
