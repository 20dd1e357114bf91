"""A whole backend in this process, without its HTTP server, and a real Mosquitto."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from bench.rig.processes import Broker
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.backend.gateway_link import Link, linked
from tests.backend.parts import until
from tests.backend.village import Gateway, Village, toml_of

from gridtokenx_backend import server
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.inputs import OracleCommand, oracle_input
from gridtokenx_backend.engine.clock_guard import TimeSources
from gridtokenx_backend.startup.system_time import elapsed_ms
from gridtokenx_wire.keys import load_private_key


def write_configs(
    folder: Path, document: dict[str, Any], port: int, backend: str = "", *, qos: int = 1
) -> Path:
    """Write backend.toml and community.toml, and return the path of the first."""
    (folder / "community.toml").write_text(toml_of(document))
    path = folder / "backend.toml"
    path.write_text(
        f"[backend]\n{backend or 'verify_workers = 0'}\n"
        f"[broker]\nport = {port}\nqos = {qos}\ninsecure = true\n"
        "[api]\nport = 0\n"
    )
    return path


class Site:
    """A broker, and a backend that may be started again on the same data.

    A test may set the server's clock, and say whether a time service vouches for it.
    """

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.broker = broker
        self.village = Village()
        self.ahead_ms = 0
        self.is_synchronised = True
        self.backend: Backend
        self._links = AsyncExitStack()
        self._running = AsyncExitStack()

    def now_ms(self) -> int:
        """The server's clock: the system's, wrong by `ahead_ms`."""
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def settings(self, backend: str = "", *, qos: int = 1) -> Settings:
        path = write_configs(self.folder, self.village.document, self.broker.port, backend, qos=qos)
        settings = load_settings(path)
        prepare_data_folder(settings)
        return settings

    async def start(self, backend: str = "", *, qos: int = 1) -> Backend:
        """Start a backend, and return it when it is connected to the broker."""
        settings = self.settings(backend, qos=qos)
        times = TimeSources(
            wall_ms=self.now_ms,
            elapsed_ms=elapsed_ms,
            is_synchronised=lambda: self.is_synchronised,
        )
        self.key: Ed25519PublicKey = load_private_key(settings.ack_key).public_key()
        self.backend = await self._running.enter_async_context(server.start(settings, times))
        await until(lambda: self.backend.source.connected)
        return self.backend

    async def stop(self) -> None:
        """Stop the backend; the broker and the links stay."""
        await self._running.aclose()

    async def link(self, gateway: Gateway) -> Link:
        return await self._links.enter_async_context(linked(gateway, self.broker.port, self.key))

    async def unlink(self) -> None:
        await self._links.aclose()

    def dropped(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.backend.mqtt_intake.dropped.items()}

    async def pause(self, paused: bool) -> None:
        await self.backend.writer.submit([oracle_input(OracleCommand(paused, "a test"))])


@asynccontextmanager
async def site_in(folder: Path) -> AsyncIterator[Site]:
    """Run a broker without a backend; stop all that a test has started in it at the end."""
    with Broker(folder) as broker:
        assert isinstance(broker, Broker)
        site = Site(folder, broker)
        try:
            yield site
        finally:
            await site.unlink()
            await site.stop()
