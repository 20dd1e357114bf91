"""The COSEM objects of a simulated meter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gridtokenx_dlms import data
from gridtokenx_dlms.acse import ContextName, Mechanism
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.clock import ClockObject
from gridtokenx_dlms.objects.cosem_object import CosemObject
from gridtokenx_dlms.objects.device import ObjectModel
from gridtokenx_dlms.objects.directory import (
    LOGICAL_DEVICE_NAME,
    AssociationLn,
    SapAssignment,
    SecuritySetup,
)
from gridtokenx_dlms.objects.profile_generic import (
    CLOCK_COLUMN,
    LOAD_PROFILE,
    ProfileGeneric,
    Row,
)
from gridtokenx_dlms.objects.registers import (
    UNIT_A,
    UNIT_HZ,
    UNIT_V,
    UNIT_W,
    UNIT_WH,
    DataObject,
    Register,
)
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_dlms.security import Protection
from gridtokenx_sim.dlms.load_profile import PERIOD_S
from gridtokenx_sim.models.snapshot import Snapshot

SERIAL_NUMBER = Obis(0, 0, 96, 1, 0)
IMPORT, EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
IMPORT_POWER, EXPORT_POWER, NET_POWER = (Obis(1, 0, c, 7, 0) for c in (1, 2, 16))
FREQUENCY = Obis(1, 0, 14, 7, 0)
VOLTAGES = tuple(Obis(1, 0, c, 7, 0) for c in (32, 52, 72))
CURRENTS = tuple(Obis(1, 0, c, 7, 0) for c in (31, 51, 71))
PROFILE_STATUS = Obis(0, 0, 96, 10, 1)
_UWH_PER_WH = 10**6
LOGICAL_DEVICE = 1


def invocation_counter(place: int) -> Obis:
    """Return where the newest counter of the `place`-th client with keys is told."""
    return Obis(0, 0, 43, 1, place)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The source of the objects' values at the moment when a client asks."""

    snapshot: Callable[[], Snapshot]
    clock_ms: Callable[[], int]
    move_clock_ms: Callable[[int], None]
    rows: Callable[[int, int], list[Row]]
    counters: tuple[Callable[[], int], ...]
    name: bytes
    serial: str
    zone_min: int
    phases: int
    has_export: bool
    profile_rows: int


def identity_objects(source: Source) -> Iterator[CosemObject]:
    """Yield what even a client without security reads."""
    yield DataObject(LOGICAL_DEVICE_NAME, lambda: data.octet_string(source.name))
    yield SapAssignment({LOGICAL_DEVICE: source.name})
    yield ClockObject(source.clock_ms, source.move_clock_ms, source.zone_min)
    for place, counter in enumerate(source.counters):
        yield DataObject(invocation_counter(place), _long(counter))


def all_objects(source: Source) -> Iterator[CosemObject]:
    """Yield everything that the meter measures as well."""
    yield from identity_objects(source)
    yield DataObject(SERIAL_NUMBER, lambda: data.octet_string(source.serial.encode()))
    yield from _energy(source)
    yield from _power(source)
    yield from _grid(source)
    yield _profile(source)


def _long(value: Callable[[], int]) -> Callable[[], Data]:
    return lambda: data.double_long_unsigned(value())


def _energy(source: Source) -> Iterator[CosemObject]:
    def imported() -> int:
        return (source.snapshot().import_uwh or 0) // _UWH_PER_WH

    def exported() -> int:
        return (source.snapshot().export_uwh or 0) // _UWH_PER_WH

    yield Register(IMPORT, _long(imported), 0, UNIT_WH)
    if source.has_export:
        yield Register(EXPORT, _long(exported), 0, UNIT_WH)


def _power(source: Source) -> Iterator[CosemObject]:
    def watts() -> int:
        return round((source.snapshot().power_mw or 0) / 1000)

    yield Register(IMPORT_POWER, _long(lambda: max(0, watts())), 0, UNIT_W)
    if source.has_export:
        yield Register(EXPORT_POWER, _long(lambda: max(0, -watts())), 0, UNIT_W)
    yield Register(NET_POWER, lambda: data.double_long(watts()), 0, UNIT_W)


def _grid(source: Source) -> Iterator[CosemObject]:
    for phase in range(source.phases):
        yield Register(VOLTAGES[phase], _voltage(source, phase), -1, UNIT_V)
        yield Register(CURRENTS[phase], _current(source, phase), -2, UNIT_A)
    yield Register(
        FREQUENCY,
        lambda: data.long_unsigned(round(source.snapshot().frequency_mhz / 10)),
        -2,
        UNIT_HZ,
    )


def _voltage(source: Source, phase: int) -> Callable[[], Data]:
    return lambda: data.long_unsigned(round(source.snapshot().voltage_mv[phase] / 100))


def _current(source: Source, phase: int) -> Callable[[], Data]:
    return lambda: data.double_long_unsigned(round(source.snapshot().current_ma[phase] / 10))


def _profile(source: Source) -> ProfileGeneric:
    columns = [
        CLOCK_COLUMN,
        CaptureObject(class_id=1, obis=PROFILE_STATUS, attribute=2),
        CaptureObject(class_id=3, obis=IMPORT, attribute=2),
    ]
    if source.has_export:
        columns.append(CaptureObject(class_id=3, obis=EXPORT, attribute=2))
    return ProfileGeneric(
        LOAD_PROFILE, columns, PERIOD_S, source.profile_rows, source.rows, source.zone_min
    )


class ClientView(msgspec.Struct, frozen=True, kw_only=True):
    """The logical device as one client sees it."""

    address: int
    mechanism: Mechanism
    protection: Protection
    reads_all: bool
    may_write: bool
    max_pdu_bytes: int
    title: bytes


def logical_device(source: Source, view: ClientView) -> ObjectModel:
    """Return the objects that this client reaches, with its association and security among them."""
    objects = all_objects(source) if view.reads_all else identity_objects(source)
    model = ObjectModel(objects, may_write=view.may_write)
    if view.reads_all:
        model.add(SecuritySetup(view.protection, b"", view.title))
    is_ciphered = view.protection is not Protection.NONE
    context = ContextName.LOGICAL_NAMES_CIPHERED if is_ciphered else ContextName.LOGICAL_NAMES
    model.add(
        AssociationLn(
            model.objects,
            view.address,
            LOGICAL_DEVICE,
            view.mechanism,
            context,
            view.max_pdu_bytes,
            may_write=view.may_write,
        )
    )
    return model
