"""The time that the meters live in, and a clock that a test moves by hand."""

from __future__ import annotations

from typing import Protocol


class CommunityClock(Protocol):
    """A clock of community time."""

    def now_ms(self) -> int:
        """Return the community's time in Unix milliseconds, UTC."""
        ...


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, time_ms: int) -> None:
        self._time_ms = time_ms

    def now_ms(self) -> int:
        return self._time_ms

    def advance(self, milliseconds: int) -> None:
        """Move on; negative moves back."""
        self._time_ms += milliseconds
