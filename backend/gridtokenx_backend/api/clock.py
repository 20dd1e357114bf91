"""The operator's look at the server's clock, and the operator's word on it."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND
from gridtokenx_backend.api.texts import check_text
from gridtokenx_backend.core.messages.clock_records import ClockCommand, ClockConfirmed
from gridtokenx_backend.core.messages.inputs import clock_input
from gridtokenx_wire.keys import device_text

_SEEN_MS = 60_000
"""How far the confirmed time may be from the clock: the operator looked at it a moment before."""


class GatewayTimeView(msgspec.Struct, frozen=True, kw_only=True):
    """What time it is according to a gateway that was heard lately."""

    device: str
    time_ms: int


class ClockView(msgspec.Struct, frozen=True, kw_only=True):
    """The server's clock and its witnesses.

    `journal_ms` is the time of the newest journal entry. `synchronised` is what the kernel says;
    null if it may not be asked, or if the clock is none of the system's. `doubt` is empty, or the
    reason why the clock is not believed, and then `detail` says it in a sentence.
    """

    time_ms: int
    journal_ms: int
    synchronised: bool | None
    doubt: str
    detail: str
    gateways: list[GatewayTimeView]


class ClockConfirmedView(msgspec.Struct, frozen=True, kw_only=True):
    """The community's time went from `from_ms` to `to_ms`."""

    from_ms: int
    to_ms: int
    journal_seq: int


@get(
    "/v1/operator/clock",
    guards=[operator_only],
    **operation(
        "get_clock", "Show the server's clock and its witnesses", Tag.OPERATION, Access.OPERATOR
    ),
)
async def clock(backend: NamedDependency[Backend]) -> ClockView:
    """Return the server's clock, and what the kernel, the journal and the gateways say of it."""
    writer = backend.writer
    writer.look_at_clock()
    guard = writer.guard
    times = guard.gateway_times() if guard else {}
    return ClockView(
        time_ms=backend.clock.now_ms(),
        journal_ms=writer.community.at_ms,
        synchronised=guard.is_synchronised() if guard else None,
        doubt=guard.doubt.fault.value if guard and guard.doubt else "",
        detail=guard.doubt.detail if guard and guard.doubt else "",
        gateways=[
            GatewayTimeView(device=device_text(device), time_ms=time_ms)
            for device, time_ms in sorted(times.items())
        ],
    )


@post(
    "/v1/operator/clock",
    **OPERATOR_COMMAND,
    **operation(
        "confirm_clock",
        "Confirm the server's clock",
        Tag.OPERATION,
        Access.OPERATOR,
        {409: ["other_time"]},
    ),
)
async def confirm_clock(
    backend: NamedDependency[Backend], data: JSONBody[ClockCommand]
) -> ClockConfirmedView:
    """Confirm the server's clock; a community's time that is ahead of it is set back."""
    check_text("reason", data.reason)
    now_ms = backend.clock.now_ms()
    if abs(data.time_ms - now_ms) > _SEEN_MS:
        detail = f"time_ms: expected a time near to that of the server's clock, {now_ms}"
        raise Problem(
            status=409,
            title="The clock shows another time",
            detail=detail,
            reason="other_time",
            field="time_ms",
        )
    command = ClockCommand(time_ms=now_ms, reason=data.reason)
    (committed,) = await backend.writer.submit([clock_input(command)])
    result = committed.result
    assert isinstance(result, ClockConfirmed)
    return ClockConfirmedView(from_ms=result.from_ms, to_ms=result.to_ms, journal_seq=committed.seq)
