"""Polling one meter for ever: at its grid points, with patience for its faults.

Each meter of a bus has its own poller; they meet at the line's turn, which is first come, first
served. A meter that has gone silent is asked once at growing intervals and after the others, so
that it costs them no more than its time-out then.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config import MeterConfig
from gridtokenx_edge.log import FaultLog, Logger
from gridtokenx_edge.modbus.faults import (
    LineDown,
    MeterGarbled,
    MeterSilent,
    MeterStrange,
    ModbusError,
)
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.readers import Reader
from gridtokenx_edge.modbus.schedule import grid_after, is_stranded, next_due
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading

_FAILED_POLLS_BEFORE_SILENT = 2
_LONGEST_BACKOFF_S = 60.0
_STRANGE_RETRY_S = 60.0
# A silent meter lets the others of its grid point take their place in the queue first.
_STAND_BACK_S = 0.02
# The longest sleep: after it the clock is looked at again, which may have been set.
_LONGEST_SLEEP_S = 5.0


class ReadingSink(Protocol):
    """Where readings go. Between `begin` and `end` a reading is on its way."""

    def begin(self) -> None: ...

    def add(self, reading: Reading) -> None: ...

    def end(self) -> None: ...


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
    ) -> None:
        self._line = line
        self._config = config
        self._reader = reader
        self._sink = sink
        self._clock = clock
        self._log = log
        self._faults = FaultLog(log)
        period_s = clock.real_seconds(config.every_ms)
        self._backoff = Backoff(
            min(period_s, _LONGEST_BACKOFF_S), max(period_s, _LONGEST_BACKOFF_S), random.random
        )
        self._failed_polls = 0
        self._not_before_s = 0.0

    async def run(self) -> None:
        await self._line.until_up()
        await self._guarded(self._reader.contact())
        every_ms = self._config.every_ms
        due_ms = grid_after(self._clock.now_ms(), every_ms)
        while True:
            due_ms = await self._sleep_until(due_ms)
            if time.monotonic() >= self._not_before_s:
                await self._poll()
            due = next_due(due_ms, self._clock.now_ms(), every_ms)
            if due.missed:
                self._warn("polls_missed", missed=due.missed)
            due_ms = due.at_ms

    async def _sleep_until(self, due_ms: int) -> int:
        """Returns the grid point that has come: `due_ms`, or another if the clock was set."""
        every_ms = self._config.every_ms
        while True:
            now_ms = self._clock.now_ms()
            if is_stranded(due_ms, now_ms, every_ms):
                due_ms = grid_after(now_ms, every_ms)
            elif now_ms >= due_ms:
                return due_ms
            wait_s = self._clock.real_seconds(due_ms - now_ms)
            await asyncio.sleep(min(wait_s, _LONGEST_SLEEP_S))

    async def _poll(self) -> None:
        if self._is_silent:
            await asyncio.sleep(_STAND_BACK_S)
            await self._guarded(self._read(attempts=1))
            return
        self._sink.begin()
        try:
            await self._guarded(self._read(attempts=1 + self._line.retries))
        finally:
            self._sink.end()

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

    async def _guarded(self, contact: Coroutine[Any, Any, None]) -> None:
        """Awaits a contact with the meter and draws the conclusions."""
        try:
            await contact
        except LineDown:
            await self._line.until_up()  # the line reports itself; its meters are not to blame
        except MeterStrange as fault:
            self._not_before_s = time.monotonic() + _STRANGE_RETRY_S
            self._reader.forget_identity()
            self._error("meter_strange", reason=str(fault))
        except ModbusError as fault:
            self._fail(fault)
        else:
            self._succeed()

    def _fail(self, fault: ModbusError) -> None:
        self._failed_polls += 1
        if self._is_silent:
            self._reader.forget_identity()
            self._not_before_s = time.monotonic() + self._backoff.next_s()
        self._warn("meter_failed", reason=str(fault), failed_polls=self._failed_polls)

    def _succeed(self) -> None:
        ended = [self._faults.over(event) for event in ("meter_failed", "meter_strange")]
        if any(ended):
            self._log.info("meter_back", meter=self._config.id, bus=self._line.name)
        self._failed_polls = 0
        self._backoff.reset()

    def _warn(self, event: str, **fields: str | int) -> None:
        about: Any = {"meter": self._config.id, "bus": self._line.name, **fields}
        self._faults.warn(event, **about)

    def _error(self, event: str, **fields: str | int) -> None:
        about: Any = {"meter": self._config.id, "bus": self._line.name, **fields}
        self._faults.error(event, **about)
