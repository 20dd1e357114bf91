"""What retired keys of this gateway have left to send: each has an uplink until its outbox is
empty.

Readings under the new key are sent afterwards, so that the oracle sees them in their order. A
retired key that the backend no longer accepts must not hold them up for ever: after a while without
progress the new key is used beside it.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from gridtokenx_edge.config.edge_config import EdgeConfig, Paths
from gridtokenx_edge.log import Logger
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.uplink.uplink import Uplink
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.errors import ConfigError, KeyFileError
from gridtokenx_wire.keys import device_text, load_private_key

LONGEST_WAIT_S = 120.0
_LOOK_EVERY_S = 0.1
_RETRY_S = 30.0
_STOP_S = 1.0


class RetiredKey:
    """One retired key and its outbox. Raises KeyFileError or ConfigError if its files cannot be
    used.
    """

    def __init__(
        self, config: EdgeConfig, paths: Paths, clock: Clock, version: str, log: Logger
    ) -> None:
        self._log = log
        self._outbox = Outbox(paths.outbox, load_private_key(paths.key))
        self.uplink = Uplink(config, paths, self._outbox, clock, version, log)
        self._mark = mark_of(paths)

    async def drain(self) -> None:
        """Send until nothing is left, and mark the outbox so. It can be cancelled."""
        device = device_text(self._outbox.device)
        sending = asyncio.create_task(self.uplink.run())
        try:
            await self._open()
            await self.uplink.drained.wait()
            with suppress(OSError):  # without the mark it is asked again after the next start
                self._mark.touch()
            self._log.info("former_key_drained", device=device)
        except OutboxRefusedError as error:
            self._log.error("former_key_unusable", device=device, reason=str(error))
        finally:
            self.uplink.stop()
            await asyncio.wait([sending], timeout=_STOP_S)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await self._outbox.close()

    async def _open(self) -> None:
        while True:
            try:
                return await self._outbox.open()
            except OutboxUnavailableError as fault:
                self._log.error("outbox_unavailable", reason=str(fault), held=0)
                await asyncio.sleep(_RETRY_S)


class RetiredKeys:
    """All retired keys that have something left to send."""

    def __init__(
        self, config: EdgeConfig, paths: Paths, clock: Clock, version: str, log: Logger
    ) -> None:
        self._log = log
        self._all: list[RetiredKey] = []
        self._draining: list[asyncio.Task[None]] = []
        for files in paths.former:
            if mark_of(files).exists() or not files.outbox.exists():
                log.info("former_key_drained", key=str(files.key))
                continue
            try:
                self._all.append(RetiredKey(config, files, clock, version, log))
            except (KeyFileError, ConfigError) as error:
                log.error("former_key_unusable", key=str(files.key), reason=str(error))

    async def go_first(self, beat: Beat = no_beat) -> None:
        """Return when nothing is left, or when no ack came for a while. The uplinks go on by
        themselves.
        """
        if not self._draining:
            self._draining = [asyncio.create_task(each.drain()) for each in self._all]
        acked, since_s = -1, time.monotonic()
        while not all(task.done() for task in self._draining):
            beat()
            now_acked = sum(each.uplink.counts.acked for each in self._all)
            if now_acked != acked:
                acked, since_s = now_acked, time.monotonic()
            if time.monotonic() - since_s >= LONGEST_WAIT_S:
                self._log.warning("former_key_waits", unacked=self.unacked)
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    @property
    def unacked(self) -> int:
        return sum(each.uplink.unacked for each in self._all)

    async def stop(self) -> None:
        """End the uplinks soon. What is left stays in the outboxes."""
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)


def mark_of(paths: Paths) -> Path:
    """Return the file whose existence says that a retired outbox has nothing left."""
    return paths.outbox.with_name(f"{paths.outbox.name}.drained")
