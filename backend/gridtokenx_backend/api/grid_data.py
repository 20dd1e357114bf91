"""The grid operator's energies of intervals, brought by `gridtokenx-backend grid import`."""

from __future__ import annotations

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND
from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.messages.inputs import grid_data_input
from gridtokenx_backend.core.messages.outcomes import Repeated
from gridtokenx_backend.core.messages.sharing_outcomes import (
    GridDataImported,
    GridDataRefusal,
    GridDataRefused,
)
from gridtokenx_backend.grid_data.interval_rows import check_data

MAX_BODY_BYTES = 16 << 20
_STATUS = {
    GridDataRefusal.MALFORMED: 400,
    GridDataRefusal.UNKNOWN_METER: 404,
    GridDataRefusal.NOT_YET: 400,
    GridDataRefusal.FINAL: 409,
}


class GridDataView(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the journal's entry; `is_new` is false if the file was stored before."""

    source: str
    entry: int
    is_new: bool


@post("/v1/operator/grid-data", **(OPERATOR_COMMAND | {"request_max_body_size": MAX_BODY_BYTES}))
async def put_grid_data(
    backend: NamedDependency[Backend], data: JSONBody[GridData]
) -> GridDataView:
    """Store a file's series as one journal entry, or none of them."""
    if expected := check_data(data):
        raise _refused(GridDataRefusal.MALFORMED, expected)
    (committed,) = await backend.writer.submit([grid_data_input(data)])
    match committed.result:
        case GridDataImported():
            return GridDataView(source=data.source, entry=committed.seq, is_new=True)
        case Repeated(entry):
            return GridDataView(source=data.source, entry=entry, is_new=False)
        case GridDataRefused(reason, detail):
            raise _refused(reason, detail)
    raise AssertionError(committed.result)


def _refused(reason: GridDataRefusal, detail: str) -> Problem:
    return Problem(
        status=_STATUS[reason], title="The file was refused", detail=detail, reason=reason.value
    )
