"""What only the operator may see and do: devices, readings of a meter, the oracle's switch."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec
from litestar import get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, JSONBody

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.market import health_of
from gridtokenx_backend.api.paging import Limit
from gridtokenx_backend.api.problems import Problem, refused, respond_unreadable
from gridtokenx_backend.api.views import (
    DeviceView,
    HealthView,
    ReadingsView,
    ReadingView,
)
from gridtokenx_backend.api.zone_views import MarketView
from gridtokenx_backend.core.messages.inputs import (
    MarketCommand,
    OracleCommand,
    switch_market,
    switch_oracle,
)
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, MarketSwitched, OrderRefused
from gridtokenx_backend.core.model.registry import Device, Meter
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.journal.entry import Entry, decode_outcome
from gridtokenx_wire import cose
from gridtokenx_wire.frame import decode_frame
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.reading import ReadingFlag
from gridtokenx_wire.units import format_kwh
from gridtokenx_wire.verdict import Reason

_MAX_FRAMES_READ = 2_000


def operator_only(
    connection: ASGIConnection[object, object, object, State], _: BaseRouteHandler
) -> None:
    """The guard: `Authorization: Bearer <operator.token>`."""
    backend: Backend = connection.app.state.backend
    given = connection.headers.get("authorization", "")
    expected = f"Bearer {backend.operator_token}"
    if not hmac.compare_digest(given.encode(), expected.encode()):
        detail = "expected the header Authorization: Bearer with the operator's token"
        raise Problem(401, "Only the operator may do this", detail, "unauthorized")


@get("/v1/devices", guards=[operator_only])
async def devices(backend: NamedDependency[Backend]) -> list[DeviceView]:
    """All gateways: where their chains stand, and how good their readings were."""
    async with backend.writer.reading() as community:
        return [
            DeviceView(
                device_text(device.id),
                device.site,
                device.status,
                device.origin,
                device_text(device.former) if device.former else "",
                device.retire_ms,
                device.why,
                device.chain.hex(),
                device.next_seq,
                device.accepted,
                device.rejected,
                device.quarantined,
                device.thinned,
                device.quality_permille,
            )
            for device in community.devices.values()
        ]


@get("/v1/meters/{meter:str}/readings", guards=[operator_only])
async def readings(
    backend: NamedDependency[Backend], meter: FromPath[str], limit: Limit = 100
) -> ReadingsView:
    """A meter's newest readings with their verdicts, out of the frames as they were signed.

    The frames of a device are chained in the journal, so they are followed backwards, those of
    all devices that may speak for the meter together.
    """
    async with backend.writer.reading() as community:
        known = community.meters.get(meter)
        if known is None:
            raise Problem(404, "No such meter", "expected the id of a meter", "unknown_meter")
        heads = [device.last_entry for device in _speakers(community, known)]
    found: list[ReadingView] = []
    for _ in range(_MAX_FRAMES_READ):
        newest = max(heads, default=0)
        entry = await backend.journal.entry(newest) if newest else None
        if entry is None or len(found) >= limit:
            break
        found += _readings_in(entry, meter)
        heads[heads.index(newest)] = entry.previous
    return ReadingsView(meter, found[:limit])


def _speakers(community: Community, meter: Meter) -> list[Device]:
    """The devices whose frames may hold readings of a meter."""
    if meter.site:
        return [each for each in community.devices.values() if each.site == meter.site]
    line = community.devices[meter.device].line
    return [each for each in community.devices.values() if each.line == line]


def _readings_in(entry: Entry, meter: str) -> list[ReadingView]:
    """The readings of `meter` in a stored frame, newest first."""
    outcome = decode_outcome(entry.outcome)
    assert isinstance(outcome, FrameAccepted)
    refused = dict(outcome.verdicts)
    frame = decode_frame(cose.split(entry.input)[2])
    views = [
        ReadingView(
            reading.time_ms,
            format_kwh(reading.import_uwh),
            format_kwh(reading.export_uwh),
            None if reading.flags & ReadingFlag.NO_POWER else reading.power_w,
            Reason(refused.get(index, Reason.ACCEPTED)).label,
            entry.seq,
        )
        for index, reading in enumerate(frame.readings())
        if reading.meter == meter
    ]
    return views[::-1]


class _Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


_SWITCH: dict[str, Any] = {
    "status_code": 200,
    "guards": [operator_only],
    "exception_handlers": {  # what msgspec raises of a body, and Litestar does not expect
        UnicodeDecodeError: respond_unreadable,
        RecursionError: respond_unreadable,
    },
}


@post("/v1/oracle/pause", **_SWITCH)
async def pause_oracle(backend: NamedDependency[Backend], data: JSONBody[_Why]) -> HealthView:
    """Takes no more frames until resumed; the gateways keep theirs and send them again."""
    return await _switch(backend, data.reason, paused=True)


@post("/v1/oracle/resume", **_SWITCH)
async def resume_oracle(backend: NamedDependency[Backend], data: JSONBody[_Why]) -> HealthView:
    """Takes frames again."""
    return await _switch(backend, data.reason, paused=False)


@post("/v1/operator/market", **_SWITCH)
async def switch_trading(
    backend: NamedDependency[Backend], data: JSONBody[MarketCommand]
) -> MarketView:
    """Halts or resumes both markets of a zone (or of all), or makes them cancel-only."""
    _check_reason(data.reason)
    ((result, seq, _),) = await backend.writer.submit([switch_market(data)])
    if isinstance(result, OrderRefused):
        raise refused(result.reason, result.detail)
    assert isinstance(result, MarketSwitched)
    return MarketView(result.zones, result.status, seq)


def _check_reason(reason: str) -> None:
    if not 1 <= len(reason) <= 500:
        detail = "expected a reason of 1 to 500 characters"
        raise Problem(400, "A reason is needed", detail, "bad_request")


async def _switch(backend: Backend, reason: str, *, paused: bool) -> HealthView:
    _check_reason(reason)
    await backend.writer.submit([switch_oracle(OracleCommand(paused, reason))])
    return health_of(backend)
