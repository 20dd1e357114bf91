"""The billing periods that a community remembers."""

from __future__ import annotations

from typing import Literal

import msgspec

PeriodStatus = Literal["provisional", "final", "revised"]


class Period(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A billing period. `entries` are the journal's entries of its revisions, in their order."""

    status: PeriodStatus
    from_ms: int
    to_ms: int
    entries: list[int] = []

    @property
    def revision(self) -> int:
        return len(self.entries)
