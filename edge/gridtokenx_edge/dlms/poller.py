"""Polling one DLMS meter for ever: at its grid points, with patience for its faults."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import Any

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.dlms.line import DlmsLine
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.dlms.repair import GapRepair
from gridtokenx_edge.dlms.terms import Terms
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.polling.faults import BusFault, LineDown, MeterStrange
from gridtokenx_edge.polling.schedule import grid_after, is_stranded, next_due
from gridtokenx_edge.polling.stats import MeterCounter
from gridtokenx_wire.clock import Clock

_FAILED_POLLS_BEFORE_SILENT = 2
_LONGEST_BACKOFF_S = 60.0
_STRANGE_RETRY_S = 60.0
_LONGEST_SLEEP_S = 5.0
_DRIFT_STEP_MS = 5_000


class DlmsPoller:
    """Polls a meter until cancelled, and repairs the gaps between its readings."""

    def __init__(
        self,
        line: DlmsLine,
        terms: Terms,
        reader: DlmsReader,
        repair: GapRepair,
        sink: MeterCounter,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._line = line
        self._meter = terms.meter
        self._reader = reader
        self._repair = repair
        self._sink = sink
        self._clock = clock
        self._log = log
        self._faults = FaultLog(log)
        period_s = clock.real_seconds(self._meter.every_ms)
        self._backoff = Backoff(
            min(period_s, _LONGEST_BACKOFF_S), max(period_s, _LONGEST_BACKOFF_S), random.random
        )
        self._failed_polls = 0
        self._not_before_s = 0.0
        self._drift_told_ms: int | None = None

    async def run(self) -> None:
        repairing = asyncio.create_task(self._repair.run(), name=f"repair {self._meter.id}")
        try:
            await self._poll_for_ever()
        finally:
            repairing.cancel()
            await asyncio.gather(repairing, return_exceptions=True)
            self._repair.release()

    async def _poll_for_ever(self) -> None:
        every_ms = self._meter.every_ms
        await self._guarded(self._reader.contact())
        due_ms = grid_after(self._clock.now_ms(), every_ms)
        while True:
            due_ms = await self._sleep_until(due_ms)
            if time.monotonic() >= self._not_before_s:
                await self._poll()
            due = next_due(due_ms, self._clock.now_ms(), every_ms)
            if due.missed:
                self._sink.missed(due.missed)
            if due.missed and self._failed_polls < _FAILED_POLLS_BEFORE_SILENT:
                self._faults.warn("polls_missed", missed=due.missed, **self._about)
            due_ms = due.at_ms

    async def _sleep_until(self, due_ms: int) -> int:
        """Returns the grid point that has come: `due_ms`, or another if the clock was set."""
        every_ms = self._meter.every_ms
        while True:
            now_ms = self._clock.now_ms()
            if is_stranded(due_ms, now_ms, every_ms):
                due_ms = grid_after(now_ms, every_ms)
            elif now_ms >= due_ms:
                return due_ms
            self._sink.turned()
            wait_s = self._clock.real_seconds(due_ms - now_ms)
            await asyncio.sleep(min(wait_s, _LONGEST_SLEEP_S))

    async def _poll(self) -> None:
        self._sink.begin()
        try:
            await self._guarded(self._read())
        finally:
            self._sink.end()

    async def _read(self) -> None:
        self._repair.deliver(await self._reader.poll())

    async def _guarded(self, contact: Coroutine[Any, Any, None]) -> None:
        """Awaits a contact with the meter and draws the conclusions."""
        try:
            await contact
        except LineDown as fault:
            self._sink.failed(fault)
            self._failed_polls += 1
            self._faults.error("line_down", self._line.name, reason=str(fault), **self._about)
        except MeterStrange as fault:
            self._sink.failed(fault)
            self._not_before_s = time.monotonic() + _STRANGE_RETRY_S
            self._reader.forget_identity()
            self._faults.error("meter_strange", reason=str(fault), **self._about)
        except BusFault as fault:
            self._fail(fault)
        else:
            self._succeed()

    def _fail(self, fault: BusFault) -> None:
        self._sink.failed(fault)
        self._failed_polls += 1
        if self._failed_polls >= _FAILED_POLLS_BEFORE_SILENT:
            self._reader.forget_identity()
            self._not_before_s = time.monotonic() + self._backoff.next_s()
        self._faults.warn(
            "meter_failed", reason=str(fault), failed_polls=self._failed_polls, **self._about
        )

    def _succeed(self) -> None:
        self._faults.over("line_down", self._line.name)
        ended = [self._faults.over(event) for event in ("meter_failed", "meter_strange")]
        if any(ended):
            self._log.info("meter_back", **self._about)
        self._failed_polls = 0
        self._backoff.reset()
        self._tell_drift()

    def _tell_drift(self) -> None:
        """How far the meter's own clock is off, when it has moved."""
        drift_ms, told_ms = self._reader.clock_drift_ms, self._drift_told_ms
        if drift_ms is None or (told_ms is not None and abs(drift_ms - told_ms) < _DRIFT_STEP_MS):
            return
        self._drift_told_ms = drift_ms
        self._log.info("meter_clock", ahead_ms=drift_ms, **self._about)

    @property
    def _about(self) -> dict[str, Any]:
        return {"meter": self._meter.id, "bus": self._line.name}
