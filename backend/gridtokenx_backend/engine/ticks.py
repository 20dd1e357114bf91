"""Inputs that are due because time passes: ticks, and the clearing of each interval."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from gridtokenx_backend.core.messages.inputs import TickInput, clearing_input
from gridtokenx_backend.core.messages.outcomes import DevicesRetired
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_wire.clock import Clock

_LONGEST_SLEEP_S = 1.0
"""New orders and new terms may be due earlier than what was known when the sleep began."""
MOST_AT_ONCE = 96
"""So many overdue intervals, a day's, are cleared before everything else has its turn."""

log = structlog.get_logger()


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
        if not writer.look_at_clock():
            passed = reached
            await asyncio.sleep(_LONGEST_SLEEP_S)
            continue
        try:
            if reached != passed:
                passed = reached
                (committed,) = await writer.submit([TickInput()])
                result = committed.result
                if on_retired is not None and isinstance(result, DevicesRetired):
                    on_retired()
            elif writer.community.due_ms <= clock.now_ms():
                await writer.submit([])  # the writer does what is due before any input
        except Overloaded:  # the next tick does the same
            await asyncio.sleep(_LONGEST_SLEEP_S)


async def _sleep_until_due(writer: Writer, clock: Clock, period_ms: int) -> None:
    """Sleep until the next tick, or until something is due before it."""
    now_ms = clock.now_ms()
    wait_ms = min(period_ms - now_ms % period_ms, max(1, writer.community.due_ms - now_ms))
    await asyncio.sleep(min(clock.real_seconds(wait_ms), _LONGEST_SLEEP_S))


async def clear_when_due(writer: Writer, clock: Clock) -> None:
    """Submit the clearing of each interval when its time has come.

    After an outage, the intervals that were left out are cleared first, one after the other. After
    each `MOST_AT_ONCE` of them they wait for as long as that took, so that half of the writer's
    time is left for readings and orders. Runs until it is cancelled.
    """
    community = writer.community
    cleared, began_s = 0, time.monotonic()
    while True:
        now_ms = clock.now_ms()
        wait_ms = community.clear_due_ms - now_ms
        if wait_ms > 0:
            if cleared >= MOST_AT_ONCE:
                log.info("all overdue intervals are cleared")
            await asyncio.sleep(min(clock.real_seconds(wait_ms), _LONGEST_SLEEP_S))
            cleared, began_s = 0, time.monotonic()
            continue
        if cleared and cleared % MOST_AT_ONCE == 0:
            log.info("clearing overdue intervals", left=overdue(community, now_ms))
            await asyncio.sleep(min(time.monotonic() - began_s, _LONGEST_SLEEP_S))
            began_s = time.monotonic()
        try:
            await writer.submit([clearing_input(community.cleared_ms)])
            cleared += 1
        except Overloaded:
            await asyncio.sleep(_LONGEST_SLEEP_S)


def overdue(community: Community, now_ms: int) -> int:
    """Return how many intervals are due to be cleared and are not yet."""
    return max(0, now_ms - community.clear_due_ms + INTERVAL_MS) // INTERVAL_MS
