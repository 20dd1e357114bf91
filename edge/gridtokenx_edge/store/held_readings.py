"""Readings between their poll and their frame: which ones are sealed together, and when.

This module is pure. A frame holds readings of one run of the clock. Readings wait while the clock
is not set. Once it is, their times are worked out from the uptime and they are flagged. A reading
that has waited too long is sealed as it is, and the frame says that the clock was not set.
"""

from __future__ import annotations

from collections import deque

import msgspec

from gridtokenx_edge.store.clock_status import Run
from gridtokenx_wire.reading import Reading, ReadingFlag

# Readings wait for the other meters of their round, but not for a bus that is never idle.
_LONGEST_ROUND_S = 2.0
# This often it is looked whether the clock is set by now.
_LOOK_EVERY_S = 1.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many readings are held and put into a frame, and how long they wait.

    `group_s` is how long a reading waits for more readings, `hold_s` how long it waits for the
    clock to be set.
    """

    readings: int
    readings_per_frame: int
    group_s: float
    hold_s: float


class HeldReading(msgspec.Struct, frozen=True):
    """A reading, the clock's run in which it was taken, and when it came, in monotonic seconds."""

    reading: Reading
    run: Run
    since_s: float


class HeldReadings:
    """The readings that are in no frame yet, oldest first. Times are monotonic seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: deque[HeldReading] = deque()
        self.is_first = True

    def configure(self, limits: Limits) -> None:
        """Use other limits from now on. The readings that are held stay."""
        self._limits = limits

    def __len__(self) -> int:
        return len(self._held)

    def add(self, reading: Reading, run: Run, now_s: float) -> bool:
        """Keep a reading. Returns False if the oldest one had to be dropped for it."""
        is_full = len(self._held) >= self._limits.readings
        if is_full:
            self._held.popleft()
        self._held.append(HeldReading(reading, run, now_s))
        return not is_full

    def retime(self, run: Run) -> int:
        """Work out the times of readings from before the clock was set. Returns how many they are.

        Within one run the uptime tells what time it was, so the order of readings stays.
        """
        waiting = sum(not held.run.synchronised for held in self._held)
        if waiting and run.synchronised:
            self._held = deque(_retimed(held, run) for held in self._held)
            return waiting
        return 0

    def wait_s(self, now_s: float, *, is_polling: bool) -> float | None:
        """Return how long to wait before `take`: 0 if a frame is due, None if nothing is held."""
        if not self._held:
            return None
        first, last = self._held[0], self._held[-1]
        age_s = now_s - first.since_s
        if not first.run.synchronised and age_s < self._hold_s:
            return min(_LOOK_EVERY_S, self._hold_s - age_s)
        if first.run != last.run or len(self._held) >= self._limits.readings_per_frame:
            return 0.0
        group_s = 0.0 if self.is_first else self._limits.group_s
        if age_s < group_s:
            return group_s - age_s
        return max(0.0, group_s + _LONGEST_ROUND_S - age_s) if is_polling else 0.0

    def take(self) -> tuple[list[Reading], Run]:
        """Return the readings of the next frame, and the run of the clock that they belong to."""
        run = self._held[0].run
        batch: list[Reading] = []
        while self._held and self._held[0].run == run:
            if len(batch) == self._limits.readings_per_frame:
                break
            batch.append(self._held.popleft().reading)
        self.is_first = False
        return batch, run

    @property
    def _hold_s(self) -> float:
        """How long to wait for the clock. Half of the room is kept for a disk that is full."""
        is_crowded = len(self._held) > self._limits.readings // 2
        return 0.0 if is_crowded else self._limits.hold_s


def _retimed(held: HeldReading, run: Run) -> HeldReading:
    if held.run.synchronised:
        return held
    reading = held.reading
    if not reading.flags & (ReadingFlag.METER_TIME | ReadingFlag.BACKFILLED):
        time_ms = reading.time_ms + run.offset_ms - held.run.offset_ms
        flags = reading.flags | ReadingFlag.RETIMED
        reading = msgspec.structs.replace(reading, time_ms=max(0, time_ms), flags=flags)
    return HeldReading(reading, msgspec.structs.replace(run, retimed=True), held.since_s)
