"""Puts intervals to the core to be cleared, each when its time has come."""

from __future__ import annotations

import asyncio

from gridtokenx_backend.core.messages.inputs import clear_interval
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_wire.clock import Clock

_LONGEST_SLEEP_S = 1.0
"""New terms may bring the next one forward."""


async def clear_when_due(writer: Writer, clock: Clock) -> None:
    """Runs until it is cancelled. What an outage left out is cleared first, one after the other."""
    community = writer.community
    while True:
        wait_ms = community.clear_due_ms - clock.now_ms()
        if wait_ms > 0:
            await asyncio.sleep(min(clock.real_seconds(wait_ms), _LONGEST_SLEEP_S))
            continue
        try:
            await writer.submit([clear_interval(community.cleared_ms)])
        except Overloaded:
            await asyncio.sleep(_LONGEST_SLEEP_S)
