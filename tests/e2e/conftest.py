"""A site of real processes for the end-to-end tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bench.rig.site import CLOCK, Site, SitePlan

SPEED = 60
MORNING = datetime(2026, 6, 21, 8, 0, tzinfo=UTC)


def morning_clock() -> str:
    """Return a [clock] section: a sunny morning now, and a minute every second."""
    return CLOCK.format(
        wall_ms=time.time_ns() // 1_000_000,
        community_ms=round(MORNING.timestamp() * 1000),
        speed=SPEED,
    )


def fast_plan(**other: Any) -> SitePlan:
    """Return four meters on two lines, a reading of each three times a second."""
    return SitePlan(
        poll_every_s=20,
        start="2026-06-21T00:00:00Z",
        broker="longest_retry_s = 1\n",
        uplink="[uplink]\nack_timeout_s = 1\nseal_after_s = 0\n",
        community_extra="[market]\ntick_s = 60\n",
        **{"lines": 2, "meters_a_line": 2, "clock": morning_clock(), **other},
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Yield a site without faults, at work."""
    with running_site(tmp_path, fast_plan()) as site:
        yield site


@contextmanager
def running_site(folder: Path, plan: SitePlan) -> Iterator[Site]:
    """Everything runs; what still runs at the end is stopped."""
    site = Site(folder, plan)
    processes = (site.broker, site.simulator, site.backend, site.edge)
    try:
        site.broker.start()
        site.simulator.start()
        site.simulator.ready()
        site.backend.start()
        site.backend.api()
        site.edge.start()
        yield site
    finally:
        for process in reversed(processes):
            if process.running():
                process.stop()
