"""One visit to DLMS meters for the installer: a reading, the clock, the objects, the profile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from gridtokenx_dlms.client import CURRENT_ASSOCIATION
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_edge.commissioning.check.pushed_meter import pushed_meters
from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.dlms_secrets import SecretError
from gridtokenx_edge.config.edge_config import EdgeConfig, Paths
from gridtokenx_edge.dlms.line import DlmsLine, line_baud
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.dlms.reader import DlmsReader, Told
from gridtokenx_edge.meters.load_profile import Capture
from gridtokenx_edge.polling.faults import BusFault, LineDown, MeterStrange
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import device_id, load_private_key
from gridtokenx_wire.reading import Reading

T = TypeVar("T")
_ASSOCIATION_CLASS, _OBJECT_LIST = 15, 2
_MS_AN_HOUR = 3_600_000
_ROWS_AT_ONCE_MS = 24 * _MS_AN_HOUR


class LoadProfileState(msgspec.Struct, frozen=True, kw_only=True):
    """What a load profile holds of the last hours: its rows, or why it is of no use."""

    hours: int
    period_ms: int = 0
    rows: tuple[Capture, ...] = ()
    error: str = ""


class DlmsExchange(msgspec.Struct, kw_only=True):
    """What was sent, and what came before the next was sent."""

    sent: bytes
    received: bytes = b""


class DlmsVisit(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking a meter: a reading and its clock's drift, or why there is none.

    `fault` is the name of what went wrong (`MeterSilent`), for a program. `says` is who the meter
    says it is. `load_profile` is left out if nobody asked for it. `told` are the values as the
    meter wrote them, and `exchanged` the bytes on the line, without those that hold a password.
    """

    bus: str
    meter: DlmsMeter
    reading: Reading | None = None
    clock_drift_ms: int | None = None
    error: str = ""
    fault: str = ""
    says: str = ""
    load_profile: LoadProfileState | None = None
    told: tuple[Told, ...] = ()
    exchanged: tuple[DlmsExchange, ...] = ()


