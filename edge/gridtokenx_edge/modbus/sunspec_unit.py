"""One SunSpec unit on a line: an address behind which one or several meters and inverters stand.

All readers of an address share its unit. So its models are walked once for all of them, and a late
reply to one reader's request is not taken for another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.sunspec.chain import BASES, Chain, ModelAt, walk
from gridtokenx_edge.meters.sunspec.nameplate import Nameplate, decode_nameplate, nameplate_block
from gridtokenx_edge.modbus.faults import (
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    ILLEGAL_FUNCTION,
    MeterRefused,
)
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.unit import Unit
from gridtokenx_edge.polling.faults import MeterGarbled, MeterStrange, ValueMissing
from gridtokenx_wire.clock import Clock

# The exceptions that say that there are no such registers; others say that the device has a fault.
_NOT_THERE = (ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE)
_NEVER = 0


class SunSpecUnit:
    """Asks a unit, and knows its models from the time that the line came up."""

    def __init__(self, line: Line, config: MeterConfig, clock: Clock) -> None:
        self._line = line
        self._unit = Unit(line, config)
        self._clock = clock
        self._walking = asyncio.Lock()
        self._walked = _NEVER  # the line's generation at the last walk
        self._chain: Chain | None = None
        self._nameplates: dict[ModelAt, Nameplate] = {}

    def forget(self) -> None:
        """The unit was away, or its registers have moved: walk its models again before the next
        reading.
        """
        self._walked = _NEVER

    async def chain(self) -> Chain:
        """Return the unit's models. Raises BusFault."""
        async with self._walking:
            if self._chain is None or self._walked != self._line.generation:
                self._chain = await self._walk()
            return self._chain

    async def nameplate(self, model: ModelAt) -> Nameplate:
        """Return who a device of the unit says it is. Raises BusFault."""
        async with self._walking:
            if model not in self._nameplates:
                _, (words,) = await self.read([nameplate_block(model)])
                if words[:2] != model.header:
                    self.forget()
                    raise MeterGarbled(f"expected a common model, found {words[0]}")
                self._nameplates[model] = decode_nameplate(words)
            return self._nameplates[model]

    async def read(self, blocks: Sequence[Block]) -> tuple[int, list[list[int]]]:
        """Return when the first block was asked for, and the registers of all. Raises BusFault."""
        while True:
            await self._unit.resync(())
            await self._unit.rest()
            async with self._line.hold():
                if self._unit.is_in_step:  # another reader of this unit may just have lost a reply
                    time_ms = self._clock.now_ms()
                    return time_ms, [await self._ask(block) for block in blocks]

    async def _walk(self) -> Chain:
        generation = self._line.generation
        known = [self._chain.base] if self._chain else []
        steps = walk([*known, *(base for base in BASES if base not in known)])
        words: list[int] | None = None
        try:
            block = next(steps)
            while True:
                try:
                    _, (words,) = await self.read([block])
                except MeterRefused as refusal:
                    if refusal.code not in _NOT_THERE:
                        raise
                    words = None
                block = steps.send(words)
        except StopIteration as end:
            chain: Chain | None = end.value
        if chain is None and self._chain:
            raise ValueMissing("its SunSpec registers are gone; an inverter asleep shows nothing")
        if chain is None:
            raise MeterStrange("expected SunSpec at register 40000, 50000 or 0, found none")
        self._walked = generation
        self._nameplates.clear()
        return chain

    async def _ask(self, block: Block) -> list[int]:
        """Read a block while holding the line, also during the rest before it, which is
        rare here.
        """
        await self._unit.rest()
        return await self._unit.read(block)
