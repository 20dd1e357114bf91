"""Whether the stored series is what the journal's entries give."""

from __future__ import annotations

from gridtokenx_backend.core.messages.outcomes import Outcome, intervals_of
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_backend.series.day import DAY_MS
from gridtokenx_backend.series.series_buffer import SeriesBuffer
from gridtokenx_backend.series.store import SeriesStore

_GATHERED = 20_000
_DAYS_READ = 500


class SeriesCheck:
    """Builds the series again, beside the replay, and compares it where the stored one ends.

    `stored` is held as it was when the check began; `again` is an empty store.
    """

    def __init__(self, stored: SeriesStore, again: SeriesStore, applied: int) -> None:
        self.rows = 0
        self._stored = stored
        self._again = again
        self._applied = applied
        self._gathered = SeriesBuffer(0)

    async def entry(self, seq: int, outcome: Outcome) -> None:
        """The replay has come to this entry. Raises ReplayMismatch at the last that is stored."""
        if seq > self._applied:
            return
        self._gathered.add(intervals_of(outcome))
        if self._gathered.rows > _GATHERED or seq == self._applied:
            await self._again.put(self._gathered.days, seq)
            self._gathered = SeriesBuffer(seq)
        if seq == self._applied:
            await self._compare()

    async def end(self, entries: int) -> None:
        """The replay has ended with this entry. Raises ReplayMismatch if the store is ahead."""
        if self._applied > entries:
            raise ReplayMismatch(
                f"the series of intervals has entry {self._applied}, the journal {entries}"
            )
        if not self._applied:
            await self._compare()

    async def _compare(self) -> None:
        found, expected = await self._stored.count_days(), await self._again.count_days()
        after = (-1, -1)
        while days := await self._stored.days(after, _DAYS_READ):
            for key, meter, rows in days:
                start_ms = key[0] * DAY_MS
                if rows != await self._again.read(meter, start_ms, start_ms + DAY_MS):
                    raise ReplayMismatch(
                        f"the series of intervals differs for {meter}, day {key[0]}"
                    )
                self.rows += len(rows)
            after = days[-1].key
        if found != expected:
            raise ReplayMismatch(
                f"the series of intervals has {found} days of meters, the entries {expected}"
            )
