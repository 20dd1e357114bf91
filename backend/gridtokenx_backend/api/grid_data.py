"""The grid operator's energies of intervals, brought by `gridtokenx-backend grid import`."""

from __future__ import annotations

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import Problem, by_status
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND
from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.messages.inputs import grid_data_input
from gridtokenx_backend.core.messages.outcomes import Repeated
from gridtokenx_backend.core.messages.sharing_outcomes import (
    GridDataImported,
    GridDataRefusal,
    GridDataRefused,
)
from gridtokenx_backend.core.sharing import contradictions
from gridtokenx_backend.core.sharing.contradictions import Contradiction
from gridtokenx_backend.grid_data.interval_rows import check_data
from gridtokenx_wire.units import format_kwh

MAX_BODY_BYTES = 16 << 20
_STATUS = {
    GridDataRefusal.MALFORMED: 400,
    GridDataRefusal.UNKNOWN_METER: 404,
    GridDataRefusal.NOT_YET: 400,
    GridDataRefusal.FINAL: 409,
}


_INTERVALS_AT_ONCE = 32
"""Compared before anybody else has a turn."""


class ContradictionView(msgspec.Struct, frozen=True, kw_only=True):
    """Intervals in which what meters received by the operator's figures cannot be.

    `kind` is `received_above_consumption`, of one meter, or `received_above_generation`, of all
    meters together: then `meter` is empty. `said_kwh` is the sum of the operator's figures in these
    intervals, and `counted_kwh` what of it is counted.
    """

    kind: str
    meter: str
    intervals: int
    first_ms: int
    said_kwh: str
    counted_kwh: str


class GridDataView(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the journal's entry; `is_new` is false if the file was stored before.

    `contradictions` are those of the file's intervals in the mode `imported`, by all figures so
    far.
    """

    source: str
    entry: int
    is_new: bool
    contradictions: list[ContradictionView]


@post(
    "/v1/operator/grid-data",
    **(OPERATOR_COMMAND | {"request_max_body_size": MAX_BODY_BYTES}),
    **operation(
        "import_grid_data",
        "Store energies of the grid operator",
        Tag.OPERATION,
        Access.OPERATOR,
        by_status(_STATUS),
    ),
)
async def put_grid_data(
    backend: NamedDependency[Backend], data: JSONBody[GridData]
) -> GridDataView:
    """Store a file's series as one journal entry, or none of them."""
    if expected := check_data(data):
        raise _refused(GridDataRefusal.MALFORMED, expected)
    (committed,) = await backend.writer.submit([grid_data_input(data)])
    match committed.result:
        case GridDataImported():
            entry, is_new = committed.seq, True
        case Repeated(entry):
            is_new = False
        case GridDataRefused(reason, detail):
            raise _refused(reason, detail)
        case _:
            raise AssertionError(committed.result)
    return GridDataView(
        source=data.source,
        entry=entry,
        is_new=is_new,
        contradictions=await _contradictions(backend, data),
    )


async def _contradictions(backend: Backend, data: GridData) -> list[ContradictionView]:
    """Return what does not fit in the intervals of a file that was imported."""
    intervals_ms = contradictions.intervals_of(data)
    found: list[Contradiction] = []
    for start in range(0, len(intervals_ms), _INTERVALS_AT_ONCE):
        async with backend.writer.durable_state() as community:
            part = intervals_ms[start : start + _INTERVALS_AT_ONCE]
            found += contradictions.known_now(community, part)
    return [
        ContradictionView(
            kind=each.kind.value,
            meter=each.meter,
            intervals=each.intervals,
            first_ms=each.first_ms,
            said_kwh=format_kwh(each.said_uwh),
            counted_kwh=format_kwh(each.counted_uwh),
        )
        for each in contradictions.summed_up(found)
    ]


def _refused(reason: GridDataRefusal, detail: str) -> Problem:
    return Problem(
        status=_STATUS[reason], title="The file was refused", detail=detail, reason=reason.value
    )
