"""The allocations of shared energy, for `gridtokenx-backend grid export`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.journal.entry import decode_outcome

_LATEST_MS = 2**53
_CLEARINGS = 96
_Time = Annotated[int, QueryParameter(ge=0, le=_LATEST_MS)]


class AllocationsView(msgspec.Struct, frozen=True, kw_only=True):
    """Allocations as they were journaled.

    `more_before_ms` is the `before_ms` with which to ask for more; it is null if there are no more.
    """

    allocations: list[Allocation]
    more_before_ms: int | None


@get(
    "/v1/operator/allocations",
    guards=[operator_only],
    **operation(
        "list_allocations", "List allocations of shared energy", Tag.OPERATION, Access.OPERATOR
    ),
)
async def allocations(
    backend: NamedDependency[Backend], before_ms: _Time = _LATEST_MS
) -> AllocationsView:
    """Return the allocations of up to 96 clearings of intervals before `before_ms`, newest first.

    A clearing may have allocated earlier intervals again; then the highest revision is valid.
    """
    entries = await backend.journal.clearings(_CLEARINGS, before_ms)
    found: list[Allocation] = []
    reached_ms = None
    for entry in entries:
        outcome = decode_outcome(entry.outcome)
        assert isinstance(outcome, IntervalCleared)
        found += outcome.shared
        reached_ms = outcome.interval_ms
    return AllocationsView(
        allocations=found, more_before_ms=reached_ms if len(entries) == _CLEARINGS else None
    )
