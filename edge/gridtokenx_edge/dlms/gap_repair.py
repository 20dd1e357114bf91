"""Gap repair: what a gateway missed is read from its meter's load profile afterwards.

`find_gap`, `chunks` and `fitting` decide, without I/O; `GapRepair` reads. The oracle takes no
reading that is older than its meter's last one. So live readings wait until the gap is filled or
given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

import msgspec

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.dlms.last_readings import LastReading, last_reading_of
from gridtokenx_edge.dlms.meter_access import MeterAccess
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.log import Logger
from gridtokenx_edge.meters.load_profile import Capture
from gridtokenx_edge.meters.site_reading import Quantities, site_reading
from gridtokenx_edge.polling.faults import BusFault, MeterDenied, MeterStrange
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_wire.reading import Reading, ReadingFlag

Arguments = ParamSpec("Arguments")
T = TypeVar("T")
# A gap is more than a few missed polls.
_MISSED_POLLS = 3
_SHORTEST_GAP_MS = 60_000
# Where the clock is off by more than this, rows would be put into the wrong intervals.
_MOST_DRIFT_MS = 120_000
_MOST_FAILURES = 5
_RETRY_BASE_S = 1.0
_RETRY_CAP_S = 30.0
_LONGEST_S = 1800.0
_MOST_HELD = 1000


class Gap(msgspec.Struct, frozen=True):
    """The time between the last reading that was stored and the first live one after it."""

    before: LastReading
    after: Reading


def find_gap(before: LastReading | None, after: Reading, every_ms: int) -> Gap | None:
    """Return the gap before a live reading, or None if there is none."""
    if before is None:
        return None
    longest_ms = max(_MISSED_POLLS * every_ms, _SHORTEST_GAP_MS)
    return Gap(before, after) if after.time_ms - before.time_ms > longest_ms else None


def chunks(gap: Gap, period_ms: int, rows: int, limit_ms: int) -> Iterator[tuple[int, int]]:
    """Yield the times to ask for, oldest first, each of at most `rows` rows; both ends are
    included.

    Only whole periods count: in a gap without the end of a capture period there is nothing to
    repair.
    """
    first_ms = max(gap.before.time_ms + 1, gap.after.time_ms - limit_ms)
    first_ms += -first_ms % period_ms
    while first_ms < gap.after.time_ms:
        end_ms = first_ms + (rows - 1) * period_ms
        yield first_ms, min(end_ms, gap.after.time_ms - 1)
        first_ms = end_ms + period_ms


def fitting(
    rows: Iterable[Capture], access: MeterAccess, before: LastReading, after: Reading
) -> list[Reading]:
    """Return the rows as readings that fit between two others, in their order.

    Registers only grow. Where the meter's clock is off from the gateway's, a row near an end of the
    gap may not fit. It is left out, and the registers lose nothing by it.
    """
    found = []
    for row in rows:
        reading = site_reading(
            access.meter.id,
            Quantities(import_uwh=row.import_uwh, export_uwh=row.export_uwh),
            time_ms=row.time_ms,
            invert=access.meter.invert,
            flags=ReadingFlag.BACKFILLED,
        )
        if _is_between(before, reading, after):
            found.append(reading)
            before = last_reading_of(reading)
    return found


def _is_between(before: LastReading, reading: Reading, after: Reading) -> bool:
    return (
        before.time_ms < reading.time_ms < after.time_ms
        and before.import_uwh <= reading.import_uwh <= after.import_uwh
        and before.export_uwh <= reading.export_uwh <= after.export_uwh
    )


class GapRepair:
    """A sink that passes a meter's readings on in the order of their times, and fills gaps between
    them.

    It stands before the sink that gets all readings. `run` has to run meanwhile.
    """

    def __init__(
        self,
        reader: DlmsReader,
        access: MeterAccess,
        sink: ReadingSink,
        last: LastReading | None,
        log: Logger,
    ) -> None:
        self._reader = reader
        self._access = access
        self._sink = sink
        self._last = last
        self._log = log
        self._held: deque[Reading] = deque(maxlen=_MOST_HELD)
        self._gap: Gap | None = None
        self._found = asyncio.Event()
        self.repaired = 0
        """Readings that came from the load profile."""

    def begin(self) -> None:
        self._sink.begin()

    def end(self) -> None:
        self._sink.end()

    def add(self, reading: Reading) -> None:
        """Pass a live reading on: at once, or after the gap before it is filled."""
        if self._gap is None and self._can_repair:
            self._gap = find_gap(self._last, reading, self._access.meter.every_ms)
        if self._gap:
            self._held.append(reading)
            self._found.set()
        else:
            self._pass_on(reading)

    async def run(self) -> None:
        """Fill gaps until cancelled."""
        while True:
            await self._found.wait()
            self._found.clear()
            gap = self._gap
            assert gap
            before = self.repaired
            try:
                async with asyncio.timeout(_LONGEST_S):
                    await self._fill(gap)
            except (BusFault, TimeoutError) as fault:
                reason = str(fault) or "it takes too long"
                self._log.warning("gap_not_repaired", reason=reason, **self._about(gap))
            else:
                readings = self.repaired - before
                self._log.info("gap_repaired", readings=readings, **self._about(gap))
            self._release()

    def _release(self) -> None:
        self._gap = None
        self._found.clear()  # readings that came meanwhile have set it again
        while self._held:
            self._pass_on(self._held.popleft())

    @property
    def _can_repair(self) -> bool:
        return self._access.profile.load_profile is not None and self._access.meter.repair_hours > 0

    def _pass_on(self, reading: Reading) -> None:
        if self._last is None or reading.time_ms > self._last.time_ms:
            self._last = last_reading_of(reading)
        self._sink.add(reading)

    async def _fill(self, gap: Gap) -> None:
        drift_ms = self._reader.clock_drift_ms
        if drift_ms is None or abs(drift_ms) > _MOST_DRIFT_MS:
            raise MeterDenied(f"the meter's clock is {_drift_text(drift_ms)}")
        columns = await self._with_retries(self._reader.columns)
        if columns is None:
            raise MeterDenied("its load profile does not hold the registers")
        load_profile = self._access.profile.load_profile
        assert load_profile
        limit_ms = round(self._access.meter.repair_hours * 3_600_000)
        for first_ms, last_ms in chunks(
            gap, columns.period_ms, load_profile.rows_per_request, limit_ms
        ):
            rows = await self._with_retries(self._reader.captures, columns, first_ms, last_ms)
            assert self._last
            for reading in fitting(rows, self._access, self._last, gap.after):
                self.repaired += 1
                self._pass_on(reading)

    async def _with_retries(
        self,
        read: Callable[Arguments, Awaitable[T]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> T:
        """Read something, and try again after faults of the line or the meter, but not after a
        refusal.
        """
        backoff = Backoff(_RETRY_BASE_S, _RETRY_CAP_S, lambda: 1.0)
        for left in reversed(range(_MOST_FAILURES)):
            try:
                return await read(*args, **kwargs)
            except (MeterDenied, MeterStrange):
                raise
            except BusFault:
                if not left:
                    raise
            await asyncio.sleep(backoff.next_s())
        raise AssertionError("the last attempt returns or raises")

    def _about(self, gap: Gap) -> dict[str, Any]:
        hours = (gap.after.time_ms - gap.before.time_ms) / 3_600_000
        return {"meter": self._access.meter.id, "hours": round(hours, 2)}


def _drift_text(drift_ms: int | None) -> str:
    if drift_ms is None:
        return "not set, or does not tell its zone"
    return f"off by {drift_ms / 1000:.0f} s, so its rows are at the wrong times"
