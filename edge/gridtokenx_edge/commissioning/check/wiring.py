"""The quality of a line, from what came of its requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from gridtokenx_edge.commissioning.check.finding import Finding, error, note, ok, warning
from gridtokenx_edge.commissioning.check.line_exchanges import ExchangeOutcome, LineExchange
from gridtokenx_edge.config.edge_config import BusConfig, SerialBus

# A line in order loses nothing. One lost request in a hundred is a loose end, and one in twenty
# gets worse.
_WARNING_PERCENT = 1
_ERROR_PERCENT = 5
# One disturbance does not count.
_FEWEST_ERRORS = 2
_SPREAD = 5
_SLOW_US = 200_000
_FEWEST_TIMES = 20
_MOST_TIMES = 10_000


class RequestStatistics(msgspec.Struct):
    """How the requests to one meter ended. `took_us` are the times of its first answers."""

    outcomes: Counter[ExchangeOutcome] = msgspec.field(default_factory=Counter)
    took_us: list[int] = []
    busy_us: int = 0

    def add(self, exchange: LineExchange) -> None:
        self.count(exchange.outcome, exchange.took_us)

    def count(self, outcome: ExchangeOutcome, took_us: int) -> None:
        self.outcomes[outcome] += 1
        self.busy_us += took_us
        if outcome is ExchangeOutcome.ANSWERED and len(self.took_us) < _MOST_TIMES:
            self.took_us.append(took_us)

    @property
    def requests(self) -> int:
        return self.outcomes.total()

    @property
    def heard(self) -> int:
        """How many requests the meter answered, if only by refusing."""
        return self.outcomes[ExchangeOutcome.ANSWERED] + self.outcomes[ExchangeOutcome.REFUSED]


def judge_bus(
    bus: BusConfig,
    statistics_of_meters: Sequence[tuple[str, RequestStatistics]],
    hint: str = "",
) -> Iterator[Finding]:
    """Yield findings on each meter, or one on the bus if no meter of it answered.

    `hint` is what is known of a bus on which nobody answers.
    """
    asked = [
        (meter, statistics) for meter, statistics in statistics_of_meters if statistics.requests
    ]
    if len(asked) > 1 and not any(statistics.heard for _, statistics in asked):
        noise = sum(statistics.outcomes[ExchangeOutcome.NOISE] for _, statistics in asked)
        requests = sum(statistics.requests for _, statistics in asked)
        yield _dead_bus(bus, requests, noise, hint)
        return
    for meter, statistics in asked:
        yield _judge_meter(bus, meter, statistics, hint)


def _dead_bus(bus: BusConfig, requests: int, noise: int, hint: str) -> Finding:
    seen = f"no meter of this bus answers: {requests} requests, {noise} times noise"
    return error("silent_bus", bus.name, seen, hint or _silence_hint(bus, is_noisy=noise > 0))


def _judge_meter(bus: BusConfig, meter: str, statistics: RequestStatistics, hint: str) -> Finding:
    silent, noise = (
        statistics.outcomes[ExchangeOutcome.SILENT],
        statistics.outcomes[ExchangeOutcome.NOISE],
    )
    counted = f"{statistics.requests} requests: {silent} without reply, {noise} with noise"
    if not statistics.heard:
        name = "noise" if noise else "silent_meter"
        return error(name, meter, counted, hint or _silence_hint(bus, is_noisy=noise > 0))
    errors = silent + noise
    if errors >= _FEWEST_ERRORS and 100 * errors >= _WARNING_PERCENT * statistics.requests:
        is_bad = 100 * errors >= _ERROR_PERCENT * statistics.requests
        percent = f"{1000 * errors // statistics.requests / 10:.1f} %"
        limit = f"{_ERROR_PERCENT if is_bad else _WARNING_PERCENT} %"
        make = error if is_bad else warning
        name = "noise" if noise >= silent else "lost_replies"
        hint = _noise_hint(bus) if noise >= silent else _loss_hint(bus)
        return make(name, meter, f"{counted} ({percent}, limit {limit})", hint)
    return _round_trip(meter, statistics)


def _round_trip(meter: str, statistics: RequestStatistics) -> Finding:
    times = sorted(statistics.took_us)
    if not times:
        return note(
            "wiring", meter, f"{statistics.requests} requests, all refused", "see the others"
        )
    middle, late = times[len(times) // 2], times[len(times) * 95 // 100]
    errors = statistics.requests - statistics.heard
    seen = (
        f"{statistics.requests} requests, {errors} errors,"
        f" {_ms(middle)} ms a round trip (95 % below {_ms(late)})"
    )
    is_restless = late > _SLOW_US and late > _SPREAD * middle
    if is_restless and len(times) >= _FEWEST_TIMES:
        do = "raise timeout_ms; is a slow converter or another master on the line?"
        return warning("restless", meter, seen, do)
    return ok("wiring", meter, seen)


def _silence_hint(bus: BusConfig, *, is_noisy: bool) -> str:
    if not isinstance(bus, SerialBus):
        return f"is the meter on, and behind {bus.host}? Compare its address with the config's"
    if is_noisy:
        return (
            f"bytes come, but none fit: is it {bus.baud} baud, parity {bus.parity}? Do two meters"
            " have the same address? Then termination and ground"
        )
    return (
        f"is it on, its address and {bus.baud} baud right? Then A and B exchanged, a broken wire,"
        f" ground; look for it: gridtokenx-edge scan {bus.port}"
    )


def _noise_hint(bus: BusConfig) -> str:
    if isinstance(bus, SerialBus):
        return (
            "damaged replies: 120 ohm at both ends and nowhere else, ground along with A and B,"
            " away from power cables, no branches; a lower baud rate helps on long lines"
        )
    return "damaged replies: look at the serial line behind the TCP converter"


def _loss_hint(bus: BusConfig) -> str:
    where = "a loose terminal" if isinstance(bus, SerialBus) else "the network or the converter"
    return f"missing replies: {where}, a meter that restarts, or timeout_ms too short"


def _ms(microseconds: int) -> str:
    return f"{microseconds / 1000:.0f}" if microseconds >= 10_000 else f"{microseconds / 1000:.1f}"
