"""backlog: a gateway that was offline for six weeks comes back.

Its outbox is prepared: eight meters, a reading of each every 15 minutes, for 42 days. Then the real
agent polls the simulated meters, with the real broker and the real backend, and sends: the oldest
first, and what is read meanwhile in its turn. Counted from what the backend's journal holds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.rig.processes import wait_for
from bench.rig.site import CLOCK, Site, SitePlan
from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire import cose
from gridtokenx_wire.frame import ClockStatus, Frame, decode_frame
from gridtokenx_wire.keys import load_private_key
from gridtokenx_wire.reading import Reading

DAYS = 42
EVERY_MS = 900_000
POLL_EVERY_S = 2
_LIMIT_S = 300.0
_CLOCK = ClockStatus(synchronised=True, stepped=False, source="ntp")
_AFTER = 6
"""New rounds of polls that are waited for after the backlog is gone."""


class Stored(msgspec.Struct, frozen=True):
    """A frame of the journal: when it was taken, and which of its readings were not."""

    at_ms: int
    frame: Frame
    refused: frozenset[int]


def run(days: int = DAYS) -> dict[str, object]:
    """Return one run on fresh data."""
    extra = f"[oracle]\noldest_reading_s = {(days + 7) * 86_400}\n"
    now_ms = _now_ms()
    plan = SitePlan(
        # Real time, on a clock that counts as set whatever the machine's is.
        clock=CLOCK.format(wall_ms=now_ms, community_ms=now_ms, speed=1.0),
        poll_every_s=POLL_EVERY_S,
        community_extra=extra,
        uplink="[uplink]\nseal_after_s = 0\n",
        # The meters begin where the backlog ends, with registers at 0.
        start=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        site = Site(Path(name), plan)
        with site.broker, site.simulator:
            site.simulator.ready()
            backlog = asyncio.run(_fill(site, days))
            with site.backend:
                site.backend.api()
                started_ms = _now_ms()
                with site.edge:
                    _wait_for_new(site.journal, len(backlog))
                kept = _kept(site.outbox)
        return _report(_stored(site.journal), backlog, kept, started_ms)


async def _fill(site: Site, days: int) -> set[tuple[str, int]]:
    """Return what the agent would have stored in so many days; (meter, time) of every reading."""
    outbox = Outbox(site.outbox, load_private_key(site.folder / "device.key"))
    await outbox.open()
    rounds = days * 86_400_000 // EVERY_MS
    end_ms = _now_ms() // EVERY_MS * EVERY_MS - EVERY_MS
    sealed = set()
    for at in range(rounds):
        time_ms = end_ms - (rounds - at) * EVERY_MS
        batch = [
            Reading(meter=meter, time_ms=time_ms, import_uwh=0, export_uwh=0)
            for meter in site.plan.meters
        ]
        await outbox.append(batch, _CLOCK)
        sealed |= {(reading.meter, reading.time_ms) for reading in batch}
    await outbox.close()
    return sealed


def _wait_for_new(journal: Path, backlog: int) -> None:
    """Wait until the backlog and some rounds of new readings are stored."""
    wanted = backlog // 8 + _AFTER

    def stored() -> bool:
        database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
        query = "SELECT count(*) FROM journal WHERE kind = 'frame'"
        ((frames,),) = database.execute(query).fetchall()
        database.close()
        return bool(frames >= wanted)

    wait_for(stored, f"{wanted} frames in the journal", _LIMIT_S)


def _stored(journal: Path) -> list[Stored]:
    database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    query = "SELECT at_ms, input, outcome FROM journal WHERE kind = 'frame' ORDER BY seq"
    found = []
    for at_ms, message, stored in database.execute(query):
        outcome = decode_outcome(stored)
        assert isinstance(outcome, FrameAccepted)
        refused = frozenset(index for index, _ in outcome.verdicts)
        found.append(Stored(at_ms, decode_frame(cose.split(message)[2]), refused))
    database.close()
    return found


def _kept(outbox: Path) -> set[tuple[str, int]]:
    """Return (meter, time) of the readings that the gateway still has."""
    database = sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)
    messages = [row[0] for row in database.execute("SELECT message FROM frame")]
    database.close()
    frames = [decode_frame(cose.split(message)[2]) for message in messages]
    return {(each.meter, each.time_ms) for frame in frames for each in frame.readings()}


def _report(
    stored: list[Stored], backlog: set[tuple[str, int]], kept: set[tuple[str, int]], started_ms: int
) -> dict[str, object]:
    accepted: Counter[tuple[str, int]] = Counter()
    refused = 0
    drained_ms = started_ms
    delays_ms = []
    for each in stored:
        refused += len(each.refused)
        for index, reading in enumerate(each.frame.readings()):
            name = (reading.meter, reading.time_ms)
            if index not in each.refused:
                accepted[name] += 1
            if name in backlog:
                drained_ms = max(drained_ms, each.at_ms)
            else:
                delays_ms.append(each.at_ms - reading.time_ms)
    seqs = [each.frame.seq for each in stored]
    meanwhile = sum(
        reading.time_ms < drained_ms and (reading.meter, reading.time_ms) not in backlog
        for each in stored
        for reading in each.frame.readings()
    )
    return {
        "drain_s": round((drained_ms - started_ms) / 1000, 2),
        "new_reading_delay_s": round(max(delays_ms) / 1000, 2),
        "lost": len(backlog - accepted.keys() - kept),
        "doubled": sum(count - 1 for count in accepted.values()),
        "refused": refused,
        "oldest_first": seqs == sorted(seqs),
        "backlog_readings": len(backlog),
        "backlog_frames": len(backlog) // 8,
        "new_readings": len(delays_ms),
        "new_readings_during_drain": meanwhile,
        "poll_every_s": POLL_EVERY_S,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
