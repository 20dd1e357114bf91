"""Interface classes of a server: each attribute, rights, and selections of a profile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gridtokenx_dlms import axdr, data
from gridtokenx_dlms.data import Data, DataType
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.clock import CLOCK, ClockObject
from gridtokenx_dlms.objects.cosem_object import CosemObject
from gridtokenx_dlms.objects.device import ObjectModel
from gridtokenx_dlms.objects.directory import AssociationLn, SapAssignment, SecuritySetup
from gridtokenx_dlms.objects.profile_generic import (
    CLOCK_COLUMN,
    LOAD_PROFILE,
    ProfileGeneric,
    Row,
    clock_value,
)
from gridtokenx_dlms.objects.registers import (
    UNIT_WH,
    DataObject,
    ExtendedRegister,
    Register,
    scaler_unit,
)
from gridtokenx_dlms.objects.selection import CaptureObject, by_entry, by_range, by_time
from gridtokenx_dlms.security import Protection
from gridtokenx_dlms.xdlms.attribute import AccessResult, Attribute, Selection

NOW_MS = 1_782_000_000_000  # 2026-06-21T00:00:00Z, a Sunday
QUARTER_MS = 900_000
IMPORT, SERIAL, MAXIMUM = Obis(1, 0, 1, 8, 0), Obis(0, 0, 96, 1, 0), Obis(1, 0, 1, 6, 0)
IMPORT_COLUMN = CaptureObject(class_id=3, obis=IMPORT, attribute=2)
CAPTURED = CosemDateTime.from_unix_ms(NOW_MS, -60)
NOW = data.octet_string(bytes.fromhex("07EA0615 07 01000000 FFC4 00"))
NEVER = data.octet_string(bytes.fromhex("FFFF FFFF FF FFFFFFFF 8000 FF"))
ROWS = [
    Row(
        NOW_MS + n * QUARTER_MS,
        (clock_value(NOW_MS + n * QUARTER_MS, -60), data.double_long_unsigned(100 + n)),
    )
    for n in range(1, 7)
]
DENIED, UNDEFINED = AccessResult.READ_WRITE_DENIED, AccessResult.OBJECT_UNDEFINED


def rows(first_ms: int, last_ms: int) -> list[Row]:
    return [row for row in ROWS if first_ms <= row.time_ms <= last_ms]


class Time:
    """A clock that may be moved."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def move_ms(self, by_ms: int) -> None:
        self.ms += by_ms


def objects(time: Time) -> list[CosemObject]:
    return [
        DataObject(SERIAL, lambda: data.octet_string(b"1234")),
        Register(IMPORT, lambda: data.double_long_unsigned(7), -1, UNIT_WH),
        ExtendedRegister(MAXIMUM, lambda: data.unsigned(9), 0, 27, lambda: CAPTURED),
        ClockObject(time.now_ms, time.move_ms, -60),
        ProfileGeneric(LOAD_PROFILE, [CLOCK_COLUMN, IMPORT_COLUMN], 900, 96, rows, -60),
        SapAssignment({1: b"SIM1234", 2: b"SIMGAS"}),
        SecuritySetup(Protection.AUTHENTICATED, b"client__", b"server__"),
    ]


def device(time: Time | None = None, *, may_write: bool = True) -> ObjectModel:
    model = ObjectModel(objects(time or Time()), may_write=may_write)
    model.add(AssociationLn(model.objects, 16, 1, 5, 3, 512, may_write=may_write))
    return model


def get(
    class_id: int, obis: Obis, number: int, selection: Selection | None = None
) -> Data | AccessResult:
    found = device().get(16, Attribute(class_id, obis, number), selection)
    if isinstance(found, Data):
        assert axdr.decode(data.encode(found)) == found, "as it comes over the line"
    return found


