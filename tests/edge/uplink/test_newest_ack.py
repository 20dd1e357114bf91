"""A gateway keeps the newest ack, and shows it to a backend that has forgotten it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.edge.uplink.sending_uplink import Bench, sending

from gridtokenx_edge.config.edge_config import BrokerConfig
from gridtokenx_wire.ack import Ack, open_ack
from gridtokenx_wire.verdict import Reason, Verdict


@pytest.fixture
def plain(broker: Any) -> BrokerConfig:
    return BrokerConfig(host="127.0.0.1", port=broker.port, insecure=True)


@pytest.fixture(name="shown")
def _shown(backend: Any) -> Callable[[], list[Ack | None]]:
    """The acks in the hellos that the backend has heard."""

    def of_hellos() -> list[Ack | None]:
        key = backend.key.public_key()
        return [
            open_ack(hello.newest_ack, key) if hello.newest_ack else None
            for hello in backend.hellos
        ]

    return of_hellos


async def acked(bench: Bench, backend: Any, next_seq: int, wait_until: Any, **more: Any) -> Ack:
    head = await bench.outbox.head_before(next_seq)
    backend.send_ack(next_seq, chain=bench.outbox.chain, head=head, **more)
    await wait_until(lambda: bench.uplink.counts.acked == next_seq)
    return Ack(
        device=backend.device,
        chain=bench.outbox.chain,
        next_seq=next_seq,
        verdicts=more.get("verdicts", []),
        head=head,
    )


async def test_the_ack_that_frames_were_deleted_by_is_in_the_hello_after_a_restart(
    tmp_path: Path,
    device_key: Any,
    backend: Any,
    plain: BrokerConfig,
    wait_until: Callable[..., Awaitable[None]],
    shown: Callable[[], list[Ack | None]],
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 50, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 50)
        ack = await acked(bench, backend, 45, wait_until)
        await wait_until(lambda: bench.outbox.oldest_seq == 45)
    async with sending(tmp_path, device_key, backend, plain, ack_timeout_s=60):
        await wait_until(lambda: len(backend.hellos) == 2)
    assert shown() == [None, ack]


async def test_an_outbox_with_an_ack_is_still_read_by_the_agent_of_before(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    """It knows the outbox's version, and passes over a table that it does not know."""
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 50, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 50)
        await acked(bench, backend, 45, wait_until)
        await wait_until(lambda: bench.outbox.oldest_seq == 45)
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        assert database.execute("SELECT version FROM chain").fetchall() == [(2,)]
        assert len(database.execute("SELECT message FROM newest_ack").fetchall()) == 1


async def test_a_backend_that_says_less_than_before_is_shown_what_it_had_acked(
    tmp_path: Path,
    device_key: Any,
    backend: Any,
    plain: BrokerConfig,
    wait_until: Any,
    shown: Callable[[], list[Ack | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gridtokenx_edge.uplink.ack_intake._FIRST_SHOW_S", 0.0)
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 50, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 50)
        inner = await bench.outbox.head_before(20)
        ack = await acked(bench, backend, 45, wait_until)
        await wait_until(lambda: bench.outbox.oldest_seq == 45)
        backend.send_ack(20, chain=bench.outbox.chain, head=inner)
        await wait_until(lambda: len(backend.hellos) == 2)
        assert shown() == [None, ack]
        assert bench.log.named("backend_behind")
        assert await bench.stored() == [45, 46, 47, 48, 49]


async def test_an_ack_with_very_many_verdicts_is_not_shown(
    tmp_path: Path, device_key: Any, backend: Any, plain: BrokerConfig, wait_until: Any
) -> None:
    backend.is_mute = True
    async with sending(tmp_path, device_key, backend, plain, 50, ack_timeout_s=60) as bench:
        await wait_until(lambda: backend.received == 50)
        await acked(bench, backend, 40, wait_until)
        kept = bench.outbox.newest_ack
        verdicts = [Verdict(seq=44, index=n, reason=Reason.STALE_TIME) for n in range(900)]
        await acked(bench, backend, 45, wait_until, verdicts=verdicts)
        assert bench.outbox.newest_ack == kept
