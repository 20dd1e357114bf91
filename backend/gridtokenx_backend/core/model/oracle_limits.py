"""What the oracle holds every meter of a community to."""

from __future__ import annotations

import msgspec


class OracleLimits(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What holds for every meter of the community, in milliseconds.

    The last three are about intervals: how long after a span's end late readings are taken,
    when an interval is final, and how near to a bound a reading must be to measure it.
    """

    future_tolerance_ms: int
    oldest_reading_ms: int
    ratio_window_ms: int
    late_reading_ms: int = 0
    finality_ms: int = 0
    boundary_tolerance_ms: int = 0
