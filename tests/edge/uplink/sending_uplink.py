"""An uplink with its outbox and a log that can be asked, for tests with a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.config.edge_config import (
    BackendConfig,
    BrokerConfig,
    DeviceConfig,
    EdgeConfig,
    SiteConfig,
    UplinkConfig,
    resolve_paths,
)
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.uplink.uplink import Uplink
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.config import PublicKeys
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.keys import raw_public_key
from gridtokenx_wire.reading import Reading

CLOCK = ClockStatus(synchronised=True, stepped=False, source="ntp")


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == event]


class Bench:
    """An uplink with its outbox."""

    def __init__(self, outbox: Outbox, uplink: Uplink, log: Log) -> None:
        self.outbox = outbox
        self.uplink = uplink
        self.log = log

    async def seal(self, count: int) -> None:
        for _ in range(count):
            seq = self.outbox.next_seq
            reading = Reading(meter="M-1", time_ms=seq, import_uwh=seq, export_uwh=0)
            self.uplink.sealed(await self.outbox.append([reading], CLOCK) + 1)

    async def stored(self) -> list[int]:
        return [seq for _, seq, _ in await self.outbox.frames(0, 100_000)]


@asynccontextmanager
async def sending(
    folder: Path,
    device_key: Ed25519PrivateKey,
    backend: Any,
    broker: BrokerConfig,
    backlog: int = 0,
    **uplink: Any,
) -> AsyncIterator[Bench]:
    config = EdgeConfig(
        site=SiteConfig(community="lane"),
        device=DeviceConfig(key="edge.key", outbox="outbox.db"),
        backend=BackendConfig(PublicKeys((raw_public_key(backend.key.public_key()),))),
        broker=broker,
        bus=[],
        uplink=UplinkConfig(**({"ack_timeout_s": 0.15} | uplink)),
    )
    log = Log()
    paths = resolve_paths(config, folder / "edge.toml")
    outbox = Outbox(paths.outbox, device_key)
    await outbox.open()
    clock = make_clock(ClockConfig())
    made = Uplink(config, paths, outbox, clock, "1.2.3", cast(Any, log))
    bench = Bench(outbox, made, log)
    await bench.seal(backlog)
    task = asyncio.create_task(made.run())
    try:
        yield bench
    finally:
        made.stop()
        await asyncio.wait_for(task, 10)
        await outbox.close()
