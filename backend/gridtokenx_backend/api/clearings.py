"""Interval auctions: everyone may read them and compute them again."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, Parameter

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.clearing_views import (
    ClearingsView,
    ClearingView,
    clearing_summaries,
    clearing_view,
)
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.journal.entry import Entry, decode_outcome

_MOST_INTERVALS = 200
_LATEST_MS = 2**53
Before = Annotated[int, Parameter(ge=0, le=_LATEST_MS)]
Intervals = Annotated[int, Parameter(ge=1, le=_MOST_INTERVALS)]


@get("/v1/clearings", **operation("list_clearings", "List interval auctions", Tag.MARKET))
async def clearings(
    backend: NamedDependency[Backend], limit: Intervals = 20, before_ms: Before = _LATEST_MS
) -> ClearingsView:
    """Return the auctions of the newest intervals, or of the newest before `before_ms`."""
    entries = await backend.journal.clearings(limit, before_ms)
    found = [(entry.seq, _outcome(entry)) for entry in entries]
    more = found[-1][1].interval_ms if len(found) == limit else None
    lines = [line for seq, outcome in found for line in clearing_summaries(seq, outcome)]
    return ClearingsView(clearings=lines, before_ms=more)


@get(
    "/v1/clearings/{zone:str}/{interval_ms:int}",
    **operation(
        "get_clearing",
        "Show an auction with its whole book",
        Tag.MARKET,
        Access.EVERYONE,
        {404: ["unknown_clearing", "not_found"]},
    ),
)
async def clearing(
    backend: NamedDependency[Backend], zone: FromPath[str], interval_ms: FromPath[int]
) -> ClearingView:
    """Return one zone's auction with its whole book."""
    entries = await backend.journal.clearings(1, interval_ms + 1)
    for entry in entries:
        outcome = _outcome(entry)
        for each in outcome.zones:
            if outcome.interval_ms == interval_ms and each.zone == zone:
                name = backend.writer.community.name
                return clearing_view(name, entry.seq, outcome, each)
    detail = "expected a zone and the start of an interval that was cleared, in Unix ms"
    raise Problem(status=404, title="No such clearing", detail=detail, reason="unknown_clearing")


def _outcome(entry: Entry) -> IntervalCleared:
    outcome = decode_outcome(entry.outcome)
    assert isinstance(outcome, IntervalCleared)
    return outcome
