"""The machine's own times, and what its kernel says of the clock: adjtimex(2)."""

from __future__ import annotations

import ctypes
import time

from gridtokenx_backend.engine.clock_guard import ClockGuard, TimeSources
from gridtokenx_wire.clock import Clock, ClockConfig

_TIMEX_BYTES = 256
"""More than struct timex has. Its first field is zero, so the call only reads."""
_TIME_ERROR = 5


def guard_of(config: ClockConfig, clock: Clock) -> ClockGuard | None:
    """Return the guard of the system's clock; None for a clock that is moved on purpose."""
    if config.source != "system":
        return None
    sources = TimeSources(
        wall_ms=clock.now_ms, elapsed_ms=elapsed_ms, is_synchronised=kernel_synchronised
    )
    return ClockGuard(sources)


def elapsed_ms() -> int:
    """Return the time since the machine's start, with the time for which it was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def kernel_synchronised() -> bool | None:
    """Return whether a time service keeps the clock right; None if the kernel may not be asked."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        return None
    return bool(state != _TIME_ERROR)
