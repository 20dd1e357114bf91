"""From readings to stored frames: what was read together is sealed together.

While the disk does not take frames, readings are held in memory, up to a bound; beyond it the
oldest are dropped and counted. Registers are cumulative: what is lost then is resolution, not
energy.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.clock_status import ClockWatch
from gridtokenx_edge.config import UplinkConfig
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.outbox import Outbox, OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading

# Readings wait for the others of their round, but not for a bus that is never idle.
_LONGEST_ROUND_S = 2.0
_RETRY_BASE_S = 0.5
_RETRY_CAP_S = 30.0
# The longest wait: after it the loop comes round, which shows that it is not stuck.
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
        self.configure(config)
        self._held: deque[Reading] = deque()
        self._batch: list[Reading] = []
        self._batch_clock = watch.status()
        self._polling = 0
        self._oldest_s = 0.0
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._is_stopping = False
        self.sealed = 0
        self.dropped = 0

    def configure(self, config: UplinkConfig) -> None:
        """Takes settings, at the start or with a new config; what is held stays."""
        self._config = config
        self._group_s = self._clock.real_seconds(round(config.seal_after_s * 1000))

    def begin(self) -> None:
        """A meter is being polled: its reading may join the frame."""
        self._polling += 1

    def add(self, reading: Reading) -> None:
        if not self._held:
            self._oldest_s = time.monotonic()
        if len(self._held) >= self._config.max_held_readings:
            self._held.popleft()
            self.dropped += 1
            self._faults.error("readings_dropped", dropped=self.dropped)
        self._held.append(reading)
        self._changed.set()

    def end(self) -> None:
        """The poll is over, with or without a reading."""
        self._polling -= 1
        self._changed.set()

    @property
    def held(self) -> int:
        """Readings that are not yet in the outbox."""
        return len(self._held) + len(self._batch)

    async def run(self) -> None:
        """Seals until `stop`, and then what is still held."""
        backoff = Backoff(_RETRY_BASE_S, _RETRY_CAP_S, random.random)
        while not self._is_stopping:
            await self._until_due()
            if await self._store():
                backoff.reset()
            else:
                await self._until_stopped(backoff.next_s())
        await self._store()

    def stop(self) -> None:
        """Ends `run` soon, without breaking off what it is storing."""
        self._is_stopping = True
        self._changed.set()
        self._stopped.set()

    async def _store(self) -> bool:
        """Stores all that is held. False if the disk does not take it; it stays held."""
        while self.held:
            self._beat()
            self._fill_batch()
            try:
                seq = await self._outbox.append(self._batch, self._batch_clock)
            except (OutboxUnavailableError, OutboxRefusedError) as fault:
                self._faults.error("outbox_unavailable", reason=str(fault), held=self.held)
                return False
            self.sealed += len(self._batch)
            self._batch = []
            self._on_sealed(seq + 1)
        if self._faults.over("outbox_unavailable"):
            self._log.info("outbox_available", next_seq=self._outbox.next_seq)
        return True

    def _fill_batch(self) -> None:
        """The next frame's readings; a batch that was tried before stays as it was."""
        if self._batch:
            return
        count = min(len(self._held), self._config.max_readings_per_frame)
        self._batch = [self._held.popleft() for _ in range(count)]
        self._batch_clock = self._watch.status()

    async def _until_due(self) -> None:
        while not self._is_stopping and (wait_s := self._wait_s()) != 0:
            self._beat()
            self._changed.clear()
            longest_s = _LONGEST_WAIT_S if wait_s is None else min(wait_s, _LONGEST_WAIT_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    await self._changed.wait()

    async def _until_stopped(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopped.wait()

    def _wait_s(self) -> float | None:
        """How long to wait for more readings, in seconds; None while there are none."""
        if self._batch or len(self._held) >= self._config.max_readings_per_frame:
            return 0.0
        if not self._held:
            return None
        age_s = time.monotonic() - self._oldest_s
        if age_s < self._group_s:
            return self._group_s - age_s
        return max(0.0, self._group_s + _LONGEST_ROUND_S - age_s) if self._polling else 0.0
