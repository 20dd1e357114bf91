"""Whether a counter moves as the power says, by bounds, so that no alarm is false.

A counter shows whole steps: at the moment when it turns, its value is exact. So the energy between
its first and its last turn that was seen is known, and the samples of the power bound it from below
and above. If a counter turned less than twice, its step is the uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

# A meter works out its power and its counter at different moments, a second or two apart.
_LAG_MS = 2_000
# What is shown as 500 W may be nearly 501 W, or a little less than 500 W.
_POWER_DOUBT_W = 1
# This is far from what a good meter shows, and near enough to find a phase that is missing. It is a
# quotient.
_ALARM = (3, 2)
# Bounds that are further apart than this confirm nothing.
_WIDEST_CONFIRMATION = 2
_FEWEST_SAMPLES = 5
# A counter that stands still for less than so many of its steps may just be slow to show them: some
# counters show ten at a time.
_STEPS_BEFORE_STANDSTILL = 12


class MovementOutcome(Enum):
    AGREES = "agrees"
    TOO_HIGH = "too_high"
    TOO_LOW = "too_low"
    FELL = "fell"
    UNKNOWN = "unknown"
    """There was too little energy, or too few samples, or the power changed too much."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """How far a counter moved, and the least and most that the power allows, in µWh.

    `moved_least_uwh` and `moved_most_uwh` are the same if the counter's turns were seen.
    """

    outcome: MovementOutcome
    moved_least_uwh: int
    moved_most_uwh: int
    least_uwh: int
    most_uwh: int


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The least and most energy of a span of time."""

    least_uwh: int
    most_uwh: int


def judge(
    times_ms: Sequence[int], counted_uwh: Sequence[int], power_w: Sequence[int], step_uwh: int
) -> Movement:
    """Compare a counter with the power that it should count, both of one direction and from 0 on.

    `step_uwh` is the resolution of the counter as its profile has it.
    """
    if len(times_ms) < _FEWEST_SAMPLES:
        return Movement(
            outcome=MovementOutcome.UNKNOWN,
            moved_least_uwh=0,
            moved_most_uwh=0,
            least_uwh=0,
            most_uwh=0,
        )
    turns = [i for i in range(1, len(times_ms)) if counted_uwh[i] != counted_uwh[i - 1]]
    if any(counted_uwh[i] < counted_uwh[i - 1] for i in turns):
        fell = min(counted_uwh[i] - counted_uwh[i - 1] for i in turns)
        return Movement(
            outcome=MovementOutcome.FELL,
            moved_least_uwh=fell,
            moved_most_uwh=fell,
            least_uwh=0,
            most_uwh=0,
        )
    whole = _whole(times_ms, counted_uwh, power_w, step_uwh)
    if len(turns) < 2 or whole.outcome in {MovementOutcome.TOO_HIGH, MovementOutcome.TOO_LOW}:
        return whole
    sharper = _between_turns(times_ms, counted_uwh, power_w, turns)
    return whole if sharper.outcome is MovementOutcome.UNKNOWN else sharper


def _whole(
    times_ms: Sequence[int], counted_uwh: Sequence[int], power_w: Sequence[int], step_uwh: int
) -> Movement:
    """Judge the whole time. A step more or less may have been counted than is shown."""
    moved = counted_uwh[-1] - counted_uwh[0]
    energy = bounds(times_ms, power_w)
    allowed = _with_lag(energy, energy, max(power_w))
    moved_least, moved_most = max(0, moved - step_uwh), moved + step_uwh
    outcome = _compare(moved_least, moved_most, allowed)
    if moved == 0 and allowed.least_uwh < _STEPS_BEFORE_STANDSTILL * step_uwh:
        outcome = MovementOutcome.UNKNOWN
    return Movement(
        outcome=outcome,
        moved_least_uwh=moved_least,
        moved_most_uwh=moved_most,
        least_uwh=allowed.least_uwh,
        most_uwh=allowed.most_uwh,
    )


def _between_turns(
    times_ms: Sequence[int],
    counted_uwh: Sequence[int],
    power_w: Sequence[int],
    turns: Sequence[int],
) -> Movement:
    first, last = turns[0], turns[-1]
    moved = counted_uwh[last] - counted_uwh[first]
    inner = bounds(times_ms[first:last], power_w[first:last])
    outer = bounds(times_ms[first - 1 : last + 1], power_w[first - 1 : last + 1])
    allowed = _with_lag(inner, outer, max(power_w))
    return Movement(
        outcome=_compare(moved, moved, allowed),
        moved_least_uwh=moved,
        moved_most_uwh=moved,
        least_uwh=allowed.least_uwh,
        most_uwh=allowed.most_uwh,
    )


def bounds(times_ms: Sequence[int], power_w: Sequence[int]) -> Bounds:
    """Return the bounds of the energy between the first and the last sample.

    The power between two samples is taken to lie between both.
    """
    least_w_ms = most_w_ms = 0
    for i in range(1, len(times_ms)):
        elapsed_ms = times_ms[i] - times_ms[i - 1]
        low, high = sorted((power_w[i - 1], power_w[i]))
        least_w_ms += max(0, low - _POWER_DOUBT_W) * elapsed_ms
        most_w_ms += (high + _POWER_DOUBT_W) * elapsed_ms
    return Bounds(least_uwh=_uwh(least_w_ms), most_uwh=_uwh(most_w_ms) + 1)


def _with_lag(inner: Bounds, outer: Bounds, highest_w: int) -> Bounds:
    """Widen the bounds: what was drawn just before may be counted now, and the other way round."""
    lag_uwh = _uwh((highest_w + _POWER_DOUBT_W) * _LAG_MS)
    return Bounds(least_uwh=max(0, inner.least_uwh - lag_uwh), most_uwh=outer.most_uwh + lag_uwh)


def _compare(moved_least: int, moved_most: int, allowed: Bounds) -> MovementOutcome:
    many, few = _ALARM
    if few * moved_least > many * allowed.most_uwh:
        return MovementOutcome.TOO_HIGH
    if many * moved_most < few * allowed.least_uwh:
        return MovementOutcome.TOO_LOW
    is_tight = (
        0 < allowed.most_uwh <= _WIDEST_CONFIRMATION * allowed.least_uwh
        and moved_most <= _WIDEST_CONFIRMATION * moved_least
    )
    return MovementOutcome.AGREES if is_tight else MovementOutcome.UNKNOWN


def _uwh(energy_w_ms: int) -> int:
    """Return µWh: a watt for a millisecond is 1/3.6 µWh."""
    return energy_w_ms * 10 // 36
