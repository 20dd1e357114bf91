"""What DLMS values mean: scalers, names, clocks with their quirks, rows of a load profile."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.edge.dlms.dlms_meter import EXPORT, IMPORT, STATUS

from gridtokenx_dlms import data
from gridtokenx_dlms.date_time import UNSPECIFIED_DEVIATION, CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.objects.profile_generic import CLOCK_COLUMN
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.meters.dlms_time import MeterZone
from gridtokenx_edge.meters.dlms_values import (
    UNIT_W,
    UNIT_WH,
    ScalerUnit,
    energy_uwh,
    name_text,
    power_w,
)
from gridtokenx_edge.meters.load_profile import Capture, RowReader, find_columns

PROFILE = load_dlms("iskraemeco_am550")
COLUMNS = (
    CLOCK_COLUMN,
    CaptureObject(class_id=1, obis=STATUS, attribute=2),
    CaptureObject(class_id=3, obis=IMPORT, attribute=2),
    CaptureObject(class_id=3, obis=EXPORT, attribute=2),
)
SCALES = {
    PROFILE.energy_import: ScalerUnit(scaler=0, unit=UNIT_WH),
    PROFILE.energy_export: ScalerUnit(scaler=0, unit=UNIT_WH),
}


@pytest.mark.parametrize(
    ("raw", "scaler", "expected"),
    [
        (data.double_long_unsigned(1234), 0, 1234 * 10**6),
        (data.double_long_unsigned(1234), 3, 1234 * 10**9),
        (data.long64_unsigned(1234), -3, 1234 * 10**3),
        (data.double_long_unsigned(1234), -6, 1234),
        (data.NULL, 0, None),
        (data.long64_unsigned(2**63), 3, None),
        (data.double_long(-1), 0, None),
    ],
)
def test_energies_are_scaled_exactly(raw: data.Data, scaler: int, expected: int | None) -> None:
    assert energy_uwh(raw, ScalerUnit(scaler=scaler, unit=UNIT_WH)) == expected


@pytest.mark.parametrize(
    ("raw", "scale"),
    [
        (data.double_long_unsigned(1), ScalerUnit(scaler=0, unit=UNIT_W)),
        (data.double_long_unsigned(1), ScalerUnit(scaler=-7, unit=UNIT_WH)),
        (data.octet_string(b"1"), ScalerUnit(scaler=0, unit=UNIT_WH)),
    ],
)
def test_what_is_no_energy_is_refused(raw: data.Data, scale: ScalerUnit) -> None:
    with pytest.raises(MalformedError):
        energy_uwh(raw, scale)


def test_powers_are_rounded_to_the_watt() -> None:
    assert power_w(data.double_long(-1235), ScalerUnit(scaler=-1, unit=UNIT_W)) == -124
    assert power_w(data.double_long(2), ScalerUnit(scaler=3, unit=UNIT_W)) == 2000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (data.octet_string(b"LGZ1030655933512"), "LGZ1030655933512"),
        (data.octet_string(b"40012345\0\0"), "40012345"),
        (data.octet_string(b"KAM\x01\x02\xff"), "KAM0102FF"),
        (data.visible_string(" 6841131 "), "6841131"),
        (data.double_long_unsigned(77), "77"),
        (data.NULL, ""),
    ],
)
def test_names_become_text(value: data.Data, text: str) -> None:
    assert name_text(value) == text


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return round(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


VIENNA = MeterZone(zone="Europe/Vienna")


@pytest.mark.parametrize(
    ("zone", "moment", "expected_ms"),
    [
        pytest.param(
            MeterZone(),
            CosemDateTime(
                year=2026,
                month=7,
                day=1,
                weekday=3,
                hour=14,
                minute=0,
                second=0,
                hundredths=0,
                deviation_min=-120,
                status=0,
            ),
            at(2026, 7, 1, 12),
            id="book",
        ),
        pytest.param(
            MeterZone(is_reversed=True),
            CosemDateTime(
                year=2026,
                month=7,
                day=1,
                weekday=3,
                hour=14,
                minute=0,
                second=0,
                hundredths=0,
                deviation_min=120,
                status=0,
            ),
            at(2026, 7, 1, 12),
            id="reversed",
        ),
        pytest.param(
            MeterZone(),
            CosemDateTime(
                year=2026,
                month=7,
                day=1,
                weekday=3,
                hour=14,
                minute=0,
                second=0,
                hundredths=0,
                deviation_min=UNSPECIFIED_DEVIATION,
                status=0,
            ),
            None,
            id="no zone",
        ),
        pytest.param(
            VIENNA,
            CosemDateTime(
                year=2026,
                month=1,
                day=1,
                weekday=4,
                hour=14,
                minute=0,
                second=0,
                hundredths=0,
                deviation_min=UNSPECIFIED_DEVIATION,
                status=0,
            ),
            at(2026, 1, 1, 13),
            id="winter",
        ),
        pytest.param(
            VIENNA,
            CosemDateTime(
                year=2026,
                month=10,
                day=25,
                weekday=7,
                hour=2,
                minute=30,
                second=0,
                hundredths=0,
                deviation_min=UNSPECIFIED_DEVIATION,
                status=0x80,
            ),
            at(2026, 10, 25, 0, 30),
            id="the first 02:30 of the night that has two",
        ),
        pytest.param(
            VIENNA,
            CosemDateTime(
                year=2026,
                month=10,
                day=25,
                weekday=7,
                hour=2,
                minute=30,
                second=0,
                hundredths=0,
                deviation_min=UNSPECIFIED_DEVIATION,
                status=0,
            ),
            at(2026, 10, 25, 1, 30),
            id="the second",
        ),
        pytest.param(
            VIENNA,
            CosemDateTime(
                year=2000,
                month=1,
                day=1,
                weekday=6,
                hour=0,
                minute=0,
                second=0,
                hundredths=0,
                deviation_min=-60,
                status=0,
            ),
            None,
            id="never set",
        ),
        pytest.param(VIENNA, CosemDateTime(), None, id="unspecified"),
    ],
)
def test_a_meters_time_is_a_moment(
    zone: MeterZone, moment: CosemDateTime, expected_ms: int | None
) -> None:
    read = zone.read(moment)
    assert (read.time_ms if read else None) == expected_ms
    if read:  # and written as the meter does
        again = zone.read(zone.write(read.time_ms, read.deviation_min))
        assert again == read


def columns_of(columns: tuple[CaptureObject, ...] = COLUMNS) -> object:
    return find_columns(PROFILE, columns, 900)


def test_a_load_profile_without_the_registers_is_of_no_use() -> None:
    assert columns_of()
    assert columns_of(COLUMNS[:2]) is None
    assert columns_of(COLUMNS[1:]) is None
    assert columns_of(COLUMNS[:3]) is None  # a model that has an export register
    assert find_columns(PROFILE, COLUMNS, 0) is None


def row(moment: data.Data, *values: int | None, status: int | None = 0) -> data.Data:
    told = [data.NULL if value is None else data.double_long_unsigned(value) for value in values]
    return data.structure(moment, data.NULL if status is None else data.unsigned(status), *told)


def test_what_a_row_leaves_out_is_in_the_row_before() -> None:
    columns = find_columns(PROFILE, COLUMNS, 900)
    assert columns
    start_ms = at(2026, 6, 1, 12)
    clock = data.octet_string(CosemDateTime.from_unix_ms(start_ms, -60).to_bytes())
    rows = data.array(
        [
            row(clock, 100, 5),
            row(data.NULL, 110, None),
            row(data.NULL, None, None, status=None),
            row(data.NULL, 130, 6, status=4),  # data not valid
            row(data.NULL, 140, 7),
        ]
    )
    reader = RowReader(PROFILE, columns, SCALES, MeterZone())
    assert list(reader.read(rows)) == [
        Capture(time_ms=start_ms, import_uwh=100 * 10**6, export_uwh=5 * 10**6),
        Capture(time_ms=start_ms + 900_000, import_uwh=110 * 10**6, export_uwh=5 * 10**6),
        Capture(time_ms=start_ms + 1_800_000, import_uwh=110 * 10**6, export_uwh=5 * 10**6),
        Capture(time_ms=start_ms + 3_600_000, import_uwh=140 * 10**6, export_uwh=7 * 10**6),
    ]


def test_a_row_of_another_shape_is_malformed() -> None:
    columns = find_columns(PROFILE, COLUMNS, 900)
    assert columns
    reader = RowReader(PROFILE, columns, SCALES, MeterZone())
    with pytest.raises(MalformedError, match="expected 4 columns in a load profile, got 1"):
        list(reader.read(data.array([data.structure(data.NULL)])))
