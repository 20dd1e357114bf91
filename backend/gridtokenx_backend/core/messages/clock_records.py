"""The operator's word on the time, and what came of it."""

from __future__ import annotations

import msgspec


class ClockCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's command that says what time it is, with a reason.

    `time_ms` is the time of its journal entry. It may be before that of the entry before it: only
    this command sets the community's time back.
    """

    time_ms: int
    reason: str


class ClockConfirmed(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="clock", gc=False
):
    """The community's time went from `from_ms`, that of the entry before, to `to_ms`."""

    from_ms: int
    to_ms: int
