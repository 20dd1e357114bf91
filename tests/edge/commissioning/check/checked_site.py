"""A site of simulated meters whose time runs 200 times as fast, and a check of it in here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gridtokenx_edge.cli.read import choose
from gridtokenx_edge.cli.read_dlms import choose_dlms
from gridtokenx_edge.commissioning.check.finding import Finding, Severity
from gridtokenx_edge.commissioning.check.site_check import CheckRequest, SiteCheck
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import resolve_paths
from gridtokenx_sim.config.sim_config import SimConfig, Site
from gridtokenx_sim.simulation import Simulation, serve
from gridtokenx_wire.clock import ClockConfig

SPEED = 200
EVENING = datetime(2026, 6, 21, 17, 0, tzinfo=UTC)
HEAVY = {"annual_load_kwh": 60_000 * 10**9}


@contextlib.asynccontextmanager
async def running(*buses: Any) -> AsyncIterator[tuple[Simulation, ClockConfig]]:
    """The meters of a household in the evening, and the clock that they live by."""
    clock = ClockConfig(
        source="scaled",
        wall_ms=time.time_ns() // 10**6,
        community_ms=round(EVENING.timestamp() * 1000),
        speed=SPEED,
    )
    site = Site(latitude=48.2, longitude=16.37, start=EVENING)
    async with serve(SimConfig(site, buses, clock)) as served:
        yield served, clock


def clock_table(clock: ClockConfig) -> str:
    return (
        f'clock = {{source = "scaled", wall_ms = {clock.wall_ms},'
        f" community_ms = {clock.community_ms}, speed = {clock.speed}}}"
    )


async def check(config: Path, **wanted: Any) -> dict[tuple[str, str], Finding]:
    """The findings of a check by name and what they are about."""
    loaded = load_config(config)
    fields: dict[str, Any] = {"duration_s": 60, "flow": "", "ack_wait_s": 3.0, "version": "1"}
    fields |= {"shortest_round_s": 0.01, "dlms": choose_dlms(loaded)}
    found: list[Finding] = []
    await SiteCheck(
        loaded,
        resolve_paths(loaded, config),
        CheckRequest(chosen=choose(loaded, ""), **fields | wanted),
        found.append,
        lambda _: None,
    ).run()
    return {(each.name, each.about): each for each in found}


def errors(found: dict[tuple[str, str], Finding]) -> dict[tuple[str, str], Finding]:
    return {key: each for key, each in found.items() if each.severity is Severity.ERROR}


def change(site: Any, old: str, new: str) -> None:
    text = site.config.read_text()
    assert old in text
    site.config.write_text(text.replace(old, new))