VALUES: list[tuple[int, Obis, int, Any]] = [
    (1, SERIAL, 1, data.octet_string(bytes.fromhex("0000600100FF"))),
    (1, SERIAL, 2, data.octet_string(b"1234")),
    (1, SERIAL, 3, UNDEFINED),
    (3, IMPORT, 1, data.octet_string(bytes.fromhex("0100010800FF"))),
    (3, IMPORT, 2, data.double_long_unsigned(7)),
    (3, IMPORT, 3, data.structure(data.integer(-1), data.enum(30))),
    (3, IMPORT, 4, UNDEFINED),
    (3, IMPORT, 0, UNDEFINED),
    (3, IMPORT, -1, UNDEFINED),
    (4, MAXIMUM, 2, data.unsigned(9)),
    (4, MAXIMUM, 3, scaler_unit(0, 27)),
    (4, MAXIMUM, 4, data.unsigned(0)),
    (4, MAXIMUM, 5, NOW),
    (4, MAXIMUM, 6, UNDEFINED),
    (8, CLOCK, 2, NOW),
    (8, CLOCK, 3, data.long(-60)),
    (8, CLOCK, 4, data.unsigned(0)),
    (8, CLOCK, 5, NEVER),
    (8, CLOCK, 6, NEVER),
    (8, CLOCK, 7, data.integer(0)),
    (8, CLOCK, 8, data.boolean(False)),
    (8, CLOCK, 9, data.enum(1)),
    (8, CLOCK, 10, UNDEFINED),
    (7, LOAD_PROFILE, 3, data.array([CLOCK_COLUMN.to_data(), IMPORT_COLUMN.to_data()])),
    (7, LOAD_PROFILE, 4, data.double_long_unsigned(900)),
    (7, LOAD_PROFILE, 5, data.enum(1)),
    (7, LOAD_PROFILE, 6, CLOCK_COLUMN.to_data()),
    (7, LOAD_PROFILE, 7, data.double_long_unsigned(6)),
    (7, LOAD_PROFILE, 8, data.double_long_unsigned(96)),
    (7, LOAD_PROFILE, 9, UNDEFINED),
    (17, Obis(0, 0, 41, 0, 0), 2, data.array(
        data.structure(data.long_unsigned(sap), data.octet_string(name))
        for sap, name in ((1, b"SIM1234"), (2, b"SIMGAS"))
    )),
    (17, Obis(0, 0, 41, 0, 0), 3, UNDEFINED),
    (64, Obis(0, 0, 43, 0, 0), 2, data.enum(1)),
    (64, Obis(0, 0, 43, 0, 0), 3, data.enum(0)),
    (64, Obis(0, 0, 43, 0, 0), 4, data.octet_string(b"client__")),
    (64, Obis(0, 0, 43, 0, 0), 5, data.octet_string(b"server__")),
    (64, Obis(0, 0, 43, 0, 0), 6, UNDEFINED),
    (15, Obis(0, 0, 40, 0, 0), 3, data.structure(data.integer(16), data.long_unsigned(1))),
    (15, Obis(0, 0, 40, 0, 0), 4, data.octet_string(bytes.fromhex("60857405080103"))),
    (15, Obis(0, 0, 40, 0, 0), 6, data.octet_string(bytes.fromhex("60857405080205"))),
    (15, Obis(0, 0, 40, 0, 0), 7, DENIED),
    (15, Obis(0, 0, 40, 0, 0), 8, data.enum(2)),
    (15, Obis(0, 0, 40, 0, 0), 9, data.octet_string(bytes.fromhex("00002B0000FF"))),
    (15, Obis(0, 0, 40, 0, 0), 10, UNDEFINED),
    (3, SERIAL, 2, AccessResult.OBJECT_CLASS_INCONSISTENT),
    (3, Obis(1, 0, 9, 8, 0), 2, UNDEFINED),
]  # fmt: skip


@pytest.mark.parametrize(("class_id", "obis", "number", "expected"), VALUES)
def test_each_attribute_has_its_value(
    class_id: int, obis: Obis, number: int, expected: Data | AccessResult
) -> None:
    assert get(class_id, obis, number) == expected


@pytest.mark.parametrize("may_write", [False, True])
def test_the_object_list_tells_every_object_with_its_rights(may_write: bool) -> None:
    model = device(may_write=may_write)
    listed = model.get(16, Attribute(15, Obis(0, 0, 40, 0, 0), 2), None)
    assert isinstance(listed, Data)
    found = {}
    for entry in listed.items():
        class_id, version, name, rights = entry.items()
        attributes, methods = rights.items()
        modes = [item.items()[1].integer() for item in attributes.items()]
        calls = [item.items()[1].integer() for item in methods.items()]
        key = class_id.integer(), str(Obis.from_bytes(name.octets()))
        found[key] = version.integer(), modes, calls
    write, call = (3, 1) if may_write else (1, 0)
    assert found == {
        (1, "0-0:96.1.0.255"): (0, [1] * 2, []),
        (3, "1-0:1.8.0.255"): (0, [1] * 3, []),
        (4, "1-0:1.6.0.255"): (0, [1] * 5, []),
        (7, "1-0:99.1.0.255"): (1, [1] * 8, [0, 0]),
        (8, "0-0:1.0.0.255"): (0, [1, write, *[1] * 7], [0, 0, 0, 0, 0, call]),
        (15, "0-0:40.0.0.255"): (1, [1] * 9, []),
        (17, "0-0:41.0.0.255"): (0, [1] * 2, []),
        (64, "0-0:43.0.0.255"): (0, [1] * 5, []),
    }


