"""What the agent counts about its buses and meters since it started: for the status page,
the metrics and Home Assistant. Bounded: one of each for every bus and meter in the config."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus
from gridtokenx_edge.polling.faults import BusFault
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.progress import Beat, no_beat
from gridtokenx_wire.reading import Reading

# A bus's utilisation is told over this time at least.
_WINDOW_S = 60.0


class MeterStats(msgspec.Struct):
    """One meter. `error` is empty while it answers; `answers`, `answers_s` are round trips."""

    config: MeterConfig
    readings: int = 0
    missed: int = 0
    errors: Counter[str] = msgspec.field(default_factory=Counter)
    error: str = ""
    last: Reading | None = None
    answers: int = 0
    answers_s: float = 0.0
    round_trip_s: float = 0.0
    clock_drift_ms: Callable[[], int | None] = lambda: None
    """How far the meter's own clock is ahead, where it has one."""


class BusStats:
    """One bus: how busy it is, over the last minute or two and since the start."""

    def __init__(self, config: BusConfig, now_s: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.meters: dict[str, MeterStats] = {}
        self.requests = 0
        self.busy_s = 0.0
        self.is_up: Callable[[], bool] = lambda: False
        self._now_s = now_s
        self._windows = [(now_s(), 0.0)]

    @property
    def where(self) -> str:
        """The port or the server, as a person would write it."""
        config = self.config
        if isinstance(config, SerialBus):
            return f"{config.port} {config.baud} {config.parity}"
        return f"{config.host}:{config.port}"

    @property
    def utilisation(self) -> float:
        """The share of time, 0 to 1, that a request was on the bus."""
        since_s, busy_s = self._windows[0]
        elapsed_s = self._now_s() - since_s
        return min(1.0, (self.busy_s - busy_s) / elapsed_s) if elapsed_s > 0 else 0.0

    def asked(self, elapsed_s: float) -> None:
        self.requests += 1
        self.busy_s += elapsed_s
        now_s = self._now_s()
        if now_s - self._windows[-1][0] >= _WINDOW_S:
            self._windows = [self._windows[-1], (now_s, self.busy_s)]


class LineCounter:
    """A LineWatch that counts and marks progress."""

    def __init__(self, tally: BusStats, beat: Beat = no_beat) -> None:
        self._tally = tally
        self.turned = beat

    def asked(self, address: int, elapsed_s: float, *, answered: bool) -> None:
        self._tally.asked(elapsed_s)
        if not answered:
            return
        for meter in self._tally.meters.values():
            if meter.config.address == address:
                meter.answers += 1
                meter.answers_s += elapsed_s
                meter.round_trip_s = elapsed_s


class MeterCounter:
    """A ReadingSink and PollWatch between a meter's poller and the sealer."""

    def __init__(self, tally: MeterStats, sink: ReadingSink, beat: Beat = no_beat) -> None:
        self._tally = tally
        self._sink = sink
        self.turned = beat
        self.idle = asyncio.Event()
        """Set while the meter is not being polled."""
        self.idle.set()

    def begin(self) -> None:
        self.idle.clear()
        self._sink.begin()

    def add(self, reading: Reading) -> None:
        self._tally.readings += 1
        self._tally.last = reading
        self._tally.error = ""
        self._sink.add(reading)

    def end(self) -> None:
        self.idle.set()
        self._sink.end()

    def failed(self, fault: BusFault) -> None:
        self._tally.errors[fault_kind(fault)] += 1
        self._tally.error = str(fault)

    def missed(self, count: int) -> None:
        self._tally.missed += count


def fault_kind(fault: BusFault) -> str:
    """`MeterSilent` → `meter_silent`: a metric's label."""
    name = type(fault).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
