"""The clock that a process is given by its configuration.

A demo or a bench hands the same scaled clock to all of its processes, so that a day passes in
minutes for every one of them. Domain durations (poll intervals, order expiry) run on this clock;
time-outs and backoffs of I/O run on real, monotonic time.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from gridtokenx_wire.errors import ConfigError

_STEPPED_BYTES = 8
_LOOK_AGAIN_S = 0.0005
_LATEST_MS = 4_102_444_800_000
"""The year 2100."""
_LARGEST_OFFSET_MS = 100 * 365 * 86_400_000


class ClockConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section `[clock]`. Without it, a process takes the system's clock.

    A scaled clock shows `community_ms` at the wall time `wall_ms` and runs `speed` times as fast.
    A stepped clock stands where the file `path` says, until somebody writes a later time there.
    `offset_ms` makes one process's clock wrong on purpose.
    """

    source: Literal["system", "scaled", "stepped"] = "system"
    wall_ms: int = 0
    community_ms: int = 0
    speed: float = 1.0
    offset_ms: int = 0
    path: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 100_000:
            raise ValueError("expected a speed above 0 and at most 100000")
        if not all(abs(ms) <= _LATEST_MS for ms in (self.wall_ms, self.community_ms)):
            raise ValueError("expected wall_ms and community_ms in Unix milliseconds")
        if abs(self.offset_ms) > _LARGEST_OFFSET_MS:
            raise ValueError(f"expected an offset_ms of at most {_LARGEST_OFFSET_MS}")
        if self.source == "stepped" and not self.path:
            raise ValueError("expected the path of a file for a stepped clock")


class Clock(Protocol):
    """A clock of community time."""

    def now_ms(self) -> int:
        """Return the community's time in Unix milliseconds, UTC."""
        ...

    def real_seconds(self, duration_ms: int) -> float:
        """Return how many real seconds pass while `duration_ms` of community time do."""
        ...


class SystemClock:
    """The machine's own clock, shifted by `offset_ms`."""

    def __init__(self, offset_ms: int = 0) -> None:
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset_ms

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000


class ScaledClock:
    """A clock that starts at a set community time and runs `speed` times as fast as the wall's."""

    def __init__(self, config: ClockConfig) -> None:
        self._config = config

    def now_ms(self) -> int:
        config = self._config
        wall_ms = time.time_ns() / 1_000_000 - config.wall_ms
        return config.community_ms + round(wall_ms * config.speed) + config.offset_ms

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000 / self._config.speed


class SteppedClock:
    """A clock that stands where a file of eight bytes (Unix milliseconds, big-endian) says.

    A simulation that owns the file moves all processes' time in steps, as fast as they follow.
    """

    def __init__(self, path: Path, offset_ms: int = 0) -> None:
        """Open the file. Raises ConfigError if it is not there or too short."""
        try:
            with path.open("rb") as file:
                self._shown = mmap.mmap(file.fileno(), _STEPPED_BYTES, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise ConfigError([f"clock: {path}: expected eight bytes: {error}"]) from None
        self._offset_ms = offset_ms

    def now_ms(self) -> int:
        return int.from_bytes(self._shown[:_STEPPED_BYTES], "big") + self._offset_ms

    def real_seconds(self, duration_ms: int) -> float:  # noqa: ARG002
        """Return a short time after which to look again: nobody knows when the next step comes."""
        return _LOOK_AGAIN_S


def write_stepped(path: Path, now_ms: int) -> None:
    """Move a stepped clock; a reader sees the old time or the new one."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(now_ms.to_bytes(_STEPPED_BYTES, "big"))


def make_clock(config: ClockConfig) -> Clock:
    """Return the clock that `[clock]` asks for. Raises ConfigError."""
    if config.source == "stepped":
        return SteppedClock(Path(config.path), config.offset_ms)
    if config.source == "scaled":
        return ScaledClock(config)
    return SystemClock(config.offset_ms)
