"""A billing period, as the community remembers it."""

from __future__ import annotations

from typing import Literal

import msgspec

PeriodStatus = Literal["provisional", "final", "revised"]


class Period(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """`entries` are the journal's numbers of its steps: revision n is the n-th of them."""

    status: PeriodStatus
    from_ms: int
    to_ms: int
    entries: list[int] = []

    @property
    def revision(self) -> int:
        return len(self.entries)
