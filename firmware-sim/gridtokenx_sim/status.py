"""The status file: what each meter truly counted, for a demo's picture and its audit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.config.faults import kind_of
from gridtokenx_sim.simulation import AnyMeter, Simulation

_EVERY_S = 1.0


def snapshot(simulation: Simulation) -> dict[str, Any]:
    """Return the truth of every meter at one moment, with the faults that hide it."""
    time_ms = simulation.clock.now_ms()
    return {
        "time_ms": time_ms,
        "buses": [{"name": bus.name, "plugged": bus.plugged} for bus in simulation.buses],
        "meters": [_meter_entry(meter, time_ms) for meter in simulation.meters],
    }


def write(path: Path, simulation: Simulation) -> None:
    """Replace `path` in one step, so that a reader never sees half a file. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(msgspec.json.encode(snapshot(simulation)))
        fresh.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


async def keep_writing(
    path: Path, simulation: Simulation, stop: asyncio.Event, complain: Callable[[str], None]
) -> None:
    """Rewrite `path` about once a second (real time) until `stop`, and once more then.

    A full disk must not stop the meters: it is said once, and tried again.
    """
    complained = False
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _EVERY_S)
        try:
            write(path, simulation)
        except OSError as error:
            if not complained:
                complain(f"{path}: cannot be written: {error.strerror}")
            complained = True


def _meter_entry(meter: AnyMeter, time_ms: int) -> dict[str, Any]:
    truth = meter.registers(time_ms)
    return {
        "id": meter.id,
        "model": meter.model,
        "bus": meter.bus,
        "power_w": round(truth.power_mw / 1000),
        "import_uwh": truth.import_uwh,
        "export_uwh": truth.export_uwh,
        "faults": [kind_of(fault) for fault in meter.active_faults()],
    }
