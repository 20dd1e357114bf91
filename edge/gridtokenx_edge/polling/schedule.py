"""When to poll: at grid points of community time, which are the same for every gateway.

Readings of all sites at the same times make the sums of an interval comparable. They do not drift
with the time that a poll takes.
"""

from __future__ import annotations

import msgspec

# Further apart than the shortest interval that an oracle asks for by default, which is 1 s.
_APART_MS = 2000


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """The next grid point, and how many were passed without a poll."""

    at_ms: int
    missed: int = 0


def grid_after(now_ms: int, every_ms: int) -> int:
    """Return the first multiple of `every_ms` after `now_ms`."""
    return now_ms - now_ms % every_ms + every_ms


def first_due(now_ms: int, every_ms: int) -> int:
    """Return when a meter that was not read before is polled first.

    That is at once, so that an installer sees a reading and a restart leaves no hole. Where the
    next grid point is so near that both polls would be too close, it is that grid point.
    """
    grid_ms = grid_after(now_ms, every_ms)
    return grid_ms if grid_ms - now_ms < _APART_MS else now_ms


def next_due(last_ms: int, now_ms: int, every_ms: int) -> Due:
    """Return the grid point after the one at `last_ms`, seen from `now_ms`.

    Points that have passed meanwhile are skipped and never polled in a burst. A clock that was set
    back starts a new grid there, so that nobody waits for its old time to return.
    """
    at_ms = grid_after(now_ms, every_ms)
    missed = max(0, (at_ms - last_ms) // every_ms - 1)
    return Due(at_ms=at_ms, missed=missed)


def is_stranded(due_ms: int, now_ms: int, every_ms: int) -> bool:
    """Return whether the clock was set so that `due_ms` no longer is the next grid point."""
    return due_ms - now_ms > every_ms or now_ms - due_ms >= every_ms
