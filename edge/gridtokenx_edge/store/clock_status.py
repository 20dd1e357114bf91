"""What the gateway knows of its own clock: whether it is synchronised, by whom, and its steps."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_wire.clock import ClockConfig

# adjtimex(2): struct timex is under 256 bytes; modes = 0 (its first field) only reads.
_TIMEX_BYTES = 256
_TIME_ERROR = 5
# systemd-timesyncd touches this file once the clock is set. Where a unit may not ask the kernel
# (ProtectClock=), it may still see the file.
_TIMESYNC_FLAG = Path("/run/systemd/timesync/synchronized")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STEP_MS = 1000


def kernel_synchronised() -> bool:
    """Return whether a time service keeps the system's clock, as the kernel tells it."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(buffer)
    if state < 0:
        return _TIMESYNC_FLAG.exists()
    return bool(state != _TIME_ERROR)


def _boot_ms() -> int:
    """Return the milliseconds since the start of the machine, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _boot_id() -> str:
    """Return the name of this run of the machine (Linux, random(4)), or "" if there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


ClockSource = Literal["ntp", "none", "scaled"]
"""Who sets the system's clock: a time service, nobody known, or a demo's scaled clock."""


class ClockMark(msgspec.Struct, frozen=True):
    """The system's clock less the uptime, in one run of the machine. Only a step changes it."""

    boot: str
    offset_ms: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A time during which the clock did not step and was synchronised, or not, all along.

    `stepped` is true if it began with a step. `offset_ms` is the system's clock less the uptime.
    `retimed` is true for readings whose times were worked out from the uptime later.
    """

    number: int
    synchronised: bool
    stepped: bool
    source: ClockSource
    offset_ms: int
    retimed: bool = False


class ClockWatch:
    """Compares the system's clock with the machine's uptime, from one look to the next."""

    def __init__(
        self,
        config: ClockConfig,
        is_synchronised: Callable[[], bool] | None = None,
        wall_ms: Callable[[], int] = _wall_ms,
        boot_ms: Callable[[], int] = _boot_ms,
        boot: str | None = None,
    ) -> None:
        self._is_scaled = config.source == "scaled"
        self._is_synchronised = is_synchronised or kernel_synchronised
        self._wall_ms = wall_ms
        self._boot_ms = boot_ms
        self._boot = _boot_id() if boot is None else boot
        self._offset_ms = wall_ms() - boot_ms()
        synchronised, source = self._state()
        self._run = Run(
            number=0,
            synchronised=synchronised,
            stepped=False,
            source=source,
            offset_ms=self._offset_ms,
        )

    def restore(self, mark: ClockMark | None) -> None:
        """Take over the mark of the agent's last run, so that a step since then is noticed."""
        if mark and mark.boot and mark.boot == self._boot:
            self._offset_ms = mark.offset_ms
            self._run = msgspec.structs.replace(self._run, offset_ms=mark.offset_ms)

    def look(self) -> Run:
        """Return the run of the clock that is now.

        It is another one after a step, and once the clock is synchronised or no longer is.
        """
        offset_ms = self._wall_ms() - self._boot_ms()
        synchronised, source = self._state()
        stepped = abs(offset_ms - self._offset_ms) > _STEP_MS
        self._offset_ms = offset_ms
        run = self._run
        if stepped or (synchronised, source) != (run.synchronised, run.source):
            self._run = Run(
                number=run.number + 1,
                synchronised=synchronised,
                stepped=stepped,
                source=source,
                offset_ms=offset_ms,
            )
        return self._run

    def mark(self, run: Run) -> ClockMark:
        """Return the mark with which the agent's next run is to compare."""
        return ClockMark(self._boot, run.offset_ms)

    def _state(self) -> tuple[bool, ClockSource]:
        if self._is_scaled:
            return True, "scaled"
        return (True, "ntp") if self._is_synchronised() else (False, "none")
