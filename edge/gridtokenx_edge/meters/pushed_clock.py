"""The clock of a meter that sends by itself: how far it is off, which messages are of now. Pure.

The gateway's clock times a reading, and the meter's own time is evidence. A message may have been
kept back, and its registers would be wrong in a reading of now. So:

- A time as expected, or a later one, is of now: no message comes before it was written. If it is
  later by more than a minute, the meter's clock is ahead.
- An earlier time is a message that was kept back, or a clock that is behind. The second message
  tells: a clock goes on while time passes, and from then on the meter counts as that far behind.
"""

from __future__ import annotations

import msgspec

# Clocks of meters may be off by a minute without being noteworthy (IEC 62054-21 allows 0.5 s a
# day).
MOST_APART_MS = 60_000
# A burst of kept messages comes at once; two that tell a clock are so far apart at least.
_LEAST_BETWEEN_MS = 5_000
_JITTER_MS = 3_000


class _Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A message with too early a time, and when it came."""

    meter_ms: int
    now_ms: int

    def goes_on(self, later: _Suspect) -> bool:
        """Return whether as much time has passed between both for the meter as for us."""
        passed_ms = later.now_ms - self.now_ms
        return abs(later.meter_ms - self.meter_ms - passed_ms) <= _JITTER_MS + passed_ms // 20


class PushedClock:
    """Follows one meter's clock from message to message, by the gateway's synchronised clock."""

    def __init__(self) -> None:
        self._suspect: _Suspect | None = None
        self.ahead_ms: int | None = None
        """How far the meter's clock is ahead of the gateway's; None: not known yet."""

    def expected_ms(self, now_ms: int) -> int:
        """Return what the meter's clock should show now, as far as is known."""
        return now_ms + (self.ahead_ms or 0)

    def is_of_now(self, meter_ms: int, now_ms: int) -> bool:
        """Return whether a message with this time was written just now, and learn from it."""
        late_ms = self.expected_ms(now_ms) - meter_ms
        suspect = _Suspect(meter_ms=meter_ms, now_ms=now_ms)
        if late_ms > MOST_APART_MS and not self._is_confirmed(suspect):
            return False
        self._suspect = None
        self.ahead_ms = meter_ms - now_ms
        return True

    def _is_confirmed(self, suspect: _Suspect) -> bool:
        before = self._suspect
        if before is None or not before.goes_on(suspect):
            self._suspect = suspect
            return False
        return suspect.now_ms - before.now_ms >= _LEAST_BETWEEN_MS