TIME = Attribute(8, CLOCK, 2)
SHIFT = Attribute(8, CLOCK, 6)
WRITES: list[tuple[Attribute, Data, AccessResult, int]] = [
    (TIME, data.octet_string(CosemDateTime.from_unix_ms(NOW_MS + 5000).to_bytes()),
     AccessResult.SUCCESS, 5000),
    (TIME, Data(DataType.DATE_TIME, CosemDateTime.from_unix_ms(NOW_MS - 5000, 420)),
     AccessResult.SUCCESS, -5000),
    (TIME, data.octet_string(bytes.fromhex("07EA0615 FF 01000000 8000 FF")),  # local time
     AccessResult.SUCCESS, 0),
    (TIME, NEVER, AccessResult.TYPE_UNMATCHED, 0),
    (TIME, data.octet_string(b"noon"), AccessResult.TYPE_UNMATCHED, 0),
    (TIME, data.unsigned(1), AccessResult.TYPE_UNMATCHED, 0),
    (TIME, data.octet_string(bytes.fromhex("270F0C1F FF 173B3B00 0348 00")),  # the year 9999
     AccessResult.SCOPE_OF_ACCESS_VIOLATED, 0),
    (TIME, data.octet_string(bytes.fromhex("00010101 FF 00000000 FCB8 00")),
     AccessResult.SCOPE_OF_ACCESS_VIOLATED, 0),
    (msgspec.structs.replace(TIME, number=3), data.long(0), DENIED, 0),
    (Attribute(3, IMPORT, 2), data.unsigned(0), DENIED, 0),
    (Attribute(3, Obis(1, 0, 9, 8, 0), 2), data.unsigned(0), UNDEFINED, 0),
]  # fmt: skip
CALLS: list[tuple[Attribute, Data | None, AccessResult, int]] = [
    (SHIFT, data.long(-60), AccessResult.SUCCESS, -60_000),
    (SHIFT, data.long(901), AccessResult.SCOPE_OF_ACCESS_VIOLATED, 0),
    (SHIFT, data.octet_string(b""), AccessResult.TYPE_UNMATCHED, 0),
    (SHIFT, None, AccessResult.TYPE_UNMATCHED, 0),
    (msgspec.structs.replace(SHIFT, number=1), data.integer(0), DENIED, 0),
    (Attribute(3, IMPORT, 1), data.integer(0), DENIED, 0),
    (Attribute(3, Obis(1, 0, 9, 8, 0), 1), None, UNDEFINED, 0),
]


@pytest.mark.parametrize(("attribute", "value", "result", "moved_ms"), WRITES)
def test_only_the_clock_is_set_and_only_to_a_moment(
    attribute: Attribute, value: Data, result: AccessResult, moved_ms: int
) -> None:
    time = Time()
    assert device(time).set(1, attribute, value) is result
    assert time.ms == NOW_MS + moved_ms


@pytest.mark.parametrize(("method", "parameters", "result", "moved_ms"), CALLS)
def test_only_the_clock_is_shifted_and_only_a_little(
    method: Attribute, parameters: Data | None, result: AccessResult, moved_ms: int
) -> None:
    time = Time()
    assert device(time).act(1, method, parameters) == (result, None)
    assert time.ms == NOW_MS + moved_ms


@pytest.mark.parametrize("may_write", [False, True])
def test_a_profile_captures_a_row_for_whoever_may_ask_so(may_write: bool) -> None:
    captured: list[str] = []
    columns = [CLOCK_COLUMN, IMPORT_COLUMN]
    model = ObjectModel(
        [
            ProfileGeneric(
                LOAD_PROFILE, columns, 0, 96, rows, capture=lambda: captured.append("row")
            )
        ],
        may_write=may_write,
    )
    reset, capture = (Attribute(7, LOAD_PROFILE, number) for number in (1, 2))
    expected = AccessResult.SUCCESS if may_write else DENIED
    assert model.act(1, capture, data.integer(0)) == (expected, None)
    assert captured == ["row"] * may_write
    assert model.act(1, reset, data.integer(0)) == (DENIED, None)
    assert device().act(1, capture, data.integer(0)) == (DENIED, None), "a profile that only tells"


