"""edge: what a gateway costs: memory, processor, and bytes written for each reading.

The real agent polls simulated meters, eight on a line, every ten seconds and sends to the real
broker and backend. Real time, unless the community's clock runs faster, as for bytes alone it may:
they depend on how many readings a frame has. The default takes two minutes.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from bench.rig.processes import wait_for
from bench.rig.site import CLOCK, Site, SitePlan
from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.journal.entry import decode_outcome

_SETTLE_S = 15.0
_MIB = 1 << 20
_METERS_A_LINE = 8


def run(
    seconds: float, meters: int = 32, seal_after_s: float | None = None, speed: float = 1.0
) -> dict[str, object]:
    """Return figures over `seconds` after the start has settled."""
    # A simulated meter works out all that it counted since the start: a day is soon done.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    now_ms = time.time_ns() // 1_000_000
    lines = -(-meters // _METERS_A_LINE)
    plan = SitePlan(
        lines=lines,
        meters_a_line=meters // lines,
        poll_every_s=10,
        # A clock that counts as set whatever the machine's is; else readings would wait for it.
        clock=CLOCK.format(wall_ms=now_ms, community_ms=now_ms, speed=speed),
        start=yesterday.isoformat(timespec="seconds"),
        uplink="" if seal_after_s is None else f"[uplink]\nseal_after_s = {seal_after_s}\n",
    )
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        site = Site(Path(name), plan)
        with site.broker, site.simulator:
            site.simulator.ready()
            with site.backend:
                site.backend.api()
                started_s = time.monotonic()
                with site.edge:
                    first_s = _until_signed(site, started_s)
                    report = {"start_to_first_reading_s": first_s}
                    return {**report, **_watch(site, seconds)}


def _watch(site: Site, seconds: float) -> dict[str, object]:
    time.sleep(_SETTLE_S)
    process = psutil.Process(site.edge.pid)
    cpu_before, written_before = _cpu_s(process), process.io_counters().write_bytes
    frames_before = _frames(site.journal)
    readings_before, started = _readings(site.journal), time.monotonic()
    highest = 0
    while time.monotonic() - started < seconds:
        time.sleep(1)
        highest = max(highest, process.memory_info().rss)
    elapsed_s = time.monotonic() - started
    readings = _readings(site.journal) - readings_before
    written = process.io_counters().write_bytes - written_before
    return {
        "rss_mib": round(highest / _MIB, 1),
        "cpu_percent": round(100 * (_cpu_s(process) - cpu_before) / elapsed_s, 2),
        "bytes_written_per_reading": round(written / readings) if readings else None,
        "readings": readings,
        "frames": _frames(site.journal) - frames_before,
        "meters": len(site.plan.meters),
        "poll_every_s": site.plan.poll_every_s,
        "elapsed_s": round(elapsed_s, 1),
    }


def _until_signed(site: Site, started_s: float) -> float:
    """Return the seconds from the command's start until the first signed frame is on the disk."""
    wait_for(lambda: _sealed(site.outbox), "a signed reading")
    return round(time.monotonic() - started_s, 2)


def _sealed(outbox: Path) -> int:
    """Return frames that the outbox holds; 0 while there is none to ask."""
    if not outbox.exists():
        return 0
    database = sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)
    try:
        return int(database.execute("SELECT count(*) FROM frame").fetchone()[0])
    except sqlite3.OperationalError:  # its tables are being made
        return 0
    finally:
        database.close()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _frames(journal: Path) -> int:
    """Return frames that the backend has stored."""
    database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    ((count,),) = database.execute("SELECT count(*) FROM journal WHERE kind = 'frame'")
    database.close()
    return int(count)


def _readings(journal: Path) -> int:
    """Return how many readings the backend has stored."""
    database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    rows = database.execute("SELECT outcome FROM journal WHERE kind = 'frame'").fetchall()
    database.close()
    outcomes = (decode_outcome(row[0]) for row in rows)
    return sum(outcome.readings for outcome in outcomes if isinstance(outcome, FrameAccepted))
