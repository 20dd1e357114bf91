"""What the grid operator says of intervals: `gridtokenx-backend grid import` puts it here."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.operator import operator_only
from gridtokenx_backend.api.problems import Problem, respond_unreadable
from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.messages.inputs import grid_data
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
_COMMAND: dict[str, Any] = {
    "status_code": 200,
    "guards": [operator_only],
    "request_max_body_size": MAX_BODY_BYTES,
    "exception_handlers": {
        UnicodeDecodeError: respond_unreadable,
        RecursionError: respond_unreadable,
    },
}


class GridDataView(msgspec.Struct, frozen=True):
    """`entry` is the journal's number of it; `is_new` is false if it was there before."""

    source: str
    entry: int
    is_new: bool


@post("/v1/operator/grid-data", **_COMMAND)
async def put_grid_data(
    backend: NamedDependency[Backend], data: JSONBody[GridData]
) -> GridDataView:
    """Takes a file's series as one journal entry, or refuses all of them."""
    if expected := check_data(data):
        raise _refused(GridDataRefusal.MALFORMED, expected)
    (settled,) = await backend.writer.submit([grid_data(data)])
    match settled.result:
        case GridDataImported():
            return GridDataView(data.source, settled.seq, is_new=True)
        case Repeated(entry):
            return GridDataView(data.source, entry, is_new=False)
        case GridDataRefused(reason, detail):
            raise _refused(reason, detail)
    raise AssertionError(settled.result)


def _refused(reason: GridDataRefusal, detail: str) -> Problem:
    return Problem(_STATUS[reason], "The file was refused", detail, reason.value)
