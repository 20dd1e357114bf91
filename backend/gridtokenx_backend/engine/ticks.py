"""Inputs that are due because time passes: ticks, and the clearing of each interval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gridtokenx_backend.core.messages.inputs import TickInput, clearing_input
from gridtokenx_backend.core.messages.outcomes import DevicesRetired
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_wire.clock import Clock

_LONGEST_SLEEP_S = 1.0
"""New orders and new terms may be due earlier than what was known when the sleep began."""


async def tick_when_due(
    writer: Writer, clock: Clock, period_ms: int, on_retired: Callable[[], None] | None = None
) -> None:
    """Submit a tick whenever the community's clock passes a multiple of `period_ms`.

    Between two ticks the writer is woken when something is due, so that an order's end is seen on
    a quiet day too. `on_retired` is called after a tick that has retired a device. Runs until it
    is cancelled.
    """
    passed = clock.now_ms() // period_ms
    while True:
        await _sleep_until_due(writer, clock, period_ms)
        reached = clock.now_ms() // period_ms
        with suppress(Overloaded):  # the next tick does the same
            if reached != passed:
                passed = reached
                (committed,) = await writer.submit([TickInput()])
                result = committed.result
                if on_retired is not None and isinstance(result, DevicesRetired):
                    on_retired()
            elif writer.community.due_ms <= clock.now_ms():
                await writer.submit([])  # the writer does what is due before any input


async def _sleep_until_due(writer: Writer, clock: Clock, period_ms: int) -> None:
    """Sleep until the next tick, or until something is due before it."""
    now_ms = clock.now_ms()
    wait_ms = min(period_ms - now_ms % period_ms, max(1, writer.community.due_ms - now_ms))
    await asyncio.sleep(min(clock.real_seconds(wait_ms), _LONGEST_SLEEP_S))


async def clear_when_due(writer: Writer, clock: Clock) -> None:
    """Submit the clearing of each interval when its time has come.

    After an outage, the intervals that were left out are cleared first, one after the other. Runs
    until it is cancelled.
    """
    community = writer.community
    while True:
        wait_ms = community.clear_due_ms - clock.now_ms()
        if wait_ms > 0:
            await asyncio.sleep(min(clock.real_seconds(wait_ms), _LONGEST_SLEEP_S))
            continue
        try:
            await writer.submit([clearing_input(community.cleared_ms)])
        except Overloaded:
            await asyncio.sleep(_LONGEST_SLEEP_S)
