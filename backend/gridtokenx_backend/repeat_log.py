"""Log lines about what repeats: the first at once, then one a minute with how often it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

WINDOW_S = 60.0
MOST_KEPT = 1000

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds, as `loop.call_later` does."""


def _loops_timer(delay_s: float, then: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, then)


class RepeatLog:
    """Logs an event about something (an address, a device) at once, then at most once a minute.

    Every minute in which it came again has a line with `repeated`, how often that was. So many
    different ones are kept; what comes beyond them is told as one, about "others".
    """

    def __init__(self, log: Any = None, later: Later = _loops_timer) -> None:
        self._log = structlog.get_logger() if log is None else log
        self._later = later
        self._repeated: dict[tuple[str, str], int] = {}

    def warn_about(self, event: str, about: str, **fields: object) -> None:
        """Log an event, or count it for the next line about the same."""
        key = (event, about)
        if key not in self._repeated and len(self._repeated) >= MOST_KEPT:
            key = (event, "others")
        if key in self._repeated:
            self._repeated[key] += 1
            return
        self._log.warning(event, about=key[1], **fields)
        self._repeated[key] = 0
        self._later(WINDOW_S, lambda: self._end_window(key, fields))

    def _end_window(self, key: tuple[str, str], fields: dict[str, object]) -> None:
        repeated = self._repeated.pop(key)
        if repeated:
            event, about = key
            self._log.warning(event, about=about, repeated=repeated, **fields)
            self._repeated[key] = 0
            self._later(WINDOW_S, lambda: self._end_window(key, fields))
