"""Which meter a name in the grid operator's files stands for, as the journaled terms say.

A name is a meter's id or its metering point. At a metering point one meter may follow another: each
counts for its own time. Before the first of them was listed, that is the first one.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.statements.model.months import INTERVAL_MS


class ListedMeter(msgspec.Struct, kw_only=True, gc=False):
    """A meter that terms named from `since_ms` on, and up to `until_ms` if that is not None."""

    meter: str
    since_ms: int
    until_ms: int | None = None


class MeteringPoints:
    """The meters that the terms so far have named, by id and by metering point."""

    def __init__(self) -> None:
        self._meters: dict[str, ListedMeter] = {}
        self._at_point: dict[str, list[ListedMeter]] = {}

    def apply_terms(self, terms: CommunityTerms, at_ms: int) -> None:
        """Take terms that come into force. The first terms hold for all time before, too."""
        since_ms = at_ms - at_ms % INTERVAL_MS if self._meters else 0
        named = {meter.id for meter in terms.meter}
        for name, listed in self._meters.items():
            if name not in named and listed.until_ms is None:
                listed.until_ms = since_ms
        for meter in terms.meter:
            listed = self._meters.setdefault(
                meter.id, ListedMeter(meter=meter.id, since_ms=since_ms)
            )
            listed.until_ms = None
            at_point = self._at_point.setdefault(meter.metering_point or meter.id, [])
            if listed not in at_point:
                at_point.append(listed)

    def set_back(self, at_ms: int) -> None:
        """Date anew what was dated in a wrong time, which was ended at `at_ms`."""
        begin_ms = at_ms - at_ms % INTERVAL_MS
        for listed in self._meters.values():
            listed.since_ms = min(listed.since_ms, begin_ms)
            if listed.until_ms is not None:
                listed.until_ms = min(listed.until_ms, begin_ms)

    def meter_at(self, name: str, interval_ms: int) -> str | None:
        """Return the meter that a name stands for in an interval; None if it was never known."""
        if name in self._meters:
            return name
        at_point = self._at_point.get(name)
        if not at_point:
            return None
        begun = [each for each in at_point if each.since_ms <= interval_ms]
        listed = [each for each in begun if each.until_ms is None or interval_ms < each.until_ms]
        found = max(listed or begun or at_point[:1], key=_newest)
        return found.meter


def _newest(listed: ListedMeter) -> tuple[int, int]:
    return listed.since_ms, listed.until_ms or 0
