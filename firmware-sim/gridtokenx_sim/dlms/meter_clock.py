"""A meter's own clock: it starts off, drifts, is set, and jumps when a fault says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

_PPM = 1_000_000


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A mark of the meter's clock, and the community time at which it was passed."""

    shown_ms: int
    time_ms: int
    is_adjusted: bool
    """The clock was set or jumped since the mark before."""


class MeterClock:
    """The clock of a meter. `jump_ms` returns the faults' jumps at a community time."""

    def __init__(
        self, start_ms: int, offset_ms: int, drift_ppm: int, jump_ms: Callable[[int], int]
    ) -> None:
        self._start_ms = start_ms
        self._drift_ppm = drift_ppm
        self._jump_ms = jump_ms
        self._offset_ms = offset_ms
        self._was_moved = False

    def shown_ms(self, time_ms: int) -> int:
        """Return the meter's time, in Unix milliseconds, at the community time `time_ms`."""
        drift_ms = (time_ms - self._start_ms) * self._drift_ppm // _PPM
        return time_ms + drift_ms + self._offset_ms + self._jump_ms(time_ms)

    def move(self, by_ms: int) -> None:
        """Set the clock forward or back, from now on."""
        self._offset_ms += by_ms
        self._was_moved = True

    def marks(self, from_ms: int, to_ms: int, period_ms: int) -> Iterator[Tick]:
        """Yield the multiples of `period_ms` that the clock passed within (from_ms, to_ms].

        A jump back passes some of them twice, a jump forward passes none of those between.
        """
        at_ms, step_ms = from_ms, period_ms
        adjusted, self._was_moved = self._was_moved, False
        while at_ms < to_ms:
            shown = self.shown_ms(at_ms)
            next_ms = min(self._time_of(shown // period_ms * period_ms + step_ms, at_ms), to_ms)
            next_shown = self.shown_ms(next_ms)
            is_jump = abs((next_shown - shown) - (next_ms - at_ms)) > 1000
            adjusted = adjusted or is_jump
            mark = next_shown // period_ms * period_ms
            if mark > shown and not is_jump:
                yield Tick(shown_ms=mark, time_ms=next_ms, is_adjusted=adjusted)
                adjusted = False
            at_ms = next_ms
        self._was_moved = self._was_moved or adjusted

    def _time_of(self, shown_ms: int, near_ms: int) -> int:
        """Return when the clock will show `shown_ms`, after `near_ms`, if it does not jump until
        then.
        """
        ahead_ms = shown_ms - self.shown_ms(near_ms)
        time_ms = near_ms + max(1, ahead_ms * _PPM // (_PPM + self._drift_ppm))
        if self.shown_ms(time_ms) == shown_ms - 1:  # the drift is counted in whole milliseconds
            time_ms += 1
        return time_ms
