"""intervals: a community's year of 15-minute energy, stored and asked.

The store is the backend's own. It is filled as the year passes, all meters day by day, and then
asked at random for days and months of one meter, as the API asks it and answers.
"""

from __future__ import annotations

import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from bench.rig.percentiles import percentile
from gridtokenx_backend.api.intervals import view_of
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.memory import collect_rarely
from gridtokenx_backend.series.day import DAY_MS, SLOTS
from gridtokenx_backend.series.store import SeriesStore, open_series

_FIRST_DAY = 20_454  # 1 January 2026
_BATCH = 500
_QUERIES = 400
_MONTH_DAYS = 31
_PATTERNS = 64
_LARGEST_UWH = 2_500 * 10**6  # 10 kW for a quarter of an hour
Columns = list[tuple[int, int]]


def run(meters: int, days: int) -> dict[str, object]:
    """Build the series of so many meters and days, and query it."""
    collect_rarely()  # as the server does
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        return asyncio.run(_measure(Path(name) / "intervals.db", meters, days))


async def _measure(path: Path, meters: int, days: int) -> dict[str, object]:
    chance = random.Random(11)
    store = await open_series(path)
    try:
        patterns = [_pattern(chance) for _ in range(_PATTERNS)]
        started = time.perf_counter()
        await _build(store, meters, days, patterns, chance)
        build_s = time.perf_counter() - started
        live_ms = await _live(store, meters, days)
        rows = meters * days * SLOTS
        rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        day_ms = await _ask(lambda: _query(store, chance, meters, days, 1))
        before_s = time.process_time()
        month_ms = await _ask(lambda: _query(store, chance, meters, days, _MONTH_DAYS))
        cpu_ms = 1000 * (time.process_time() - before_s) / _QUERIES
        size = sum(each.stat().st_size for each in path.parent.iterdir())
    finally:
        await store.close()
    return {
        "rows": rows,
        "day_ms": round(percentile(day_ms, 50), 2),
        "month_ms": round(percentile(month_ms, 50), 2),
        "month_cpu_ms": round(cpu_ms, 2),
        "p99": round(percentile(month_ms, 99), 2),
        "bytes_per_row": round(size / rows, 2),
        "build_s": round(build_s, 1),
        "quarter_hour_ms": round(live_ms, 1),
        "rss_mib": round(rss_mib),
        "meters": meters,
        "days": days,
    }


def _pattern(chance: random.Random) -> Columns:
    """Return a day's energies with all their digits: import at night, export at noon."""
    return [
        (
            chance.randrange(_LARGEST_UWH // 20),
            chance.randrange(_LARGEST_UWH) if 28 <= slot < 76 else 0,
        )
        for slot in range(SLOTS)
    ]


async def _build(
    store: SeriesStore, meters: int, days: int, patterns: list[Columns], chance: random.Random
) -> None:
    for day in range(_FIRST_DAY, _FIRST_DAY + days):
        for first in range(0, meters, _BATCH):
            names = range(first, min(meters, first + _BATCH))
            batch = {(day, _name(meter)): _rows(day, chance.choice(patterns)) for meter in names}
            await store.put(batch, day)


def _rows(day: int, pattern: Columns) -> list[IntervalEnergy]:
    start_ms = day * DAY_MS
    return [
        IntervalEnergy(
            interval_ms=start_ms + slot * INTERVAL_MS,
            import_uwh=imported,
            export_uwh=exported,
            quality=Quality.MEASURED,
        )
        for slot, (imported, exported) in enumerate(pattern)
    ]


def _name(meter: int) -> str:
    return f"METER-{meter:06d}"


async def _live(store: SeriesStore, meters: int, days: int) -> float:
    """Return the milliseconds to store the end of one quarter of an hour: one interval of every
    meter.
    """
    day = _FIRST_DAY + days - 1
    row = IntervalEnergy(
        interval_ms=day * DAY_MS, import_uwh=1, export_uwh=2, quality=Quality.MEASURED, revision=1
    )
    started = time.perf_counter()
    for first in range(0, meters, _BATCH):
        names = range(first, min(meters, first + _BATCH))
        await store.put({(day, _name(meter)): [row] for meter in names}, day)
    return 1000 * (time.perf_counter() - started)


async def _query(
    store: SeriesStore, chance: random.Random, meters: int, days: int, span_days: int
) -> None:
    span_days = min(span_days, days)
    meter = _name(chance.randrange(meters))
    from_ms = (_FIRST_DAY + chance.randrange(days - span_days + 1)) * DAY_MS
    to_ms = from_ms + span_days * DAY_MS
    rows = await store.read(meter, from_ms, to_ms)
    begun = range(from_ms, to_ms, INTERVAL_MS)
    view = view_of(meter, (from_ms, to_ms), begun, rows, None)
    assert view.missing == 0
    msgspec.json.encode(view)


async def _ask(query: Callable[[], Awaitable[None]]) -> list[float]:
    took_ms = []
    for _ in range(_QUERIES):
        started = time.perf_counter()
        await query()
        took_ms.append(1000 * (time.perf_counter() - started))
    return took_ms
