"""How long to wait for a meter's reply, learnt from its round trips. Pure.

The rule is that of TCP (RFC 6298, 2): the wait is a smoothed round trip plus four times its
variation. Three things differ, because a lost request costs the whole bus its wait, and a late
reply costs the meter its reading. The time that the bytes themselves need is taken out first, as
requests differ in length. The wait is never below a floor. After a silence the wait grows to the
configured time-out at once (5.5 would double it), so that a meter that has become slow is read at
the first retry.
"""

from __future__ import annotations

# Below it a USB adapter's latency timer (16 ms) and a busy meter's occasional pause would look
# like silence.
FLOOR_S = 0.1
_SMOOTHING = 1 / 8
_VARIATION = 1 / 4
_WAIT_VARIATIONS = 4
# The variation's lower bound (the clock granularity G of 2.3).
_GRAIN_S = 0.01


class AdaptiveTimeout:
    """The time-out of one meter. `ceiling_s` is the configured time-out; the floor is never above
    it.
    """

    def __init__(self, ceiling_s: float, floor_s: float = FLOOR_S) -> None:
        self._ceiling_s = ceiling_s
        self._floor_s = min(floor_s, ceiling_s)
        self._smoothed_s: float | None = None
        self._variation_s = 0.0
        self._is_silent = False

    def wait_s(self, wire_s: float = 0.0) -> float:
        """Return how long to wait for a reply, in seconds. The bytes of both ways take `wire_s` of
        it.
        """
        if self._smoothed_s is None or self._is_silent:
            return self._ceiling_s
        spread_s = max(_GRAIN_S, _WAIT_VARIATIONS * self._variation_s)
        wait_s = max(self._floor_s, self._smoothed_s + spread_s)
        return min(self._ceiling_s, wait_s + wire_s)

    def answered(self, round_trip_s: float, wire_s: float = 0.0) -> None:
        """Learn from a reply that came after `round_trip_s`."""
        thought_s = max(0.0, round_trip_s - wire_s)
        self._is_silent = False
        if self._smoothed_s is None:
            self._smoothed_s, self._variation_s = thought_s, thought_s / 2
            return
        off_s = abs(self._smoothed_s - thought_s)
        self._variation_s += _VARIATION * (off_s - self._variation_s)
        self._smoothed_s += _SMOOTHING * (thought_s - self._smoothed_s)

    def silent(self) -> None:
        """Learn that no reply came: wait as long as is allowed until one comes."""
        self._is_silent = True
