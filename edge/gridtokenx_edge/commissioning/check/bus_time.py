"""Whether the poll intervals can be kept: the line's time for polls, computed and measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gridtokenx_edge.commissioning.check.finding import Finding, error, ok, warning
from gridtokenx_edge.config.edge_config import BusConfig, SerialBus
from gridtokenx_edge.meters.plan import plan_blocks
from gridtokenx_edge.meters.profile import Profile

# In Modbus over Serial Line V1.02, 2.5.1, a request for registers has 8 bytes, and a reply 5 and
# two for each register. 3.5 characters of silence come before each, at least 1.75 ms.
_REQUEST_BYTES = 8
_REPLY_BYTES = 5
_SHORTEST_SILENCE_US = 1_750
# Beyond this, polls come late whenever a meter has to be asked twice.
_WARNING_PERCENT = 80


class PollTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long one reading of a meter keeps the line, and how often it is due (both real µs).

    `rest_us` is how long it takes at least, with the rests that the meter wants.
    """

    meter: str
    takes_us: int
    every_us: int
    rest_us: int = 0


def line_us(profile: Profile, bus: BusConfig) -> int:
    """Return how long a reading keeps the line at least, or 0 if it is no serial line."""
    if not isinstance(bus, SerialBus):
        return 0
    bits = 1 + 8 + (bus.parity != "N") + bus.stop_bits
    silence_us = max(_SHORTEST_SILENCE_US, 35 * bits * 10**5 // bus.baud)
    blocks = plan_blocks(profile)
    characters = sum(_REQUEST_BYTES + _REPLY_BYTES + 2 * block.count for block in blocks)
    return characters * bits * 10**6 // bus.baud + 2 * len(blocks) * silence_us


def rest_us(profile: Profile) -> int:
    """Return the rests between the requests of a reading, and after the last one."""
    return len(plan_blocks(profile)) * profile.min_gap_ms * 1000


def percent(polls: Sequence[PollTime]) -> int:
    """Return how much of the line's time the polls take, in percent, rounded up."""
    busy = sum(1000 * poll.takes_us * 100 // poll.every_us for poll in polls)
    return -(-busy // 1000)


def judge_bus_time(bus: BusConfig, polls: Sequence[PollTime]) -> Iterator[Finding]:
    """Yield findings on a bus that is too slow and on meters that want longer rests."""
    for poll in polls:
        if poll.rest_us > poll.every_us:
            yield error(
                "meter_too_slow",
                poll.meter,
                f"a reading takes {poll.rest_us // 1000} ms with the rests that this model wants,"
                f" and is due every {poll.every_us // 1000} ms",
                f"raise poll_every_s to {-(-poll.rest_us // 10**6)} or more",
            )
    used = percent(polls)
    takes_ms = sum(poll.takes_us for poll in polls) // 1000
    meters = f"{len(polls)} meter{'s' * (len(polls) != 1)}"
    seen = f"a round of {meters} takes {takes_ms} ms, {used} % of the bus's time"
    if used <= _WARNING_PERCENT:
        yield ok("bus_time", bus.name, seen)
        return
    factor = -(-used * 10 // _WARNING_PERCENT)
    faster = ", a higher baud rate" if isinstance(bus, SerialBus) else ""
    do = f"raise poll_every_s ({factor // 10}.{factor % 10} times){faster}, or use a second bus"
    make = error if used > 100 else warning
    yield make("bus_too_slow", bus.name, seen, do)
