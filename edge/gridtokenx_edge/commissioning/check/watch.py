"""A bus for an observer: each meter's last values with their age, its faults, the line's load."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from gridtokenx_edge.commissioning.check import format_quantity
from gridtokenx_edge.commissioning.check.meter_session import MeterSession
from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig
from gridtokenx_edge.polling.faults import BusFault, LineDown
from gridtokenx_wire.reading import Reading

# The line's load is that of so many rounds. Older ones do not count.
_ROUNDS_OF_LOAD = 10
# A value is old when two rounds brought no newer one.
_ROUNDS_UNTIL_STALE = 2.5
_GOODBYE_S = 3.0


class WatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one poll that ended at `ended_at_s` (monotonic): a reading or a fault.

    `exchanges_us` are the times for which its requests kept the line.
    """

    ended_at_s: float
    exchanges_us: Sequence[int]
    reading: Reading | None = None
    fault: BusFault | None = None


class WatchedMeter(msgspec.Struct, kw_only=True):
    """A row. `reading` is the last one that came, at `read_at_s` (monotonic), however old it is."""

    meter: MeterConfig
    reading: Reading | None = None
    read_at_s: float = 0.0
    polls: int = 0
    errors: int = 0
    last_error: str = ""
    requests: int = 0
    busy_us: int = 0
    last_us: int = 0
    is_failing: bool = False

    def keep(self, outcome: WatchOutcome) -> None:
        """Show what came of a poll from now on. A line that is down is told of the bus."""
        self.polls += 1
        if outcome.reading:
            self.reading, self.read_at_s = outcome.reading, outcome.ended_at_s
            self.last_error = ""
        elif outcome.fault:
            self.errors += 1
            if not isinstance(outcome.fault, LineDown):
                self.last_error = str(outcome.fault)
        self.is_failing = outcome.reading is None
        for took_us in outcome.exchanges_us:
            self.requests += 1
            self.busy_us += took_us
            self.last_us = took_us

    def age_s(self, now_s: float) -> float | None:
        return now_s - self.read_at_s if self.reading else None

    @property
    def average_us(self) -> int:
        return self.busy_us // self.requests if self.requests else 0


class Watch:
    """Polls a bus in rounds, one every `every_s` (real) or as fast as it can."""

    def __init__(
        self, bus: BusConfig, meters: Sequence[MeterConfig], asking: MeterSession, every_s: float
    ) -> None:
        self.bus = bus
        self.every_s = every_s
        self.meters = [WatchedMeter(meter=meter) for meter in meters]
        self.down = ""
        self.rounds = 0
        self._loads: deque[tuple[int, int]] = deque(maxlen=_ROUNDS_OF_LOAD)
        self._asking = asking

    async def run(self, rounds: int, on_round: Callable[[Watch], None]) -> None:
        """Poll for so many rounds, or for ever with 0.

        What fails is shown, and nothing is raised.
        """
        try:
            while not rounds or self.rounds < rounds:
                began_s = time.monotonic()
                await self._round()
                wait_s = began_s + self.every_s - time.monotonic()
                is_last = rounds and self.rounds + 1 >= rounds
                self.rounds += 1
                on_round(self)
                # Others get a turn even on a line that is always late.
                await asyncio.sleep(0 if is_last else max(0.0, wait_s))
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asking.close(), _GOODBYE_S)

    async def _round(self) -> None:
        began_ns = time.monotonic_ns()
        busy_us = 0
        try:
            if not self._asking.is_up:
                await self._asking.connect()
            self.down = ""
            for place, row in enumerate(self.meters):
                outcome = await self._poll(place)
                row.keep(outcome)
                if isinstance(outcome.fault, LineDown):
                    self.down = str(outcome.fault)
                    break
                busy_us += sum(outcome.exchanges_us)
        except LineDown as fault:
            self.down = str(fault)
        elapsed_us = max((time.monotonic_ns() - began_ns) // 1000, round(self.every_s * 10**6))
        self._loads.append((busy_us, elapsed_us))

    async def _poll(self, place: int) -> WatchOutcome:
        reading: Reading | None = None
        missed: BusFault | None = None
        try:
            reading = await self._asking.poll(place)
        except BusFault as fault:
            missed = fault
        return WatchOutcome(
            ended_at_s=time.monotonic(),
            exchanges_us=self._asking.take(),
            reading=reading,
            fault=missed,
        )

    @property
    def load_percent(self) -> int:
        """How much of the line's time the last rounds took."""
        busy_us = sum(busy for busy, _ in self._loads)
        elapsed_us = sum(elapsed for _, elapsed in self._loads)
        return 100 * busy_us // elapsed_us if elapsed_us else 0

    def is_stale(self, row: WatchedMeter, now_s: float) -> bool:
        """Return whether the row's value is older than the rounds would have it."""
        age_s = row.age_s(now_s)
        limit_s = _ROUNDS_UNTIL_STALE * self.every_s + self.bus.timeout_ms / 1000
        return age_s is not None and (row.is_failing or age_s > limit_s)

    def fields(self, now_s: float) -> dict[str, Any]:
        """Return a round as an object for programs."""
        return {
            "bus": self.bus.name,
            "round": self.rounds,
            "down": self.down,
            "load_percent": self.load_percent,
            "meters": [self._row_fields(row, now_s) for row in self.meters],
        }

    def _row_fields(self, row: WatchedMeter, now_s: float) -> dict[str, Any]:
        age_s = row.age_s(now_s)
        fields: dict[str, Any] = {
            "id": row.meter.id,
            "age_ms": None if age_s is None else round(age_s * 1000),
            "stale": self.is_stale(row, now_s),
            "polls": row.polls,
            "errors": row.errors,
            "error": row.last_error,
            "round_trip_last_us": row.last_us,
            "round_trip_average_us": row.average_us,
        }
        if row.reading:
            fields |= {
                "time_ms": row.reading.time_ms,
                "import_kwh": format_quantity.exact("import", row.reading.import_uwh),
                "export_kwh": format_quantity.exact("export", row.reading.export_uwh),
                "power_w": row.reading.power_w,
                "flags": format_quantity.flag_names(row.reading.flags),
            }
        return fields
