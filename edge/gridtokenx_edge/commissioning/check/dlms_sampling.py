"""Asks the meters of a DLMS line, then polls them as long as a check may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from gridtokenx_edge.commissioning.check.dlms_as_bus import as_bus, as_meter
from gridtokenx_edge.commissioning.check.dlms_visit import DlmsVisit, failed_visit, look_at_profile
from gridtokenx_edge.commissioning.check.line_exchanges import ExchangeOutcome
from gridtokenx_edge.commissioning.check.meter_session import DlmsSession
from gridtokenx_edge.commissioning.check.sampling import BusSamples, MeterSamples, Pace
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.dlms_secrets import SecretError
from gridtokenx_edge.dlms.meter_access import DlmsFiles
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.polling.faults import BusFault, LineDown, MeterGarbled, MeterSilent
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading

_PROFILE_HOURS = 24
# A line that takes no request tells nothing more.
_MOST_LOSSES = 3


class DlmsSamples(msgspec.Struct):
    """A line after its check: what each meter said at first, and the polls of those that did."""

    bus: BusSamples
    visits: list[DlmsVisit]


async def sample_dlms(
    bus: DlmsSerial | DlmsTcp,
    meters: Sequence[DlmsMeter],
    files: DlmsFiles,
    clock: Clock,
    pace: Pace,
    on_round: Callable[[], None],
) -> DlmsSamples:
    """Poll for the pace's duration. It never raises BusFault: what fails is told."""
    asking = DlmsSession(bus, meters, files, clock)
    sampled = DlmsSamples(BusSamples(bus=as_bus(bus), meters=[]), [])
    try:
        polled = []
        for meter, reader in zip(meters, asking.readers, strict=True):
            visit = await _visit(bus, meter, reader, clock)
            sampled.visits.append(visit)
            if visit.reading and isinstance(reader, DlmsReader):
                found = MeterSamples(
                    bus=bus.name, meter=as_meter(meter), profile=load_dlms(meter.profile)
                )
                sampled.bus.meters.append(found)
                polled.append((reader, found))
        asking.take()
        await _poll_all(asking, polled, pace, on_round)
    except LineDown as fault:
        sampled.bus.down = str(fault)
    finally:
        await asking.close()
    return sampled


async def _visit(
    bus: DlmsSerial | DlmsTcp, meter: DlmsMeter, reader: DlmsReader | SecretError, clock: Clock
) -> DlmsVisit:
    """Visit the meters of the line. Raises LineDown."""
    if isinstance(reader, SecretError):
        return failed_visit(bus, meter, reader)
    try:
        reading = await reader.poll()
        seen = await look_at_profile(reader, clock.now_ms(), _PROFILE_HOURS)
    except LineDown:
        raise
    except BusFault as error:
        return failed_visit(bus, meter, error)
    drift_ms = reader.clock_drift_ms
    return DlmsVisit(
        bus=bus.name,
        meter=meter,
        reading=reading,
        clock_drift_ms=drift_ms,
        says=meter.id,
        load_profile=seen,
    )


async def _poll_all(
    asking: DlmsSession,
    polled: Sequence[tuple[DlmsReader, MeterSamples]],
    pace: Pace,
    on_round: Callable[[], None],
) -> None:
    """Poll the meters in rounds. Raises LineDown if the line does not come back."""
    until_s = time.monotonic() + pace.duration_s
    losses = 0
    while polled and time.monotonic() < until_s:
        began_s = time.monotonic()
        for reader, found in polled:
            try:
                _keep(found, await _poll(asking, reader))
                losses = 0
            except LineDown:
                losses += 1
                if losses > _MOST_LOSSES:
                    raise
        on_round()
        await asyncio.sleep(max(0.0, began_s + pace.shortest_round_s - time.monotonic()))


class _PollOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one poll. `was_asked_twice` if the reader opened a new association for it."""

    result: ExchangeOutcome
    took_us: int
    reading: Reading | None = None
    was_asked_twice: bool = False


async def _poll(asking: DlmsSession, reader: DlmsReader) -> _PollOutcome:
    """Poll a meter once and return what came of it, as of one request. Raises LineDown."""
    reading: Reading | None = None
    result, openings = ExchangeOutcome.REFUSED, reader.association.openings
    try:
        reading = await reader.poll()
        result = ExchangeOutcome.ANSWERED
    except LineDown:
        asking.take()
        raise
    except MeterSilent:
        result = ExchangeOutcome.SILENT
    except MeterGarbled:
        result = ExchangeOutcome.NOISE
    except BusFault:
        pass
    return _PollOutcome(
        result=result,
        took_us=sum(asking.take()),
        reading=reading,
        was_asked_twice=reading is not None and reader.association.openings > openings,
    )


def _keep(found: MeterSamples, outcome: _PollOutcome) -> None:
    if outcome.was_asked_twice:
        found.statistics.count(ExchangeOutcome.SILENT, 0)
    found.statistics.count(outcome.result, outcome.took_us)
    if outcome.reading:
        found.keep(outcome.reading, outcome.took_us)
