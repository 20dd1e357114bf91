"""Tells in the log how far a meter's own clock is off: once, and again when that has changed."""

from __future__ import annotations

from gridtokenx_edge.log import Logger

_STEP_MS = 5_000
# Beyond this a meter's own times are worth a warning.
_MOST_AHEAD_MS = 60_000
_DO = "the gateway's clock times its readings; gaps are not repaired; tell the grid operator"


class ClockReport:
    """What was told of one meter's clock."""

    def __init__(self, log: Logger, *, meter: str, bus: str) -> None:
        self._log = log
        self._meter = meter
        self._bus = bus
        self._told_ms: int | None = None

    def tell(self, ahead_ms: int | None) -> None:
        """Log how far the clock is ahead, where that is news."""
        told_ms = self._told_ms
        if ahead_ms is None or (told_ms is not None and abs(ahead_ms - told_ms) < _STEP_MS):
            return
        self._told_ms = ahead_ms
        if abs(ahead_ms) <= _MOST_AHEAD_MS:
            self._log.info("meter_clock", meter=self._meter, bus=self._bus, ahead_ms=ahead_ms)
            return
        self._log.warning(
            "meter_clock", meter=self._meter, bus=self._bus, ahead_ms=ahead_ms, do=_DO
        )
