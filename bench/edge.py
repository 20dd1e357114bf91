"""edge: what a gateway costs: memory, processor, and bytes written for each reading.

The real agent polls eight simulated meters on two lines every ten seconds and sends to the real
broker and backend. Real time: the default takes two minutes.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
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
    plan = SitePlan(lines=2, meters_a_line=4, poll_every_s=10)
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        site = Site(Path(name), plan)
        with site.broker, site.simulator:
            site.simulator.ready()
            with site.backend:
                site.backend.api()
                with site.edge:
                    return _watch(site, seconds)


def _watch(site: Site, seconds: float) -> dict[str, object]:
    wait_for(site.outbox.exists, "the agent's outbox")
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
