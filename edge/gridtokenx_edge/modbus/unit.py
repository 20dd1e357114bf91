"""One address on a line: how long its reply is waited for, its rest between requests, and whether a
late reply may still come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.plan import Block, resync_block
from gridtokenx_edge.modbus.adaptive_timeout import AdaptiveTimeout
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.late_replies import Owed, is_alike
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import MeterSilent

# A busy meter holds the line for others about as long as the time-out of a silent one.
_BUSY_PAUSES_S = (0.05, 0.1, 0.2)


class Unit:
    """Asks one address. The meter's own gap and time-out in the config come before the model's and
    the bus's.
    """

    def __init__(self, line: Line, config: MeterConfig, min_gap_ms: int = 0) -> None:
        self.line = line
        self._address = config.address
        self._gap_s = (min_gap_ms if config.gap_ms is None else config.gap_ms) / 1000
        self._timeout_s = (config.timeout_ms or line.timeout_s * 1000) / 1000
        self._adaptive_timeout = AdaptiveTimeout(self._timeout_s)
        self._asked_at_s = float("-inf")

    @property
    def needs_rest(self) -> bool:
        return self._gap_s > 0

    @property
    def is_in_step(self) -> bool:
        """Whether no late reply may still come."""
        return self._owed() is None

    async def rest(self) -> None:
        """Wait as long as the meter wants between two requests. Do not hold the line: others can
        use it.
        """
        await asyncio.sleep(max(0.0, self._asked_at_s + self._gap_s - time.monotonic()))

    async def read(self, block: Block) -> list[int]:
        """Return the registers of a block. Hold the line while calling it. Raises BusFault.

        A meter that is busy is asked again a few times, after growing pauses.
        """
        for pause_s in _BUSY_PAUSES_S:
            try:
                return await self._read(block)
            except MeterRefused as refusal:
                if not refusal.is_busy:
                    raise
            await asyncio.sleep(max(pause_s, self._gap_s))
        return await self._read(block)

    async def _read(self, block: Block) -> list[int]:
        wire_s = self.line.wire_s(block)
        try:
            words = await self.line.read(
                self._address, block, self._adaptive_timeout.wait_s(wire_s)
            )
        except MeterSilent:
            self._adaptive_timeout.silent()
            raise
        except MeterRefused:
            self._adaptive_timeout.answered(self.line.round_trip_s, wire_s)
            raise
        else:
            self._adaptive_timeout.answered(self.line.round_trip_s, wire_s)
            return words
        finally:
            self._asked_at_s = time.monotonic()

    async def resync(self, candidates: Sequence[Block]) -> None:
        """After a lost reply, make sure that it cannot come in the place of a later one.

        A reply as late as the longest time-out passes while nobody asks this meter anything. An
        even later one has another shape than the next answer: one of `candidates` is asked for
        whose shape differs. All exception replies to one function code look the same, so after one
        of these the time must pass again. Raises BusFault.
        """
        owed = self._owed()
        if owed is None:
            return
        await self._let_pass(owed)
        block = resync_block(candidates, owed.blocks)
        await self.rest()
        try:
            async with self.line.hold():
                await self.read(block)
        except MeterRefused:
            if any(is_alike(block, other, is_refusal=True) for other in owed.blocks):
                await self._let_pass(Owed((block,), time.monotonic()))
        self.line.late_replies.forgive(self._address)

    def _owed(self) -> Owed | None:
        return self.line.late_replies.of(self._address, time.monotonic())

    async def _let_pass(self, owed: Owed) -> None:
        await asyncio.sleep(max(0.0, owed.asked_at_s + self._timeout_s - time.monotonic()))
