"""The energy of a meter's intervals; its owner and the operator may read it."""

from __future__ import annotations

import csv
import io
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from gridtokenx_backend.api.authorisation import reader_wallet
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.model.local_time import (
    TimeZone,
    local_text,
    month_start_ms,
    next_month,
    parse_month,
)
from gridtokenx_backend.core.oracle.intervals import still_open
from gridtokenx_wire.units import format_kwh

LONGEST_MS = 93 * 86_400_000
"""The longest span of one answer: a quarter of a year."""
_LATEST_MS = 2**53
_Time = Annotated[int | None, QueryParameter(ge=0, le=_LATEST_MS)]
_CSV = "text/csv"
_LABELS = {int(quality): quality.label for quality in Quality}


class IntervalView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An interval; `quality` is measured, interpolated, substitute, provisional or missing.

    `start` is its start in the community's time zone, with the offset. The energy of a missing
    interval is not known: it is null, never zero.
    """

    start_ms: int
    import_kwh: str | None
    export_kwh: str | None
    quality: str
    revision: int
    start: str


class IntervalsView(msgspec.Struct, frozen=True, kw_only=True):
    """Every interval that starts in [from_ms, to_ms) and has begun, in order.

    `import_kwh` and `export_kwh` are the totals of those that are not missing.
    """

    meter: str
    from_ms: int
    to_ms: int
    import_kwh: str
    export_kwh: str
    missing: int
    intervals: list[IntervalView]


@get(
    "/v1/meters/{meter:str}/intervals",
    **operation(
        "get_intervals",
        "Show the 15-minute energy of a meter",
        Tag.ENERGY,
        Access.OWNER,
        {404: ["unknown_meter"]},
    ),
)
async def intervals(
    request: AnyRequest,
    backend: NamedDependency[Backend],
    meter: FromPath[str],
    from_ms: _Time = None,
    to_ms: _Time = None,
    month: FromQuery[str] = "",
) -> Response[bytes]:
    """Return a meter's 15-minute energy in a span of at most 93 days, as JSON or CSV (`Accept`).

    The span is [from_ms, to_ms), or a month (2026-06) by the community's time zone. The operator
    may ask, and the meter's owner with a signed read token.
    """
    zone = backend.writer.community.active_terms.time_zone
    from_ms, to_ms = _span(from_ms, to_ms, month, zone)
    opened = await _open_interval(request, backend, meter)
    rows = await backend.series.read(meter, from_ms, to_ms)
    begun = range(from_ms, min(to_ms, backend.clock.now_ms() + 1), INTERVAL_MS)
    view = view_of(meter, (from_ms, to_ms), begun, rows, opened, zone)
    if request.accept.best_match(["application/json", "text/csv"]) == "text/csv":
        return Response(_as_csv(view), media_type=_CSV)
    return Response(msgspec.json.encode(view), media_type="application/json")


def _span(from_ms: int | None, to_ms: int | None, month: str, zone: TimeZone) -> tuple[int, int]:
    """Return the span that is asked for. Raises Problem."""
    title = "The span cannot be answered"
    if month and from_ms is None and to_ms is None:
        try:
            number = parse_month(month)
        except ValueError as error:
            detail = f"month: {error}"
            raise Problem(status=400, title=title, detail=detail, reason="bad_request") from None
        return month_start_ms(zone, number), month_start_ms(zone, next_month(number))
    if month or from_ms is None or to_ms is None:
        detail = "expected either from_ms and to_ms or month"
        raise Problem(status=400, title=title, detail=detail, reason="bad_request")
    _check_span(from_ms, to_ms)
    return from_ms, to_ms


def _check_span(from_ms: int, to_ms: int) -> None:
    if from_ms % INTERVAL_MS or to_ms % INTERVAL_MS or not 0 < to_ms - from_ms <= LONGEST_MS:
        detail = (
            f"expected from_ms and to_ms as starts of intervals (multiples of {INTERVAL_MS}), "
            "to_ms later by at most 93 days"
        )
        raise Problem(
            status=400, title="The span cannot be answered", detail=detail, reason="bad_request"
        )


async def _open_interval(request: AnyRequest, backend: Backend, name: str) -> IntervalEnergy | None:
    """Return what a meter's open interval has counted so far.

    Raises Problem if there is no such meter, and the same if the reader may not see it.
    """
    wallet = await reader_wallet(request, backend)
    async with backend.writer.durable_state() as community:
        meter = community.meters.get(name)
        if meter is None or wallet not in (None, meter.owner):
            detail = "expected the id of a meter" + (" of yours" if wallet else "")
            raise Problem(status=404, title="No such meter", detail=detail, reason="unknown_meter")
        return still_open(meter)


def view_of(
    meter: str,
    span_ms: tuple[int, int],
    begun: range,
    rows: list[IntervalEnergy],
    opened: IntervalEnergy | None,
    zone: TimeZone,
) -> IntervalsView:
    """Return what is known of the `begun` intervals of a span, the open one included."""
    from_ms, to_ms = span_ms
    known = {row.interval_ms: row for row in rows}
    if opened is not None and opened.interval_ms not in known:
        known[opened.interval_ms] = opened
    shown = [_row(start, known.get(start), zone) for start in begun]
    counted = [known[start] for start in begun if start in known]
    return IntervalsView(
        meter=meter,
        from_ms=from_ms,
        to_ms=to_ms,
        import_kwh=format_kwh(sum(row.import_uwh for row in counted)),
        export_kwh=format_kwh(sum(row.export_uwh for row in counted)),
        missing=len(shown) - len(counted),
        intervals=shown,
    )


def _row(start_ms: int, row: IntervalEnergy | None, zone: TimeZone) -> IntervalView:
    start = local_text(zone, start_ms)
    if row is None:
        return IntervalView(
            start_ms=start_ms,
            import_kwh=None,
            export_kwh=None,
            quality=_LABELS[Quality.MISSING],
            revision=0,
            start=start,
        )
    return IntervalView(
        start_ms=start_ms,
        import_kwh=format_kwh(row.import_uwh),
        export_kwh=format_kwh(row.export_uwh),
        quality=_LABELS[row.quality],
        revision=row.revision,
        start=start,
    )


def _as_csv(view: IntervalsView) -> bytes:
    """Return a line for each interval under a heading; missing values are empty."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow  # RFC 4180
    write(["meter", *IntervalView.__struct_fields__])
    for row in view.intervals:
        write([view.meter, *msgspec.structs.astuple(row)])
    return out.getvalue().encode()
