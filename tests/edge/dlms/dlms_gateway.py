"""The DLMS part of a gateway in this process, from a meter's line to the outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.edge.dlms.dlms_meter import METER, PERIOD_MS
from tests.edge.polling.surroundings import surroundings

from gridtokenx_edge.agent.stored_readings import stored_readings
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.edge_config import Paths, UplinkConfig
from gridtokenx_edge.dlms.driver import DlmsDriver
from gridtokenx_edge.polling.buses import Buses
from gridtokenx_edge.polling.task_supervisor import TaskSupervisor, cancel
from gridtokenx_edge.progress import Progress, no_beat
from gridtokenx_edge.store.clock_status import ClockWatch
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.sealer import Sealer
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.frame import open_frame
from gridtokenx_wire.keys import create_private_key, device_id, load_private_key
from gridtokenx_wire.reading import Reading

HOUR_MS = 3_600_000
START_MS = 1_750_000_000_000 - 1_750_000_000_000 % PERIOD_MS + 123_000
WaitUntil = Callable[..., Awaitable[None]]


class Times:
    """A clock that is moved by hand and stands otherwise, but for real time passing."""

    def __init__(self) -> None:
        self.base_ms = START_MS
        self._began = time.monotonic()

    def now_ms(self) -> int:
        return self.base_ms + round((time.monotonic() - self._began) * 1000)

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000


class Gateway:
    """The DLMS part of an agent, from the line to the outbox; it can be stopped or killed."""

    def __init__(self, folder: Path, bus: DlmsTcp | DlmsSerial, clock: Times) -> None:
        key_file = folder / "device.key"
        if not key_file.exists():
            create_private_key(key_file)
        self.key: Ed25519PrivateKey = load_private_key(key_file)
        paths = Paths(
            key=key_file,
            outbox=folder / "outbox.db",
            broker_ca=folder,
            broker_cert=folder,
            broker_key=folder,
            folder=folder,
        )
        self.outbox = Outbox(paths.outbox, self.key)
        self.events: list[dict[str, Any]] = []
        log = structlog.wrap_logger(
            structlog.testing.LogCapture(), processors=[self._kept], wrapper_class=None
        )
        watch = ClockWatch(ClockConfig(source="scaled", speed=1.0))
        uplink = UplinkConfig(max_readings_per_frame=50, seal_after_s=0)
        self.sealer = Sealer(self.outbox, uplink, clock, watch, log, lambda _: None, no_beat)
        around = surroundings(
            clock,
            log,
            folder,
            device=device_id(self.key.public_key()),
            stored_readings=lambda: stored_readings(self.outbox, self.key.public_key()),
        )
        self._supervisor = TaskSupervisor(lambda fault: pytest.fail(str(fault)))
        self.buses = Buses({"dlms": DlmsDriver}, around, self.sealer, Progress(), self._supervisor)
        self.sealer.on_stored = self.buses.stored
        self._bus = bus

    def _kept(self, _log: Any, level: str, event: dict[str, Any]) -> dict[str, Any]:
        self.events.append(event)
        raise structlog.DropEvent

    async def __aenter__(self) -> Gateway:
        await self.outbox.open()
        self._sealing = asyncio.create_task(self.sealer.run())
        await self.buses.apply({"dlms": [self._bus]}, 0)
        return self

    async def kill(self) -> None:
        await self.buses.stop(0)
        await self._supervisor.close()
        await cancel(self._sealing)

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        await self.outbox.close()

    async def frames(self) -> list[bytes]:
        """What it has signed and stored, as it will be sent."""
        return [frame.message for frame in await self.outbox.frames(0, 10_000)]

    async def readings(self) -> list[Reading]:
        return [
            reading
            for message in await self.frames()
            for reading in open_frame(message, self.key.public_key()).readings()
        ]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]


def tcp_bus(port: int, **more: Any) -> DlmsTcp:
    access: Any = {"authentication": "none", "protection": "none", **more}
    meter = DlmsMeter(id=METER, profile="iskraemeco_am550", poll_every_s=0.1, **access)
    return DlmsTcp(
        name="tcp", host="127.0.0.1", meter=[meter], port=port, timeout_ms=500, retries=0
    )


async def outage(
    folder: Path, port: int, clock: Times, wait_until: WaitUntil, hours: float, **more: Any
) -> Gateway:
    """A gateway that reads, is away for hours, and reads again; its outbox is as it was."""
    async with Gateway(folder, tcp_bus(port, **more), clock) as gateway:
        await wait_until(lambda: gateway.sealer.sealed >= 2)
        await gateway.kill()
    clock.base_ms += round(hours * HOUR_MS)
    return Gateway(folder, tcp_bus(port, **more), clock)
