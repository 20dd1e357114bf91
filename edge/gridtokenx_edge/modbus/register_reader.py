"""Reads a meter whose profile says where its registers are: who it is, and one reading of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.identity import decode_serial, meter_id
from gridtokenx_edge.meters.meter_clock import MeterClock, decode_time
from gridtokenx_edge.meters.plan import (
    Block,
    decode_points,
    plan_blocks,
    quantities,
    register_block,
)
from gridtokenx_edge.meters.point import Point, join_words
from gridtokenx_edge.meters.profile import ModelRegister, Profile
from gridtokenx_edge.meters.site_reading import site_reading
from gridtokenx_edge.modbus.faults import ILLEGAL_DATA_ADDRESS, MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.unit import Unit
from gridtokenx_edge.polling.faults import MeterStrange, ValueMissing
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading, ReadingFlag

_NEVER = 0
_CLOCK_EVERY_S = 3600.0
Stamp = tuple[int, ReadingFlag]
"""When registers were asked for, and by whose clock."""
Replies = list[tuple[Block, list[int]]]


class RegisterReader:
    """Reads one meter. Every value of a reading was read by the poll that reports it; nothing is
    kept.
    """

    def __init__(
        self,
        line: Line,
        config: MeterConfig,
        profile: Profile,
        clock: Clock,
        is_synchronised: Callable[[], bool] = lambda: True,
    ) -> None:
        self._line = line
        self._config = config
        self._profile = profile
        self._clock = clock
        self._is_synchronised = is_synchronised
        self._meter_clock: MeterClock | None = None
        self._ahead_ms: int | None = None
        """How far the meter's clock was ahead when the gateway's was last synchronised."""
        self._clock_due_s = float("-inf")
        self._unit = Unit(line, config, profile.min_gap_ms)
        self._identified = _NEVER  # the line's generation at the last look at its identity
        self._has_identity = profile.identity is not None
        self._unsupported: set[str] = set()
        self._may_bridge = profile.bridge_registers > 0
        self._has_exported = False

    def forget_identity(self) -> None:
        """The meter was away: look again who it is, and what it can do, before the next reading."""
        self._identified = _NEVER

    async def contact(self) -> None:
        """Make sure that the meter is there and is the configured one. Raises BusFault."""
        await self._unit.resync(self._resync_candidates())
        if self._identified != self._line.generation:
            await self._identify()
        if time.monotonic() >= self._clock_due_s:
            await self._look_at_clock()

    @property
    def clock_drift_ms(self) -> int | None:
        """How far the meter's own clock was ahead of the gateway's at the last look; None where the
        meter has no clock, or one that was never set.
        """
        return self._meter_clock.drift_ms if self._meter_clock else None

    async def poll(self) -> Reading:
        """Return a reading with the time at which its import register was asked for. Raises
        BusFault.
        """
        await self.contact()
        stamp, replies = await self._ask_points(self._profile.points())
        return self._reading(stamp, decode_points(self._profile, replies))

    async def read_values(self) -> dict[str, int | None]:
        """Return what the model tells beside a reading, such as voltages; None for what it refuses.

        Raises BusFault.
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
        """Return the reply to a block, or the replies to those of its points that the meter has."""
        try:
            return (await self._ask_all([block]))[1]
        except MeterRefused as refusal:
            if refusal.code != ILLEGAL_DATA_ADDRESS:
                raise
        if len(block.points) == 1:
            return []
        alone = [
            Block(
                fc=points[name].fc,
                address=points[name].address,
                count=points[name].count,
                points=(name,),
                optional=True,
            )
            for name in block.points
        ]
        return (await self._ask_all(alone))[1]

    async def _ask_points(
        self, points: Mapping[str, Point]
    ) -> tuple[Stamp, list[tuple[Block, list[int]]]]:
        try:
            return await self._ask_all(self._plan(points))
        except MeterRefused as refusal:
            if refusal.code != ILLEGAL_DATA_ADDRESS or not self._may_bridge:
                raise
            self._may_bridge = False  # this meter answers for nothing that it does not use
            return await self._ask_all(self._plan(points))

    def _resync_candidates(self) -> list[Block]:
        identity = self._profile.identity
        return [*([register_block(identity)] if identity else []), *self._plan()]

    def _plan(self, points: Mapping[str, Point] | None = None) -> list[Block]:
        return plan_blocks(self._profile, self._unsupported, bridge=self._may_bridge, points=points)

    def _reading(self, stamp: Stamp, values: dict[str, int | None]) -> Reading:
        exported = values.get("energy_export")
        self._has_exported = self._has_exported or exported is not None
        if values["energy_import"] is None:
            raise ValueMissing("the import register holds no value")
        register = self._profile.energy_export
        is_needed = register is not None and (self._has_exported or not register.optional)
        if exported is None and is_needed:
            raise ValueMissing("the export register holds no value")
        time_ms, flags = stamp
        if not self._has_identity:
            flags |= ReadingFlag.CONFIGURED_ID
        config = self._config
        return site_reading(
            config.id, quantities(values), time_ms=time_ms, invert=config.invert, flags=flags
        )

    async def _ask_all(self, blocks: Sequence[Block]) -> tuple[Stamp, Replies]:
        """Ask for all blocks near in time, holding the line from the first to the last.

        A meter that wants a rest between two requests leaves the line to others meanwhile, and has
        it first after its rest.
        """
        if self._unit.needs_rest:
            answers = [await self._ask(block, is_urgent=block != blocks[0]) for block in blocks]
        else:
            async with self._line.hold():
                answers = [await self._read(block) for block in blocks]
        replies = [
            (block, words)
            for block, (_, words) in zip(blocks, answers, strict=True)
            if words is not None
        ]
        return answers[0][0], replies

    async def _ask(
        self, block: Block, *, is_urgent: bool = False
    ) -> tuple[Stamp, list[int] | None]:
        await self._unit.rest()
        async with self._line.hold(is_urgent=is_urgent):
            return await self._read(block)

    async def _read(self, block: Block) -> tuple[Stamp, list[int] | None]:
        """Return when a block was asked for, and its words; None if the meter does not have it."""
        stamp = self._stamp()
        try:
            return stamp, await self._unit.read(block)
        except MeterRefused as refusal:
            if block.optional and refusal.code == ILLEGAL_DATA_ADDRESS:
                self._unsupported.update(block.points)
                return stamp, None
            raise

    def _stamp(self) -> Stamp:
        """Return the time now. The meter's own clock is used only while the gateway's is not set,
        and only where the config says how far the meter's is from UTC.
        """
        offset_min = self._config.clock_utc_offset_min
        if self._meter_clock and offset_min is not None and not self._is_synchronised():
            # What the clock was ahead when both could be compared, it still is.
            time_ms = self._meter_clock.time_ms(time.monotonic()) - (self._ahead_ms or 0)
            return time_ms, ReadingFlag.METER_TIME
        return self._clock.now_ms(), ReadingFlag(0)

    async def _look_at_clock(self) -> None:
        """Read the meter's own clock, where the model has one. A refusal means that this meter has
        none.
        """
        if register := self._profile.clock:
            try:
                _, words = await self._ask(register_block(register))
            except MeterRefused:
                words = None
            self._meter_clock = self._clock_of(words) if words else None
            if self._meter_clock and self._is_synchronised():
                self._ahead_ms = self._meter_clock.drift_ms
        self._clock_due_s = time.monotonic() + _CLOCK_EVERY_S

    def _clock_of(self, words: Sequence[int]) -> MeterClock | None:
        """Return the meter's clock as it was in the middle of the round trip."""
        half_s = self._line.round_trip_s / 2
        shown_ms = decode_time(words)
        if shown_ms is None:
            return None
        utc_ms = shown_ms - (self._config.clock_utc_offset_min or 0) * 60_000
        gateway_ms = self._clock.now_ms() - round(half_s * 1000)
        return MeterClock(meter_ms=utc_ms, at_s=time.monotonic() - half_s, gateway_ms=gateway_ms)

    async def _identify(self) -> None:
        generation = self._line.generation
        self._unsupported.clear()
        self._clock_due_s = float("-inf")
        self._may_bridge = self._profile.bridge_registers > 0
        identity = self._profile.identity
        if identity:
            block = register_block(identity)
            if identity.optional:
                block = Block(fc=block.fc, address=block.address, count=block.count, optional=True)
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
            raise MeterStrange.of_id(self._config.id, found)

    async def _check_model(self, model: ModelRegister) -> None:
        _, words = await self._ask(register_block(model))
        value = join_words(words or (), "msw_first")
        if value not in model.values:
            raise MeterStrange(f"expected {self._profile.name}, but its type code is {value:#x}")
