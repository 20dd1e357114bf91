"""edge: what a gateway costs: memory, processor, and bytes written for each reading.

The real agent polls 32 simulated meters on four lines every ten seconds and sends to the real
broker and backend. Real time: the default takes two minutes.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from bench.rig.processes import wait_for
from bench.rig.site import Site, SitePlan
from gridtokenx_backend.core.outcomes import FrameAccepted
from gridtokenx_backend.evidence import decode_outcome

_SETTLE_S = 15.0
_MIB = 1 << 20


def run(seconds: float) -> dict[str, object]:
    """Figures over `seconds` after the start has settled."""
    # A simulated meter works out all that it counted since the start: a day is soon done.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    plan = SitePlan(
        lines=4, meters_a_line=8, poll_every_s=10, start=yesterday.isoformat(timespec="seconds")
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
        "meters": len(site.plan.meters),
        "poll_every_s": site.plan.poll_every_s,
        "elapsed_s": round(elapsed_s, 1),
    }


def _until_signed(site: Site, started_s: float) -> float:
    """Seconds from the command's start until the first signed frame is on the disk."""
    wait_for(lambda: _frames(site.outbox), "a signed reading")
    return round(time.monotonic() - started_s, 2)


def _frames(outbox: Path) -> int:
    """Frames that the outbox holds; 0 while there is none to ask."""
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


def _readings(journal: Path) -> int:
    """Readings that the backend has stored."""
    database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    rows = database.execute("SELECT outcome FROM journal WHERE kind = 'frame'").fetchall()
    database.close()
    outcomes = (decode_outcome(row[0]) for row in rows)
    return sum(outcome.readings for outcome in outcomes if isinstance(outcome, FrameAccepted))
