"""Retired keys of a gateway: the frames that they left are sent first, and then they are done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.agent import retired_keys
from gridtokenx_edge.agent.retired_keys import RetiredKeys
from gridtokenx_edge.config.edge_config import (
    BackendConfig,
    BrokerConfig,
    DeviceConfig,
    EdgeConfig,
    FormerDevice,
    SiteConfig,
    UplinkConfig,
    resolve_paths,
)
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.config import PublicKeys
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.keys import raw_public_key
from gridtokenx_wire.reading import Reading

CLOCK = ClockStatus(synchronised=True, stepped=False, source="ntp")
FRAMES = 40


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **_: self.events.append(event)


@asynccontextmanager
async def site(
    folder: Path, backend: Any, port: int, former_key: Ed25519PrivateKey, *extra: bytes
) -> AsyncIterator[tuple[RetiredKeys, Log]]:
    """A gateway whose former key, `edge.key`, has frames left; acked under the last of the keys."""
    outbox = Outbox(folder / "outbox.db", former_key)
    await outbox.open()
    if outbox.next_seq == 0:
        for number in range(FRAMES):
            await outbox.append(
                [
                    Reading(
                        meter="ABB-1",
                        time_ms=1000 + number,
                        import_uwh=number,
                        export_uwh=0,
                        power_w=0,
                    )
                ],
                CLOCK,
            )
    await outbox.close()
    config = EdgeConfig(
        site=SiteConfig(community="lane"),
        device=DeviceConfig(
            key="edge-2.key",
            outbox="outbox-2.db",
            former=[FormerDevice(key="edge.key", outbox="outbox.db")],
        ),
        backend=BackendConfig(PublicKeys((*extra, raw_public_key(backend.key.public_key())))),
        broker=BrokerConfig(host="127.0.0.1", port=port, insecure=True),
        bus=[],
        uplink=UplinkConfig(ack_timeout_s=0.5),
    )
    log: Any = Log()
    paths = resolve_paths(config, folder / "edge.toml")
    retired = RetiredKeys(config, paths, make_clock(ClockConfig()), "1", log)
    try:
        yield retired, log
    finally:
        await retired.stop()


async def test_what_is_left_is_sent_before_the_new_keys_turn_and_never_again(
    tmp_path: Path, backend: Any, broker: Any, device_key: Ed25519PrivateKey
) -> None:
    async with site(tmp_path, backend, broker.port, device_key) as (retired, log):
        await asyncio.wait_for(retired.go_first(), 20)
        assert [frame.seq for frame in backend.frames] == list(range(FRAMES))
    assert log.events.count("former_key_drained") == 1
    received = backend.received
    async with site(tmp_path, backend, broker.port, device_key) as (retired, log):
        await asyncio.wait_for(retired.go_first(), 20)
        assert log.events == ["former_key_drained"]
    assert backend.received == received


async def test_acks_by_any_of_the_backends_keys_count(
    tmp_path: Path, backend: Any, broker: Any, device_key: Ed25519PrivateKey
) -> None:
    other = raw_public_key(Ed25519PrivateKey.generate().public_key())
    async with site(tmp_path, backend, broker.port, device_key, other) as (retired, log):
        await asyncio.wait_for(retired.go_first(), 20)
        assert "ack_ignored" not in log.events


async def test_a_former_key_that_is_not_heard_does_not_hold_the_new_one_up(
    tmp_path: Path,
    backend: Any,
    broker: Any,
    device_key: Ed25519PrivateKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retired_keys, "LONGEST_WAIT_S", 0.3)
    backend.is_mute = True
    async with site(tmp_path, backend, broker.port, device_key) as (retired, log):
        await asyncio.wait_for(retired.go_first(), 20)
        assert (retired.unacked, "former_key_waits" in log.events) == (FRAMES, True)
    assert not (tmp_path / "outbox.db.drained").exists()


async def test_a_former_key_without_its_files_is_told_and_passed_over(
    tmp_path: Path, backend: Any, broker: Any, device_key: Ed25519PrivateKey
) -> None:
    async with site(tmp_path, backend, broker.port, device_key):
        pass
    (tmp_path / "edge.key").chmod(0o644)
    async with site(tmp_path, backend, broker.port, device_key) as (retired, log):
        await asyncio.wait_for(retired.go_first(), 5)
        assert log.events == ["former_key_unusable"]
