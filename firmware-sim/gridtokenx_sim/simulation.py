"""Starts the meters of a config inside this process, for the command and for tests.

async with serve(config) as simulation:
    simulation.buses[0].path            # what a gateway opens
    simulation.meter("EASTRON-1").inject(Silence())
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from gridtokenx_sim.bus_faults import RunningBus, follow_schedule
from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config.dlms import DlmsSerialBus, DlmsTcpBus
from gridtokenx_sim.config.sim_config import AnyBus, SerialBus, SimConfig
from gridtokenx_sim.dlms.buses import RunningDlmsSerialBus, RunningDlmsTcpBus
from gridtokenx_sim.dlms.meter import DlmsMeter
from gridtokenx_sim.modbus.buses import RunningSerialBus, RunningTcpBus
from gridtokenx_sim.modbus.meter import SimMeter
from gridtokenx_sim.physics.noise import seed_for
from gridtokenx_sim.physics.site import Sky
from gridtokenx_wire.clock import make_clock

AnyMeter = SimMeter | DlmsMeter


class Simulation:
    """The buses and meters that are being served, in the config's order."""

    def __init__(self, buses: list[RunningBus], clock: CommunityClock) -> None:
        self.buses = buses
        self.meters: list[AnyMeter] = [meter for bus in buses for meter in bus.meters]
        self.clock = clock

    def bus(self, name: str) -> RunningBus:
        """Return the bus with this name. Raises KeyError."""
        return {bus.name: bus for bus in self.buses}[name]

    def meter(self, meter_id: str) -> AnyMeter:
        """Return the meter with this id. Raises KeyError."""
        return {meter.id: meter for meter in self.meters}[meter_id]

    def announcement(self) -> dict[str, Any]:
        """Return what `gridtokenx-sim run` prints once every bus is served."""
        return {
            "ready": True,
            "buses": [_bus_entry(bus) for bus in self.buses],
            "meters": [
                {
                    "id": meter.id,
                    "model": meter.model,
                    "address": meter.address,
                    "bus": meter.bus,
                }
                for meter in self.meters
            ],
        }


@asynccontextmanager
async def serve(
    config: SimConfig,
    clock: CommunityClock | None = None,
    complain: Callable[[str], None] | None = None,
) -> AsyncIterator[Simulation]:
    """Serve every bus of `config` for as long as the context lasts. Raises BusError.

    `clock` replaces the config's, so that a test can move time by hand. `complain` hears what a
    person at the bench should know, one line each.
    """
    clock = make_clock(config.clock) if clock is None else clock
    sky = Sky(config.site.latitude, config.site.longitude, seed_for(config.site.seed, "sky"))
    buses = [_build(bus, config, sky, clock, complain) for bus in config.bus]
    simulation = Simulation(buses, clock)
    for meter in simulation.meters:
        meter.registers()  # counts the time since the start before anybody asks
    async with AsyncExitStack() as stack:
        for bus in buses:
            stack.push_async_callback(bus.stop)
            await bus.start()
            if bus.faults:
                await _follow(stack, bus, config.site.start_ms, clock)
        yield simulation


def _build(
    bus: AnyBus,
    config: SimConfig,
    sky: Sky,
    clock: CommunityClock,
    complain: Callable[[str], None] | None,
) -> RunningBus:
    if isinstance(bus, DlmsSerialBus | DlmsTcpBus):
        dlms_meters = [DlmsMeter(meter, bus.name, config.site, sky, clock) for meter in bus.meter]
        if isinstance(bus, DlmsSerialBus):
            return RunningDlmsSerialBus(bus, dlms_meters, clock, complain)
        return RunningDlmsTcpBus(bus, dlms_meters, clock)
    meters = [SimMeter(meter, bus.name, config.site, sky, clock) for meter in bus.meter]
    if isinstance(bus, SerialBus):
        return RunningSerialBus(bus, meters, complain)
    return RunningTcpBus(bus, meters)


async def _follow(
    stack: AsyncExitStack, bus: RunningBus, start_ms: int, clock: CommunityClock
) -> None:
    """Run the bus's own faults beside it, until the stack unwinds."""
    task = asyncio.create_task(follow_schedule(bus, lambda: max(0, clock.now_ms() - start_ms)))

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


def _bus_entry(bus: RunningBus) -> dict[str, Any]:
    if isinstance(bus, RunningSerialBus | RunningDlmsSerialBus):
        return {"name": bus.name, "kind": bus.kind, "path": str(bus.path)}
    return {"name": bus.name, "kind": bus.kind, "host": bus.host, "port": bus.port}
