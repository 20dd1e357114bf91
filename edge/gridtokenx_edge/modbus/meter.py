"""One meter on a line: who it is, and one reading of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gridtokenx_edge.config import MeterConfig
from gridtokenx_edge.meters.identity import decode_serial, meter_id
from gridtokenx_edge.meters.plan import (
    Block,
    decode_points,
    plan_blocks,
    quantities,
    register_block,
    resync_block,
)
from gridtokenx_edge.meters.point import Point, join_words
from gridtokenx_edge.meters.profile import ModelRegister, Profile
from gridtokenx_edge.modbus.faults import (
    ILLEGAL_DATA_ADDRESS,
    MeterGarbled,
    MeterRefused,
    MeterSilent,
    MeterStrange,
    ValueMissing,
)
from gridtokenx_edge.modbus.line import Line
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading, ReadingFlag

_NEVER = 0


class MeterReader:
    """Reads a meter. Every value comes from the poll that reports it; nothing is kept."""

    def __init__(self, line: Line, config: MeterConfig, profile: Profile, clock: Clock) -> None:
        self._line = line
        self._config = config
        self._profile = profile
        self._clock = clock
        self._gap_s = profile.min_gap_ms / 1000
        self._asked_at_s = float("-inf")
        self._identified = _NEVER  # the line's generation at the last look at its identity
        self._has_identity = profile.identity is not None
        self._unsupported: set[str] = set()
        self._may_bridge = profile.bridge_registers > 0
        self._has_exported = False
        self._lost: Block | None = None
        self._lost_at_s = 0.0

    def forget_identity(self) -> None:
        """The meter was away: look again who it is, and what it can do."""
        self._identified = _NEVER

    async def contact(self) -> None:
        """Makes sure that the meter is there and is the configured one. Raises ModbusError."""
        if self._lost:
            await self._resync(self._lost)
        if self._identified != self._line.generation:
            await self._identify()

    async def poll(self) -> Reading:
        """A reading, timed when its import register was asked for. Raises ModbusError."""
        await self.contact()
        time_ms, replies = await self._ask_points(self._profile.points())
        return self._reading(time_ms, decode_points(self._profile, replies))

    async def read_values(self) -> dict[str, int | None]:
        """What the model tells beside a reading, such as voltages; None for what it refuses.

        Raises ModbusError.
        """
        await self.contact()
        points = {str(name): point for name, point in self._profile.values.items()}
        replies: list[tuple[Block, list[int]]] = []
        for block in plan_blocks(self._profile, bridge=self._may_bridge, points=points):
            replies += await self._ask_leniently(block, points)
        return dict.fromkeys(points) | decode_points(self._profile, replies)

    async def _ask_leniently(
        self, block: Block, points: Mapping[str, Point]
    ) -> list[tuple[Block, list[int]]]:
        """A block's reply, or those of its points that the meter has."""
        try:
            return (await self._ask_all([block]))[1]
        except MeterRefused as refusal:
            if refusal.code != ILLEGAL_DATA_ADDRESS:
                raise
        if len(block.points) == 1:
            return []
        alone = [
            Block(points[name].fc, points[name].address, points[name].count, (name,), optional=True)
            for name in block.points
        ]
        return (await self._ask_all(alone))[1]

    async def _ask_points(
        self, points: Mapping[str, Point]
    ) -> tuple[int, list[tuple[Block, list[int]]]]:
        try:
            return await self._ask_all(self._plan(points))
        except MeterRefused as refusal:
            if refusal.code != ILLEGAL_DATA_ADDRESS or not self._may_bridge:
                raise
            self._may_bridge = False  # this meter answers for nothing that it does not use
            return await self._ask_all(self._plan(points))

    def _plan(self, points: Mapping[str, Point] | None = None) -> list[Block]:
        return plan_blocks(self._profile, self._unsupported, bridge=self._may_bridge, points=points)

    def _reading(self, time_ms: int, values: dict[str, int | None]) -> Reading:
        exported = values.get("energy_export")
        self._has_exported = self._has_exported or exported is not None
        if values["energy_import"] is None:
            raise ValueMissing("the import register holds no value")
        register = self._profile.energy_export
        is_needed = register is not None and (self._has_exported or not register.optional)
        if exported is None and is_needed:
            raise ValueMissing("the export register holds no value")
        seen = quantities(values, invert=self._config.invert)
        flags = ReadingFlag(0)
        if seen.import_uwh is None:  # an inverted meter that has no export register
            flags |= ReadingFlag.NO_IMPORT
        if seen.export_uwh is None:
            flags |= ReadingFlag.NO_EXPORT
        if seen.power_w is None:
            flags |= ReadingFlag.NO_POWER
        if not self._has_identity:
            flags |= ReadingFlag.CONFIGURED_ID
        return Reading(
            self._config.id,
            time_ms,
            seen.import_uwh or 0,
            seen.export_uwh or 0,
            seen.power_w or 0,
            int(flags),
        )

    async def _ask_all(self, blocks: Sequence[Block]) -> tuple[int, list[tuple[Block, list[int]]]]:
        """All blocks near in time: in one turn, unless the meter wants a rest between them."""
        if self._gap_s:
            answers = [await self._ask(block) for block in blocks]
        else:
            async with self._line.turn():
                answers = [await self._read(block) for block in blocks]
        replies = [
            (block, words)
            for block, (_, words) in zip(blocks, answers, strict=True)
            if words is not None
        ]
        return answers[0][0], replies

    async def _ask(self, block: Block) -> tuple[int, list[int] | None]:
        rest_s = self._asked_at_s + self._gap_s - time.monotonic()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        async with self._line.turn():
            return await self._read(block)

    async def _read(self, block: Block) -> tuple[int, list[int] | None]:
        """When a block was asked for, and its words; None if the meter does not have it."""
        time_ms = self._clock.now_ms()
        try:
            return time_ms, await self._line.read(self._config.address, block)
        except (MeterSilent, MeterGarbled):
            if not self._line.is_numbered:
                self._lost, self._lost_at_s = block, time.monotonic()
            raise
        except MeterRefused as refusal:
            if block.optional and refusal.code == ILLEGAL_DATA_ADDRESS:
                self._unsupported.update(block.points)
                return time_ms, None
            raise
        finally:
            self._asked_at_s = time.monotonic()

    async def _resync(self, lost: Block) -> None:
        """After a lost reply: makes sure that it cannot come in the place of a later one."""
        settle_s = self._lost_at_s + self._line.timeout_s - time.monotonic()
        if settle_s > 0:
            await asyncio.sleep(settle_s)
        candidates = self._plan()
        if self._profile.identity:
            candidates = [register_block(self._profile.identity), *candidates]
        with suppress(MeterRefused):  # an exception reply has a shape of its own
            await self._ask(resync_block(candidates, lost))
        self._lost = None

    async def _identify(self) -> None:
        generation = self._line.generation
        self._unsupported.clear()
        self._may_bridge = self._profile.bridge_registers > 0
        identity = self._profile.identity
        if identity:
            block = register_block(identity)
            if identity.optional:
                block = Block(block.fc, block.address, block.count, optional=True)
            _, words = await self._ask(block)
            serial = decode_serial(identity, words) if words else ""
            self._has_identity = bool(serial)
            self._check_serial(serial, is_optional=identity.optional)
            if identity.model:
                await self._check_model(identity.model)
        self._identified = generation

    def _check_serial(self, serial: str, *, is_optional: bool) -> None:
        found = meter_id(self._profile.maker, serial)
        if not serial and not is_optional:
            raise MeterStrange("the meter has no serial number where its profile expects one")
        if serial and found != self._config.id:
            raise MeterStrange(
                f"expected {self._config.id}, but the meter says it is {found}", says=found
            )

    async def _check_model(self, model: ModelRegister) -> None:
        _, words = await self._ask(register_block(model))
        value = join_words(words or (), "msw_first")
        if value not in model.values:
            raise MeterStrange(f"expected {self._profile.name}, but its type code is {value:#x}")
