"""Frames that are kept by their hash and come again long after, over a whole backend."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backend.refused_frames import Sender, other_frame
from tests.backend.running import Site, site_in

from gridtokenx_backend.core.messages.refused_frames import parse_refused_frame
from gridtokenx_backend.core.minting.chain import KEPT_HEADS
from gridtokenx_backend.ingest.frame_file import store_frames
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.frame import frame_hash
from gridtokenx_wire.verdict import Reason


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        site.village.at_ms = time.time_ns() // 1_000_000
        yield site


async def test_a_gateway_is_told_the_verdicts_on_a_frame_that_is_kept_by_its_hash(
    site: Site,
) -> None:
    backend = await site.start()
    north = site.village.north
    message = Sender(site.village).frame("unbound", 300).raw
    link = await site.link(north)
    told: list[Ack] = []
    for _ in range(2):  # as if the first ack had been lost
        await link.publish(message)
        told.append(await link.ack())
    assert [ack.next_seq for ack in told] == [1, 1]
    for ack in told:
        assert [verdict.reason for verdict in ack.verdicts] == [Reason.UNBOUND_METER] * 300
    entry = await backend.journal.entry(backend.writer.durable_seq)
    assert entry is not None
    assert entry.kind == "refused"
    assert parse_refused_frame(entry.input).frame.frame_hash == frame_hash(message)


async def test_one_that_is_too_old_for_the_core_is_told_apart_by_the_hash_in_the_journal(
    site: Site,
) -> None:
    backend = await site.start()
    sender, north = Sender(site.village), site.village.north
    for step in range(KEPT_HEADS + 20):
        made = sender.summary if step % 5 == 3 else sender.frame
        made("unbound" if step % 2 else "stale")
    device = backend.intake.devices[north.device]
    stored = await store_frames(north.sent, device, backend.intake)
    assert stored.accepted == len(north.sent)
    kinds = [entry.kind async for entry in backend.journal.entries(1)]
    assert kinds == ["refused"] * len(north.sent)
    again = await store_frames(north.sent, device, backend.intake)
    assert (again.duplicates, again.refusal) == (len(north.sent), None)
    forked = await store_frames([other_frame(north, 2).raw], device, backend.intake)
    assert forked.refusal is not None
    assert forked.refusal.value == "forked"
    assert device.held
