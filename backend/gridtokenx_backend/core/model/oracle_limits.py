"""The oracle's limits for all meters of a community."""

from __future__ import annotations

import msgspec


class OracleLimits(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The limits that hold for every meter of the community, in milliseconds.

    The last three are about intervals: for how long after the end of an estimated span late
    readings are accepted, how long after its end an interval becomes final, and how near to an
    interval boundary a reading must be to count as measured there.
    """

    future_tolerance_ms: int
    oldest_reading_ms: int
    ratio_window_ms: int
    late_reading_ms: int = 0
    finality_ms: int = 0
    boundary_tolerance_ms: int = 0
