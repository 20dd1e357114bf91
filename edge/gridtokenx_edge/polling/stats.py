"""What the agent counts about its buses and meters since it started: for the status page,
the metrics and Home Assistant. Bounded: one of each for every bus and meter in the config."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from gridtokenx_edge.polling.driver import MeterModel, MeterSettings
from gridtokenx_edge.polling.faults import BusFault
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_wire.reading import Reading

# A bus's utilisation is told over this time at least.
_WINDOW_S = 60.0


class MeterStats(msgspec.Struct, kw_only=True):
    """The counts of one meter. `error` is empty while it answers; `answers` and `answers_s` are
    the number and the sum of its round trips."""

    config: MeterSettings
    model: MeterModel
    readings: int = 0
    missed: int = 0
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    error: str = ""
    last: Reading | None = None
    answers: int = 0
    answers_s: float = 0.0
    round_trip_s: float = 0.0
    clock_drift_ms: Callable[[], int | None] = lambda: None
    """Returns how far the meter's own clock is ahead, where it has one."""


class BusStats:
    """The counts of one bus: how busy it is, over the last minute or two and since the start."""

    def __init__(self, name: str, where: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.where = where
        """The port or the server, as a person would write it."""
        self.meters: dict[str, MeterStats] = {}
        self.requests = 0
        self.busy_s = 0.0
        self.is_up: Callable[[], bool] = lambda: False
        self._now_s = now_s
        self._windows = [(now_s(), 0.0)]

    @property
    def utilisation(self) -> float:
        """The share of time, 0 to 1, that a request was on the bus."""
        since_s, busy_s = self._windows[0]
        elapsed_s = self._now_s() - since_s
        return min(1.0, (self.busy_s - busy_s) / elapsed_s) if elapsed_s > 0 else 0.0

    def asked(self, elapsed_s: float) -> None:
        """Count a request that took so long."""
        self.requests += 1
        self.busy_s += elapsed_s
        now_s = self._now_s()
        if now_s - self._windows[-1][0] >= _WINDOW_S:
            self._windows = [self._windows[-1], (now_s, self.busy_s)]


class LineCounter:
    """A LineWatch that counts and marks progress."""

    def __init__(self, stats: BusStats, beat: Beat = no_beat) -> None:
        self._stats = stats
        self.turned = beat

    def asked(self, elapsed_s: float, answered_by: int | None = None) -> None:
        self._stats.asked(elapsed_s)
        if answered_by is None:
            return
        for meter in self._stats.meters.values():
            if meter.model.address == answered_by:
                meter.answers += 1
                meter.answers_s += elapsed_s
                meter.round_trip_s = elapsed_s


class MeterCounter:
    """A ReadingSink and PollWatch between a meter's poller and the sealer."""

    def __init__(self, stats: MeterStats, sink: ReadingSink) -> None:
        self._stats = stats
        self._sink = sink
        self.turned = no_beat
        self.idle = asyncio.Event()
        """Set while the meter is not being polled."""
        self.idle.set()

    def begin(self) -> None:
        self.idle.clear()
        self._sink.begin()

    def add(self, reading: Reading) -> None:
        self._stats.readings += 1
        self._stats.last = reading
        self._stats.error = ""
        self._sink.add(reading)

    def end(self) -> None:
        self.idle.set()
        self._sink.end()

    def failed(self, fault: BusFault) -> None:
        self._stats.errors[fault_kind(fault)] += 1
        self._stats.error = str(fault)

    def missed(self, count: int) -> None:
        self._stats.missed += count


def fault_kind(fault: BusFault) -> str:
    """Return the label of a fault in a metric: `meter_silent` for MeterSilent."""
    name = type(fault).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
