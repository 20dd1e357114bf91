"""What a frame says of the gateway's clock: synchronised? stepped? set by whom?"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.frame import ClockStatus

# adjtimex(2): struct timex is under 256 bytes; modes = 0 (its first field) only reads.
_TIMEX_BYTES = 256
_TIME_ERROR = 5
# systemd-timesyncd touches it once the clock is set; where the kernel may not be asked
# (ProtectClock=), this file may still be seen.
_TIMESYNC_FLAG = Path("/run/systemd/timesync/synchronized")
_STEP_MS = 1000


def kernel_synchronised() -> bool:
    """Whether a time service keeps the system's clock, as told by the kernel."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(buffer)
    if state < 0:
        return _TIMESYNC_FLAG.exists()
    return bool(state != _TIME_ERROR)


def _boot_ms() -> int:
    """Milliseconds since the start of the machine, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class ClockWatch:
    """Compares the wall's clock with the machine's uptime from one frame to the next."""

    def __init__(
        self,
        config: ClockConfig,
        is_synchronised: Callable[[], bool] = kernel_synchronised,
        wall_ms: Callable[[], int] = _wall_ms,
        boot_ms: Callable[[], int] = _boot_ms,
    ) -> None:
        self._is_scaled = config.source == "scaled"
        self._is_synchronised = is_synchronised
        self._wall_ms = wall_ms
        self._boot_ms = boot_ms
        self._offset_ms = wall_ms() - boot_ms()

    def status(self) -> ClockStatus:
        """The state for the frame that is sealed now; a step is reported once."""
        offset_ms = self._wall_ms() - self._boot_ms()
        is_stepped = abs(offset_ms - self._offset_ms) > _STEP_MS
        self._offset_ms = offset_ms
        if self._is_scaled:
            return ClockStatus(True, is_stepped, "scaled")
        is_synchronised = self._is_synchronised()
        return ClockStatus(is_synchronised, is_stepped, "ntp" if is_synchronised else "none")
