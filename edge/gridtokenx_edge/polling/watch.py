"""Who looks on while meters are polled: for metrics, for the watchdog, or nobody."""

from __future__ import annotations

from typing import Protocol

from gridtokenx_edge.polling.faults import BusFault


class LineWatch(Protocol):
    """Looks on at a line."""

    def turned(self) -> None:
        """The loop of the bus has come round."""

    def asked(self, elapsed_s: float, answered_by: int | None = None) -> None:
        """A request held the line for so long; the meter at `answered_by` answered it.

        None: no meter did, or the protocol counts no replies.
        """


class PollWatch(Protocol):
    """Looks on at the polls of one meter."""

    def turned(self) -> None:
        """The meter's loop has come round."""

    def failed(self, fault: BusFault) -> None:
        """A contact with the meter failed."""

    def missed(self, count: int) -> None:
        """So many grid points passed without a poll."""


class _Nobody:
    """Looks on at nothing."""

    def turned(self) -> None: ...

    def asked(self, elapsed_s: float, answered_by: int | None = None) -> None: ...

    def failed(self, fault: BusFault) -> None: ...

    def missed(self, count: int) -> None: ...


NOBODY = _Nobody()
