"""The sealer: readings that were taken together are sealed into one frame and stored.

While the disk does not take frames, readings are held in memory, up to a bound. Beyond it the
oldest ones are dropped and counted. Registers are cumulative, so resolution is lost then, but no
energy. When the outbox is full or its frames are too old, the oldest frames are thinned between two
frames.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.edge_config import UplinkConfig
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_edge.store.clock_status import ClockWatch, Run
from gridtokenx_edge.store.held_readings import HeldReadings, Limits
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading

_RETRY_BASE_S = 0.5
_RETRY_CAP_S = 30.0
# This is the longest wait. After it the loop comes round, which shows that it is not stuck.
_LONGEST_WAIT_S = 15.0


class Sealer:
    """Collects readings (a ReadingSink) and stores them as frames."""

    def __init__(
        self,
        outbox: Outbox,
        config: UplinkConfig,
        clock: Clock,
        watch: ClockWatch,
        log: Logger,
        on_sealed: Callable[[int], None],
        beat: Beat = no_beat,
    ) -> None:
        self._outbox = outbox
        self._beat = beat
        self._clock = clock
        self._watch = watch
        self._log = log
        self._faults = FaultLog(log)
        self._on_sealed = on_sealed
        self._run = watch.look()
        self._told_step = 0
        self._held = HeldReadings(self._limits(config))
        self._batch: list[Reading] = []
        self._batch_run = self._run
        self._polling = 0
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._is_stopping = False
        self.on_stored: Callable[[Sequence[Reading]], None] = lambda _: None
        """It is called with the readings of every frame once that is in the outbox."""
        self.sealed = 0
        self.dropped = 0

    def configure(self, config: UplinkConfig) -> None:
        """Use the settings of a new config. The readings that are held stay."""
        self._held.configure(self._limits(config))

    def _limits(self, config: UplinkConfig) -> Limits:
        return Limits(
            readings=config.max_held_readings,
            readings_per_frame=config.max_readings_per_frame,
            group_s=self._clock.real_seconds(round(config.seal_after_s * 1000)),
            hold_s=config.hold_unsynchronised_s,
        )

    def begin(self) -> None:
        """Note that a meter is being polled: its reading may join the frame."""
        self._polling += 1

    def add(self, reading: Reading) -> None:
        """Hold a reading until it is sealed."""
        former = self._run
        run = self._look()
        if run.stepped and run != former and self._is_of(former, reading):
            run = former
        if not self._held.add(reading, run, time.monotonic()):
            self.dropped += 1
            self._faults.error("readings_dropped", dropped=self.dropped)
        if run != self._run:
            self._held.retime(self._run)
        self._changed.set()

    def end(self) -> None:
        """Note that the poll is over, with or without a reading."""
        self._polling -= 1
        self._changed.set()

    @property
    def held(self) -> int:
        """How many readings are not yet in the outbox."""
        return len(self._held) + len(self._batch)

    async def run(self) -> None:
        """Seal readings until `stop`, and then those that are still held."""
        self._watch.restore(self._outbox.clock_mark)
        self._look()  # a step since the last run matters for all that is read now
        backoff = Backoff(_RETRY_BASE_S, _RETRY_CAP_S, random.random)
        while not self._is_stopping:
            await self._until_due()
            if await self._store():
                backoff.reset()
                await self._thin()
            else:
                await self._until_stopped(backoff.next_s())
        await self._store()

    def stop(self) -> None:
        """End `run` soon. What it is storing is stored first."""
        self._is_stopping = True
        self._changed.set()
        self._stopped.set()

    def _look(self) -> Run:
        """Return the run of the clock that is now, after readings that waited for it were timed."""
        run = self._watch.look()
        if run != self._run:
            self._run = run
            about = {"synchronised": run.synchronised, "retimed": self._held.retime(run)}
            if run.stepped:
                self._log.warning("clock_stepped", **about)
            else:
                self._log.warning("clock_changed", **about)
        return run

    def _is_of(self, former: Run, reading: Reading) -> bool:
        """Return whether a reading that came with a step of the clock is timed as before it."""
        now_ms = self._clock.now_ms()
        then_ms = now_ms - (self._run.offset_ms - former.offset_ms)
        return abs(then_ms - reading.time_ms) < abs(now_ms - reading.time_ms)

    async def _store(self) -> bool:
        """Store everything that is held.

        Returns False if the disk does not take it: then it stays held.
        """
        while self.held:
            self._beat()
            self._fill_batch()
            run = self._batch_run
            is_news = run.stepped and run.number > self._told_step
            clock = ClockStatus(synchronised=run.synchronised, stepped=is_news, source=run.source)
            try:
                seq = await self._outbox.append(self._batch, clock, self._watch.mark(run))
            except (OutboxUnavailableError, OutboxRefusedError) as fault:
                self._faults.error("outbox_unavailable", reason=str(fault), held=self.held)
                return False
            self.sealed += len(self._batch)
            self.on_stored(self._batch)
            self._batch = []
            self._told_step = max(self._told_step, run.number)
            self._on_sealed(seq + 1)
        if self._faults.over("outbox_unavailable"):
            self._log.info("outbox_available", next_seq=self._outbox.next_seq)
        return True

    def _fill_batch(self) -> None:
        """Take the next frame's readings. A batch that was tried before stays as it was."""
        if not self._batch:
            self._batch, self._batch_run = self._held.take()

    async def _thin(self) -> None:
        """Make room in the outbox, as long as no reading waits to be sealed."""
        before = self._outbox.thinned
        try:
            while await self._outbox.thin(self._now_ms()):
                if self._is_stopping or self._wait_s() == 0:
                    break
            else:
                if self._outbox.is_full:
                    self._faults.error("outbox_full", used_bytes=self._outbox.used_bytes)
        except (OutboxUnavailableError, OutboxRefusedError) as fault:
            self._faults.error("outbox_unavailable", reason=str(fault), held=self.held)
        if self._outbox.thinned > before:
            self._faults.warn("readings_thinned", readings=self._outbox.thinned)

    def _now_ms(self) -> int | None:
        """Return the time, or None while the clock is not synchronised."""
        return self._clock.now_ms() if self._run.synchronised else None

    async def _until_due(self) -> None:
        while not self._is_stopping and (wait_s := self._wait_s()) != 0:
            self._beat()
            self._changed.clear()
            longest_s = _LONGEST_WAIT_S if wait_s is None else min(wait_s, _LONGEST_WAIT_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    await self._changed.wait()
            self._look()

    async def _until_stopped(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopped.wait()

    def _wait_s(self) -> float | None:
        """Return how long to wait for more readings, in seconds, or None while there are none."""
        if self._batch:
            return 0.0
        return self._held.wait_s(time.monotonic(), is_polling=self._polling > 0)
