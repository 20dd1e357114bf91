"""`clock.json`: where the community's clock stands, so that the next start goes on from there.

The clock is anchored at each start. A heartbeat writes down how far it may get, because a demo
that is killed says no goodbye; the next start begins after that and after all that was stamped.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.audit.evidence import open_database
from gridtokenx_sim.demo.audit.signed_messages import EvidenceError, read_frame
from gridtokenx_sim.demo.files.folder import Folder, write_json
from gridtokenx_wire.clock import ClockConfig, make_clock

_MARGIN_MS = 60_000
_UNSEEN_MS = 3000
"""Real time that may have passed after the last heartbeat of a demo that was killed."""


class ClockFile(msgspec.Struct, frozen=True, kw_only=True):
    """The anchor, and the newest community time that the clock can have shown."""

    wall_ms: int
    community_ms: int
    speed: float
    newest_ms: int


def anchor(folder: Folder, speed: float) -> ClockConfig:
    """Return a clock that starts now: at the town's morning, or after everything that carries a
    time.
    """
    wall_ms = time.time_ns() // 1_000_000
    stamps = [*_stamps(folder)]
    community_ms = max(stamps) + _MARGIN_MS if stamps else town.START_MS
    return ClockConfig(source="scaled", wall_ms=wall_ms, community_ms=community_ms, speed=speed)


def beat(folder: Folder, config: ClockConfig, *, last: bool = False) -> None:
    """Write down what the clock can show until the next beat, if there is one. Raises OSError."""
    newest_ms = make_clock(config).now_ms() + (0 if last else round(_UNSEEN_MS * config.speed))
    write_json(
        folder.clock,
        ClockFile(
            wall_ms=config.wall_ms,
            community_ms=config.community_ms,
            speed=config.speed,
            newest_ms=newest_ms,
        ),
    )


def _stamps(folder: Folder) -> Iterator[int]:
    """Yield community times that nothing new may come before."""
    with suppress(OSError, msgspec.DecodeError):
        yield msgspec.json.decode(folder.clock.read_bytes(), type=ClockFile).newest_ms
    yield from (at_ms for (at_ms,) in _rows(folder.journal, "SELECT max(at_ms) FROM journal"))
    newest = "SELECT message FROM frame ORDER BY seq DESC LIMIT 1"
    for gateway in town.GATEWAYS:
        for (message,) in _rows(folder.outbox(gateway.name), newest):
            with suppress(EvidenceError):
                yield max(read_frame(message).time_ms)


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows that a query finds; none if there is no such file, or nothing in it yet."""
    with suppress(sqlite3.Error), closing(open_database(path)) as database:
        return [row for row in database.execute(query) if row[0] is not None]
    return []