def test_who_may_only_read_changes_nothing() -> None:
    time = Time()
    model = device(time, may_write=False)
    assert model.set(1, TIME, WRITES[0][1]) is DENIED
    assert model.act(1, SHIFT, data.long(1)) == (DENIED, None)
    assert time.ms == NOW_MS


# --- selections ---------------------------------------------------------------------------------


def at(quarter: int, zone_min: int = -60) -> CosemDateTime:
    return CosemDateTime.from_unix_ms(NOW_MS + quarter * QUARTER_MS, zone_min)


def table(*numbers: int, columns: tuple[int, ...] = (0, 1)) -> Data:
    return data.array(
        data.structure(*(ROWS[number - 1].values[column] for column in columns))
        for number in numbers
    )


def undated(moment: CosemDateTime) -> Data:
    """As a client writes it that does not know the meter's zone."""
    unspecified = msgspec.structs.replace(moment, deviation_min=-0x8000)
    return data.octet_string(unspecified.to_bytes())


WRONG_COLUMN = CaptureObject(class_id=3, obis=MAXIMUM, attribute=2)
SELECTIONS: list[tuple[Selection | None, Data | AccessResult]] = [
    (None, table(1, 2, 3, 4, 5, 6)),
    (by_time(CLOCK_COLUMN, at(2), at(4)), table(2, 3, 4)),
    (by_time(CLOCK_COLUMN, at(2, 0), at(4, 420)), table(2, 3, 4)),
    (by_range(CLOCK_COLUMN, undated(at(2)), undated(at(3))), table(2, 3)),
    (by_range(CLOCK_COLUMN, *(Data(DataType.DATE_TIME, at(n)) for n in (5, 6))), table(5, 6)),
    (by_time(CLOCK_COLUMN, at(4), at(2)), table()),
    (by_time(CLOCK_COLUMN, at(90), at(99)), table()),
    (by_time(CLOCK_COLUMN, at(1), at(2), [IMPORT_COLUMN]), table(1, 2, columns=(1,))),
    (by_time(CLOCK_COLUMN, at(1), at(1), [IMPORT_COLUMN, CLOCK_COLUMN]), table(1, columns=(1, 0))),
    (by_time(CLOCK_COLUMN, at(1), at(2), [WRONG_COLUMN]), UNDEFINED),
    (by_time(IMPORT_COLUMN, at(1), at(2)), AccessResult.SCOPE_OF_ACCESS_VIOLATED),
    (by_range(CLOCK_COLUMN, data.unsigned(1), data.unsigned(2)), AccessResult.TYPE_UNMATCHED),
    (by_range(CLOCK_COLUMN, NEVER, NEVER), AccessResult.TYPE_UNMATCHED),
    (by_entry(1), table(1, 2, 3, 4, 5, 6)),
    (by_entry(2, 3), table(2, 3)),
    (by_entry(6, 99), table(6)),
    (by_entry(7, 9), table()),
    (by_entry(3, 2), table()),
    (by_entry(2, 2, 2, 2), table(2, columns=(1,))),
    (by_entry(2, 2, 1, 1), table(2, columns=(0,))),
    (by_entry(0, 2), AccessResult.SCOPE_OF_ACCESS_VIOLATED),
    (by_entry(1, 2, 3, 3), AccessResult.SCOPE_OF_ACCESS_VIOLATED),
    (by_entry(1, 2, 2, 1), AccessResult.SCOPE_OF_ACCESS_VIOLATED),
    (Selection(2, data.structure(*map(data.integer, (1, -1, 1, 0)))),
     AccessResult.SCOPE_OF_ACCESS_VIOLATED),
    (Selection(2, data.structure(*map(data.long64_unsigned, (1, 2**64 - 1, 1, 0)))),
     table(1, 2, 3, 4, 5, 6)),
    (Selection(3, by_entry(1).parameters), AccessResult.TYPE_UNMATCHED),
    (Selection(1, data.NULL), AccessResult.TYPE_UNMATCHED),
    (Selection(2, data.structure(data.unsigned(1))), AccessResult.TYPE_UNMATCHED),
    (Selection(1, by_entry(1).parameters), AccessResult.TYPE_UNMATCHED),
]  # fmt: skip


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
def test_a_profile_is_selected_from(
    selection: Selection | None, expected: Data | AccessResult
) -> None:
    assert get(7, LOAD_PROFILE, 2, selection) == expected
