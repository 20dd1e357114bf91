"""Polling one meter for ever: at its grid points, and less often while it does not answer.

Each meter of a bus has its own poller; they meet at the line's lock, which is first come, first
served. A meter that has gone silent is asked at growing intervals. Two things differ between
lines, and each line says them itself (see PolledLine in polling/driver.py):

- A line with a budget for silent meters has them asked once and without retries, after the others
  of their grid point, one at a time, and no more often than the budget allows: a share that the
  config declares on Modbus (`silent_share_percent`), a tenth on DLMS. Without a budget a silent
  meter is polled as any other.
- A line that is kept connected by its bus (Modbus) reports that it is down, and its meters wait
  for it and are not to blame. A line that is opened on demand (DLMS, whose associations are opened
  when they are wanted) is down for the meter that asked: its poll has failed, and it says so.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.polling.clock_report import ClockReport
from gridtokenx_edge.polling.driver import MeterSettings, PolledMeter
from gridtokenx_edge.polling.faults import (
    BusFault,
    LineDown,
    MeterGarbled,
    MeterSilent,
    MeterStrange,
)
from gridtokenx_edge.polling.schedule import first_due, grid_after, is_stranded, next_due
from gridtokenx_edge.polling.silent_meter_budget import SilentMeterBudget
from gridtokenx_edge.polling.watch import NOBODY, PollWatch
from gridtokenx_wire.clock import Clock

_FAILED_POLLS_BEFORE_SILENT = 2
_LONGEST_BACKOFF_S = 60.0
_STRANGE_RETRY_S = 60.0
# A silent meter lets the others of its grid point take their place in the queue first.
_STAND_BACK_S = 0.02
# The longest sleep: after it the clock is looked at again, which may have been set.
_LONGEST_SLEEP_S = 5.0


class MeterPoller:
    """Polls a meter until cancelled."""

    def __init__(
        self,
        config: MeterSettings,
        meter: PolledMeter,
        clock: Clock,
        log: Logger,
        watch: PollWatch = NOBODY,
    ) -> None:
        self._config = config
        self._meter = meter
        self._line = meter.line
        self._reader = meter.reader
        self._clock = clock
        self._log = log
        self._watch = watch
        self._faults = FaultLog(log)
        period_s = clock.real_seconds(config.every_ms)
        self._backoff = Backoff(
            min(period_s, _LONGEST_BACKOFF_S), max(period_s, _LONGEST_BACKOFF_S), random.random
        )
        self._failed_polls = 0
        self._clock_report = ClockReport(log, meter=config.id, bus=meter.line.name)
        self._not_before_s = 0.0

    async def run(self, *, is_new: bool = True) -> None:
        """Poll until cancelled.

        `is_new`: no poller before this one has just taken a reading of the meter, so that the
        first one is taken at once.
        """
        if self._meter.beside is None:
            await self._poll_for_ever(is_new=is_new)
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._meter.beside(), name=f"beside {self._config.id}")
            await self._poll_for_ever(is_new=is_new)

    async def _poll_for_ever(self, *, is_new: bool) -> None:
        await self._until_up()
        await self._guarded(self._reader.contact())
        if self._failed_polls:
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
                self._faults.warn("polls_missed", **self._about, missed=due.missed)
            due_ms = due.at_ms

    async def _until_up(self) -> None:
        while not self._line.is_up and not self._line.opens_on_demand:
            self._watch.turned()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_SLEEP_S):
                    await self._line.until_up()

    async def _sleep_until(self, due_ms: int) -> int:
        """Return the grid point that has come: `due_ms`, or another one if the clock was set."""
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
        budget = self._line.silent_meters
        if self._is_silent and budget:
            await self._poll_silent(budget)
            return
        self._meter.sink.begin()
        try:
            await self._guarded(self._read(attempts=1 + self._meter.retries))
        finally:
            self._meter.sink.end()

    async def _poll_silent(self, budget: SilentMeterBudget) -> None:
        await asyncio.sleep(_STAND_BACK_S)
        async with budget.lock:
            await asyncio.sleep(budget.wait_s(time.monotonic()))
            await self._guarded(self._read(attempts=1))

    @property
    def _is_silent(self) -> bool:
        return self._failed_polls >= _FAILED_POLLS_BEFORE_SILENT

    async def _read(self, attempts: int) -> None:
        while True:
            attempts -= 1
            try:
                self._meter.sink.add(await self._reader.poll())
            except (MeterSilent, MeterGarbled):
                if not attempts:
                    raise
            else:
                return

    async def _guarded(self, contact: Coroutine[Any, Any, None]) -> None:
        """Await a contact with the meter and draw the conclusions from how it ended."""
        before_s = self._spent_s()
        try:
            await contact
        except LineDown as fault:
            await self._line_down(fault)
        except MeterStrange as fault:
            self._not_before_s = time.monotonic() + _STRANGE_RETRY_S
            self._reader.forget_identity()
            self._watch.failed(fault)
            self._faults.error("meter_strange", **self._about, reason=str(fault))
        except BusFault as fault:
            self._fail(fault, self._spent_s() - before_s)
        else:
            self._succeed()

    async def _line_down(self, fault: LineDown) -> None:
        if not self._line.opens_on_demand:
            await self._until_up()
            return
        self._watch.failed(fault)
        self._failed_polls += 1
        self._faults.error("line_down", self._line.name, **self._about, reason=str(fault))

    def _spent_s(self) -> float:
        budget = self._line.silent_meters
        return budget.spent_s.get(self._meter.address, 0.0) if budget else 0.0

    def _fail(self, fault: BusFault, cost_s: float) -> None:
        self._failed_polls += 1
        self._watch.failed(fault)
        budget = self._line.silent_meters
        if budget:
            budget.spend(self._meter.address, cost_s, time.monotonic())
        if self._is_silent:
            if budget:
                budget.silent(self._meter.address)
            self._reader.forget_identity()
            self._not_before_s = time.monotonic() + self._backoff.next_s()
        self._faults.warn(
            "meter_failed", **self._about, reason=str(fault), failed_polls=self._failed_polls
        )

    def _succeed(self) -> None:
        self._faults.over("line_down", self._line.name)
        ended = [self._faults.over(event) for event in ("meter_failed", "meter_strange")]
        if any(ended):
            self._log.info("meter_back", **self._about)
        if budget := self._line.silent_meters:
            budget.answered(self._meter.address)
        self._failed_polls = 0
        self._backoff.reset()
        self._tell_drift()

    def _tell_drift(self) -> None:
        """Log how far the meter's own clock is off, when that has changed."""
        self._clock_report.tell(self._reader.clock_drift_ms)

    @property
    def _about(self) -> dict[str, Any]:
        return {"meter": self._config.id, "bus": self._line.name}
