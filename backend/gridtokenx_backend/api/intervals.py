"""The energy of a meter's intervals, for its owner and the operator."""

from __future__ import annotations

import csv
import io
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.reader_access import AnyRequest, reading_wallet
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.oracle.intervals import still_open
from gridtokenx_wire.units import format_kwh

LONGEST_MS = 93 * 86_400_000
"""A quarter of a year in one answer."""
_LATEST_MS = 2**53
_Time = Annotated[int, QueryParameter(ge=0, le=_LATEST_MS)]
_CSV = "text/csv"
_LABELS = {int(quality): quality.label for quality in Quality}


class IntervalView(msgspec.Struct, frozen=True, gc=False):
    """`quality` is measured, interpolated, substitute, provisional or missing.

    Of a missing interval nothing is known: its energy is null, never zero.
    """

    start_ms: int
    import_kwh: str | None
    export_kwh: str | None
    quality: str
    revision: int


class IntervalsView(msgspec.Struct, frozen=True):
    """Every interval that starts in [from_ms, to_ms) and has begun, in order.

    The totals are over those that are known.
    """

    meter: str
    from_ms: int
    to_ms: int
    import_kwh: str
    export_kwh: str
    missing: int
    intervals: list[IntervalView]


@get("/v1/meters/{meter:str}/intervals")
async def intervals(
    request: AnyRequest,
    backend: NamedDependency[Backend],
    meter: FromPath[str],
    from_ms: _Time,
    to_ms: _Time,
) -> Response[bytes]:
    """A meter's 15-minute energy in a span of at most 93 days; as CSV if that is what is accepted.

    For the operator, and for the meter's owner with a signed read token.
    """
    _check_span(from_ms, to_ms)
    opened = await _open_interval(request, backend, meter)
    rows = await backend.series.read(meter, from_ms, to_ms)
    begun = range(from_ms, min(to_ms, backend.clock.now_ms() + 1), INTERVAL_MS)
    view = view_of(meter, (from_ms, to_ms), begun, rows, opened)
    if request.accept.best_match(["application/json", "text/csv"]) == "text/csv":
        return Response(_as_csv(view), media_type=_CSV)
    return Response(msgspec.json.encode(view), media_type="application/json")


def _check_span(from_ms: int, to_ms: int) -> None:
    if from_ms % INTERVAL_MS or to_ms % INTERVAL_MS or not 0 < to_ms - from_ms <= LONGEST_MS:
        detail = (
            f"expected from_ms and to_ms as starts of intervals (multiples of {INTERVAL_MS}), "
            "to_ms later by at most 93 days"
        )
        raise Problem(400, "The span cannot be answered", detail, "bad_request")


async def _open_interval(request: AnyRequest, backend: Backend, name: str) -> IntervalEnergy | None:
    """What the meter's open interval has counted so far, after a look that it may be told.

    Whoever may not see a meter is told the same of one that is not there.
    """
    wallet = await reading_wallet(request, backend)
    async with backend.writer.reading() as community:
        meter = community.meters.get(name)
        if meter is None or wallet not in (None, meter.owner):
            detail = "expected the id of a meter" + (" of yours" if wallet else "")
            raise Problem(404, "No such meter", detail, "unknown_meter")
        return still_open(meter)


def view_of(
    meter: str,
    span_ms: tuple[int, int],
    begun: range,
    rows: list[IntervalEnergy],
    opened: IntervalEnergy | None,
) -> IntervalsView:
    known = {row.interval_ms: row for row in rows}
    if opened is not None and opened.interval_ms not in known:
        known[opened.interval_ms] = opened
    shown = [_row(start, known.get(start)) for start in begun]
    counted = [known[start] for start in begun if start in known]
    return IntervalsView(
        meter,
        *span_ms,
        format_kwh(sum(row.import_uwh for row in counted)),
        format_kwh(sum(row.export_uwh for row in counted)),
        len(shown) - len(counted),
        shown,
    )


def _row(start_ms: int, row: IntervalEnergy | None) -> IntervalView:
    if row is None:
        return IntervalView(start_ms, None, None, _LABELS[Quality.MISSING], 0)
    return IntervalView(
        start_ms,
        format_kwh(row.import_uwh),
        format_kwh(row.export_uwh),
        _LABELS[row.quality],
        row.revision,
    )


def _as_csv(view: IntervalsView) -> bytes:
    """A line for each interval under a heading; what is missing is empty."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow  # RFC 4180
    write(["meter", *IntervalView.__struct_fields__])
    for row in view.intervals:
        write([view.meter, *msgspec.structs.astuple(row)])
    return out.getvalue().encode()
