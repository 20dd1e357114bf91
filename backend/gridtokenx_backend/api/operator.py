"""What only the operator may see and do: devices, readings, pausing the oracle, halting trade."""

from __future__ import annotations

from collections import Counter

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.market import health_of
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.paging import Limit
from gridtokenx_backend.api.problems import INSTRUCTION_REFUSALS, Problem, refused
from gridtokenx_backend.api.reading_views import ReadingsView, ReadingView, RefusedFrameView
from gridtokenx_backend.api.route_options import OPERATOR_COMMAND
from gridtokenx_backend.api.texts import check_text
from gridtokenx_backend.api.views import (
    DeviceView,
    HealthView,
    standing_of,
)
from gridtokenx_backend.api.zone_views import MarketView
from gridtokenx_backend.core.messages.inputs import (
    MarketCommand,
    OracleCommand,
    market_input,
    oracle_input,
)
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, MarketSwitched, OrderRefused
from gridtokenx_backend.core.messages.refused_frames import parse_refused_frame
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


@get(
    "/v1/devices",
    guards=[operator_only],
    **operation("list_devices", "List gateways", Tag.OPERATION, Access.OPERATOR),
)
async def devices(backend: NamedDependency[Backend]) -> list[DeviceView]:
    """Return all gateways, where their chains of frames end, and how good their readings were."""
    async with backend.writer.durable_state() as community:
        return [
            DeviceView(
                device=device_text(device.id),
                site=device.site,
                status=standing_of(device),
                origin=device.origin,
                follows=device_text(device.former) if device.former else "",
                retire_ms=device.retire_ms,
                why=device.why or device.held,
                chain=device.chain.hex(),
                next_seq=device.next_seq,
                readings_accepted=device.accepted,
                readings_rejected=device.rejected,
                readings_quarantined=device.quarantined,
                readings_thinned=device.thinned,
                quality_permille=device.quality_permille,
                last_heard_ms=backend.mqtt_intake.last_heard_ms(device),
            )
            for device in community.devices.values()
        ]


@get(
    "/v1/meters/{meter:str}/readings",
    guards=[operator_only],
    **operation(
        "list_readings",
        "List the newest readings of a meter",
        Tag.ENERGY,
        Access.OPERATOR,
        {404: ["unknown_meter"]},
    ),
)
async def readings(
    backend: NamedDependency[Backend], meter: FromPath[str], limit: Limit = 100
) -> ReadingsView:
    """Return a meter's newest readings with their verdicts, out of the frames as they were signed.

    Each entry of a frame names the device's entry before it. These chains are followed backwards,
    for all devices together that may send readings of the meter. A large frame of which every
    reading was refused is kept by its hash, and listed in `refused_frames`.
    """
    async with backend.writer.durable_state() as community:
        known = community.meters.get(meter)
        if known is None:
            raise Problem(
                status=404,
                title="No such meter",
                detail="expected the id of a meter",
                reason="unknown_meter",
            )
        heads = [device.last_entry for device in _senders(community, known)]
    found: list[ReadingView] = []
    refused_frames: list[RefusedFrameView] = []
    for _ in range(_MAX_FRAMES_READ):
        newest = max(heads, default=0)
        entry = await backend.journal.entry(newest) if newest else None
        if entry is None or max(len(found), len(refused_frames)) >= limit:
            break
        if entry.kind == "refused":
            refused_frames.append(_refused_frame_in(entry))
        else:
            found += _readings_in(entry, meter)
        heads[heads.index(newest)] = entry.previous
    return ReadingsView(meter=meter, readings=found[:limit], refused_frames=refused_frames)


def _senders(community: Community, meter: Meter) -> list[Device]:
    """Return the devices whose frames may hold readings of a meter."""
    if meter.site:
        return [each for each in community.devices.values() if each.site == meter.site]
    line = community.devices[meter.device].line
    return [each for each in community.devices.values() if each.line == line]


def _readings_in(entry: Entry, meter: str) -> list[ReadingView]:
    """Return the readings of `meter` in a stored frame, newest first."""
    outcome = decode_outcome(entry.outcome)
    assert isinstance(outcome, FrameAccepted)
    refused = dict(outcome.verdicts)
    frame = decode_frame(cose.split(entry.input)[2])
    views = [
        ReadingView(
            time_ms=reading.time_ms,
            import_kwh=format_kwh(reading.import_uwh),
            export_kwh=format_kwh(reading.export_uwh),
            power_w=None if reading.flags & ReadingFlag.NO_POWER else reading.power_w,
            verdict=Reason(refused.get(index, Reason.ACCEPTED)).label,
            journal_seq=entry.seq,
        )
        for index, reading in enumerate(frame.readings())
        if reading.meter == meter
    ]
    return views[::-1]


def _refused_frame_in(entry: Entry) -> RefusedFrameView:
    frame = parse_refused_frame(entry.input).frame
    verdicts: Counter[str] = Counter()
    for reason, count in frame.verdicts:
        verdicts[Reason(reason).label] += count
    return RefusedFrameView(
        journal_seq=entry.seq,
        device=device_text(frame.device),
        readings=frame.readings,
        verdicts=dict(verdicts),
        sha256=frame.frame_hash.hex(),
    )


class WhyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the oracle is paused or resumed."""

    reason: str


@post(
    "/v1/oracle/pause",
    **OPERATOR_COMMAND,
    **operation("pause_oracle", "Take no more readings", Tag.OPERATION, Access.OPERATOR),
)
async def pause_oracle(backend: NamedDependency[Backend], data: JSONBody[WhyBody]) -> HealthView:
    """Take no more frames until resumed; the gateways keep theirs and send them again."""
    return await _switch(backend, data.reason, paused=True)


@post(
    "/v1/oracle/resume",
    **OPERATOR_COMMAND,
    **operation("resume_oracle", "Take readings again", Tag.OPERATION, Access.OPERATOR),
)
async def resume_oracle(backend: NamedDependency[Backend], data: JSONBody[WhyBody]) -> HealthView:
    """Take frames again."""
    return await _switch(backend, data.reason, paused=False)


@post(
    "/v1/operator/market",
    **OPERATOR_COMMAND,
    **operation(
        "switch_market",
        "Halt or resume trading",
        Tag.OPERATION,
        Access.OPERATOR,
        INSTRUCTION_REFUSALS,
    ),
)
async def switch_trading(
    backend: NamedDependency[Backend], data: JSONBody[MarketCommand]
) -> MarketView:
    """Halt or resume both markets of a zone (or of all), or make them cancel-only."""
    check_text("reason", data.reason)
    (committed,) = await backend.writer.submit([market_input(data)])
    result, seq = committed.result, committed.seq
    if isinstance(result, OrderRefused):
        raise refused(result.reason, result.detail)
    assert isinstance(result, MarketSwitched)
    return MarketView(zones=result.zones, status=result.status, journal_seq=seq)


async def _switch(backend: Backend, reason: str, *, paused: bool) -> HealthView:
    check_text("reason", reason)
    await backend.writer.submit([oracle_input(OracleCommand(paused, reason))])
    return health_of(backend)