class ListedObject(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """An object that a meter lets this client see."""

    obis: str
    class_id: int
    version: int


Asked = Callable[[DlmsReader], Awaitable[T]]


def dlms_files_of(paths: Paths) -> DlmsFiles:
    """Where secrets and counters are. Without a device's key, titles are derived without it."""
    try:
        seed = device_id(load_private_key(paths.key).public_key())
    except KeyFileError:
        seed = b""
    return DlmsFiles(folder=paths.folder, state=paths.outbox.parent, seed=seed)


async def visit_dlms(
    config: EdgeConfig, paths: Paths, chosen: Sequence[tuple[DlmsBus, Sequence[DlmsMeter]]]
) -> list[DlmsVisit]:
    """Read the chosen meters once, one after the other. Meters that push are not waited for."""
    clock = make_clock(config.clock)
    each = [(bus, meter) for bus, meters in chosen for meter in meters]
    visits = []
    for bus, meter in each:
        if isinstance(bus, DlmsPush):
            visits.append(await _pushed(bus, meter, config.status.port))
        else:
            visits.append(await _visit(bus, meter, paths, clock))
    return visits


async def _pushed(bus: DlmsPush, meter: DlmsMeter, port: int) -> DlmsVisit:
    """Say what the running agent has heard of a meter, as nobody else can hear it."""
    heard = (await asyncio.to_thread(pushed_meters, port)).get(meter.id)
    said = "sends by itself; the agent listens"
    if heard and (told := heard.text() or heard.error):
        said = f"{said}: {told}"
    ahead_ms = heard.clock_ahead_ms if heard else None
    return DlmsVisit(bus=bus.name, meter=meter, error=said, fault="Push", clock_drift_ms=ahead_ms)


async def _visit(
    bus: DlmsSerial | DlmsTcp, meter: DlmsMeter, paths: Paths, clock: Clock
) -> DlmsVisit:
    async def read(reader: DlmsReader) -> DlmsVisit:
        reading = await reader.poll()
        return DlmsVisit(
            bus=bus.name,
            meter=meter,
            reading=reading,
            clock_drift_ms=reader.clock_drift_ms,
            told=tuple(reader.told),
        )

    heard: list[DlmsExchange] = []

    def on_bytes(is_sending: bool, data: bytes) -> None:  # noqa: FBT001 (the line calls it)
        if is_sending:
            heard.append(DlmsExchange(sent=data))
        elif heard:
            heard[-1].received += data

    try:
        visit = await ask_meter(bus, meter, paths, clock, read, on_bytes)
    except (BusFault, SecretError) as error:
        visit = failed_visit(bus, meter, error)
    return msgspec.structs.replace(visit, exchanged=tuple(heard))


def failed_visit(bus: DlmsBus, meter: DlmsMeter, error: BusFault | SecretError) -> DlmsVisit:
    """Return a visit that says why there is no reading."""
    says = error.says if isinstance(error, MeterStrange) else ""
    return DlmsVisit(
        bus=bus.name, meter=meter, error=str(error), fault=type(error).__name__, says=says
    )


async def ask_meter(
    bus: DlmsSerial | DlmsTcp,
    meter: DlmsMeter,
    paths: Paths,
    clock: Clock,
    ask: Asked[T],
    on_bytes: Callable[[bool, bytes], None] | None = None,
) -> T:
    """Return what `ask` makes of a reader of this meter. Raises BusFault, SecretError."""
    access = access_of(meter, dlms_files_of(paths))
    line = DlmsLine(bus, line_baud(bus))
    line.on_bytes = on_bytes
    reader = DlmsReader(line, access, clock)
    try:
        return await ask(reader)
    finally:
        await reader.close()
        line.close()


async def list_objects(reader: DlmsReader) -> list[ListedObject]:
    """Return what the meter's association lists. Raises BusFault."""
    association = await reader.connected()
    listed = await association.ask(
        association.association.get(
            Attribute(_ASSOCIATION_CLASS, CURRENT_ASSOCIATION, _OBJECT_LIST)
        )
    )
    found = []
    for entry in listed.items():
        class_id, version, name, *_ = entry.items()
        octets = name.octets()
        if len(octets) != 6:
            raise MalformedError("expected a logical name of 6 bytes")
        found.append(
            ListedObject(
                obis=str(Obis.from_bytes(octets)),
                class_id=class_id.integer(),
                version=version.integer(),
            )
        )
    return sorted(found)


async def look_at_profile(reader: DlmsReader, now_ms: int, hours: int) -> LoadProfileState | None:
    """Return the last hours of the load profile, or None if the model has none.

    Raises LineDown.
    """
    if not reader.has_load_profile:
        return None
    try:
        columns = await reader.columns()
        if columns is None:
            return LoadProfileState(
                hours=hours, error="it does not capture the clock and the registers"
            )
        rows = await reader.captures(columns, now_ms - hours * _MS_AN_HOUR, now_ms)
    except LineDown:
        raise
    except BusFault as error:
        return LoadProfileState(hours=hours, error=str(error))
    return LoadProfileState(hours=hours, period_ms=columns.period_ms, rows=tuple(rows))


async def read_rows(reader: DlmsReader, first_ms: int, last_ms: int) -> list[Capture] | None:
    """Return the load profile's rows between two times, or None if it is of no use.

    Raises BusFault.
    """
    await reader.poll()  # it tells how the meter writes times
    columns = await reader.columns()
    if columns is None:
        return None
    rows: list[Capture] = []
    while first_ms <= last_ms:
        end_ms = min(last_ms, first_ms + _ROWS_AT_ONCE_MS - 1)
        rows += await reader.captures(columns, first_ms, end_ms)
        first_ms = end_ms + 1
    return rows
