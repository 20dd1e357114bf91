"""The oracle's verdicts on readings, as a gateway is told them."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Reason(IntEnum):
    """The outcome of a reading. The number is the precedence: the lowest that applies is given.

    Below 64 a reading is rejected (physically or contractually impossible); from 64 on it is
    quarantined (improbable: kept, not minted).
    """

    ACCEPTED = 0
    UNBOUND_METER = 1
    """No such meter, or it is bound to another device."""
    INACTIVE_METER = 2
    """The operator has switched the meter off."""
    FUTURE_TIME = 3
    """Later than the backend's clock by more than is allowed (60 s)."""
    STALE_TIME = 4
    """Older than the oldest reading that may still be settled (7 days)."""
    NOT_AFTER_LAST = 5
    """Not after this meter's last reading, nor in a gap that it could complete."""
    TOO_FREQUENT = 6
    """Sooner after the last reading than the meter's minimum interval."""
    REGISTER_ROLLBACK = 7
    """A cumulative register is below its last value, and has not passed its end.

    Of a late reading: it is not between the values read before and after it.
    """
    IMPLAUSIBLE_JUMP = 8
    """A register moved further than the meter's maximum power allows."""
    IMPLAUSIBLE_POWER = 9
    """The power is beyond the meter's maximum."""
    CLOCK_UNSYNCHRONISED = 64
    """Taken while the gateway's clock was not synchronised."""
    PRODUCTION_RATIO = 65
    """Production over consumption beyond the meter's limit."""

    @property
    def label(self) -> str:
        """The name in the API, in logs and in metrics: `register_rollback`."""
        return self.name.lower()

    @property
    def rejected(self) -> bool:
        return 0 < self < 64

    @property
    def quarantined(self) -> bool:
        return self >= 64


class Verdict(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The verdict on one reading: `reason` for the reading at `index` (from 0) of the
    frame `seq`.
    """

    seq: int
    index: int
    reason: Reason
