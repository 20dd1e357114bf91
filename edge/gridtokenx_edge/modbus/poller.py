"""Polling one meter for ever: at its grid points, with patience for its faults.

Each meter of a bus has its own poller; they meet at the line's turn, which is first come, first
served. A meter that has gone silent is asked once at growing intervals, after the others, and no
more often than the share of the bus allows that silent meters may take.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.readers import Reader
from gridtokenx_edge.polling.faults import (
    BusFault,
    LineDown,
    MeterGarbled,
    MeterSilent,
    MeterStrange,
)
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.schedule import first_due, grid_after, is_stranded, next_due
from gridtokenx_edge.polling.watch import NOBODY, PollWatch
from gridtokenx_wire.clock import Clock

_FAILED_POLLS_BEFORE_SILENT = 2
_LONGEST_BACKOFF_S = 60.0
_STRANGE_RETRY_S = 60.0
# A silent meter lets the others of its grid point take their place in the queue first.
_STAND_BACK_S = 0.02
_DRIFT_STEP_MS = 5_000
# The longest sleep: after it the clock is looked at again, which may have been set.
_LONGEST_SLEEP_S = 5.0


class MeterPoller:
    """Polls a meter until cancelled."""

    def __init__(
        self,
        line: Line,
        config: MeterConfig,
        reader: Reader,
        sink: ReadingSink,
        clock: Clock,
        log: Logger,
        watch: PollWatch = NOBODY,
    ) -> None:
        self._line = line
        self._config = config
        self._reader = reader
        self._sink = sink
        self._clock = clock
        self._log = log
        self._watch = watch
        self._faults = FaultLog(log)
        period_s = clock.real_seconds(config.every_ms)
        self._backoff = Backoff(
            min(period_s, _LONGEST_BACKOFF_S), max(period_s, _LONGEST_BACKOFF_S), random.random
        )
        self._failed_polls = 0
        self._drift_told_ms: int | None = None
        self._not_before_s = 0.0

    async def run(self, *, is_new: bool = True) -> None:
        """`is_new`: no reading of the meter was taken just now, by a poller before this one."""
        await self._until_up()
        if not await self._guarded(self._reader.contact()):
            self._failed_polls = _FAILED_POLLS_BEFORE_SILENT  # it has never answered yet
        every_ms = self._config.every_ms
        start = first_due if is_new else grid_after
        due_ms = start(self._clock.now_ms(), every_ms)
        while True:
            due_ms = await self._sleep_until(due_ms)
            if time.monotonic() >= self._not_before_s:
                await self._poll()
            due = next_due(due_ms, self._clock.now_ms(), every_ms)
            if due.missed and not self._is_silent:
                self._watch.missed(due.missed)
                self._warn("polls_missed", missed=due.missed)
            due_ms = due.at_ms

    async def _until_up(self) -> None:
        while not self._line.is_up:
            self._watch.turned()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_SLEEP_S):
                    await self._line.until_up()

    async def _sleep_until(self, due_ms: int) -> int:
        """Returns the grid point that has come: `due_ms`, or another if the clock was set."""
        every_ms = self._config.every_ms
        while True:
            self._watch.turned()
            now_ms = self._clock.now_ms()
            if is_stranded(due_ms, now_ms, every_ms):
                due_ms = grid_after(now_ms, every_ms)
            elif now_ms >= due_ms:
                return due_ms
            wait_s = self._clock.real_seconds(due_ms - now_ms)
            await asyncio.sleep(min(wait_s, _LONGEST_SLEEP_S))

    async def _poll(self) -> None:
        if self._is_silent:
            await self._poll_silent()
            return
        self._sink.begin()
        try:
            await self._guarded(self._read(attempts=1 + self._line.retries_of(self._config)))
        finally:
            self._sink.end()

    async def _poll_silent(self) -> None:
        await asyncio.sleep(_STAND_BACK_S)
        async with self._line.silent_turn:
            await asyncio.sleep(self._line.share.wait_s(time.monotonic()))
            await self._guarded(self._read(attempts=1))

    @property
    def _is_silent(self) -> bool:
        return self._failed_polls >= _FAILED_POLLS_BEFORE_SILENT

    async def _read(self, attempts: int) -> None:
        while True:
            attempts -= 1
            try:
                self._sink.add(await self._reader.poll())
            except (MeterSilent, MeterGarbled):
                if not attempts:
                    raise
            else:
                return

    async def _guarded(self, contact: Coroutine[Any, Any, None]) -> bool:
        """Awaits a contact with the meter and draws the conclusions. False if it failed."""
        before_s = self._spent_s()
        try:
            await contact
        except LineDown:
            await self._until_up()  # the line reports itself; its meters are not to blame
        except MeterStrange as fault:
            self._not_before_s = time.monotonic() + _STRANGE_RETRY_S
            self._reader.forget_identity()
            self._watch.failed(fault)
            self._error("meter_strange", reason=str(fault))
        except BusFault as fault:
            self._fail(fault, self._spent_s() - before_s)
            return False
        else:
            self._succeed()
        return True

    def _spent_s(self) -> float:
        return self._line.spent_s.get(self._config.address, 0.0)

    def _fail(self, fault: BusFault, cost_s: float) -> None:
        self._failed_polls += 1
        self._watch.failed(fault)
        self._line.share.spend(self._config.address, cost_s, time.monotonic())
        if self._is_silent:
            self._line.share.silent(self._config.address)
            self._reader.forget_identity()
            self._not_before_s = time.monotonic() + self._backoff.next_s()
        self._warn("meter_failed", reason=str(fault), failed_polls=self._failed_polls)

    def _succeed(self) -> None:
        ended = [self._faults.over(event) for event in ("meter_failed", "meter_strange")]
        if any(ended):
            self._log.info("meter_back", meter=self._config.id, bus=self._line.name)
        self._line.share.answered(self._config.address)
        self._failed_polls = 0
        self._backoff.reset()
        self._tell_drift()

    def _tell_drift(self) -> None:
        """How far the meter's own clock is off, when it has moved."""
        drift_ms, told_ms = self._reader.clock_drift_ms, self._drift_told_ms
        if drift_ms is None or (told_ms is not None and abs(drift_ms - told_ms) < _DRIFT_STEP_MS):
            return
        self._drift_told_ms = drift_ms
        about: Any = {"meter": self._config.id, "bus": self._line.name}
        self._log.info("meter_clock", ahead_ms=drift_ms, **about)

    def _warn(self, event: str, **fields: str | int) -> None:
        about: Any = {"meter": self._config.id, "bus": self._line.name, **fields}
        self._faults.warn(event, **about)

    def _error(self, event: str, **fields: str | int) -> None:
        about: Any = {"meter": self._config.id, "bus": self._line.name, **fields}
        self._faults.error(event, **about)
