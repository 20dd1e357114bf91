"""While the server's clock is in doubt, no gateway is made to forget a reading."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backend.parts import until
from tests.backend.running import Site, site_in
from tests.backend.village import HOUR_MS, reading

from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason

DAY_MS = 24 * HOUR_MS


def now(shift_ms: int = 0) -> Reading:
    return reading("ABB-1", time.time_ns() // 1_000_000 + shift_ms, 0)


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


async def test_frames_are_neither_stored_nor_acked_while_the_clock_is_in_doubt(site: Site) -> None:
    backend = await site.start()
    north = site.village.north
    link = await site.link(north)
    site.is_synchronised = False
    site.ahead_ms = DAY_MS
    await until(lambda: backend.writer.degradation[DegradedPart.CLOCK])
    frame = north.next([now()])
    await link.publish(frame)
    await until(lambda: site.dropped().get("clock_in_doubt") == 1)
    assert link.no_ack()
    assert backend.writer.durable_seq == 1
    site.ahead_ms = 0
    await until(lambda: not backend.writer.degraded)
    await link.publish(frame)  # as a gateway does that has no ack
    ack = await link.acked(1)
    assert ack.verdicts == []


@pytest.mark.parametrize("shift_ms", [HOUR_MS, -8 * DAY_MS])
async def test_readings_of_another_time_wait_where_nobody_vouches_for_the_server(
    site: Site, shift_ms: int
) -> None:
    site.is_synchronised = False
    await site.start()
    north = site.village.north
    link = await site.link(north)
    frame = north.next([now(shift_ms)])
    await link.publish(frame)
    await until(lambda: site.dropped().get("clock_in_doubt") == 1)
    assert link.no_ack()
    site.is_synchronised = True  # the server was right all along: the verdict is about the gateway
    guard = site.backend.writer.guard
    assert guard is not None
    await until(lambda: guard.is_certain)
    await link.publish(frame)
    ack = await link.acked(1)
    expected = Reason.FUTURE_TIME if shift_ms > 0 else Reason.STALE_TIME
    assert [verdict.reason for verdict in ack.verdicts] == [expected]
