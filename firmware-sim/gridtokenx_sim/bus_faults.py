"""The faults of whole buses, which are pulled out and put back as their time comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gridtokenx_sim.bus_error import BusError
from gridtokenx_sim.dlms.buses import RunningDlmsBus
from gridtokenx_sim.modbus.buses import RunningSerialBus, RunningTcpBus

RunningBus = RunningSerialBus | RunningTcpBus | RunningDlmsBus


async def follow_schedule(
    bus: RunningBus, elapsed_ms: Callable[[], int], every_s: float = 0.2
) -> None:
    """Unplug and replug `bus` as its faults begin and end. Runs until cancelled."""
    while True:
        with suppress(BusError):  # The port is taken; the next round tries again.
            await _apply(bus, elapsed_ms())
        await asyncio.sleep(every_s)


async def _apply(bus: RunningBus, elapsed_ms: int) -> None:
    out = any(scheduled.holds(elapsed_ms) for scheduled in bus.faults)
    if out and bus.plugged:
        await bus.unplug()
    elif not out and not bus.plugged:
        await bus.replug()
