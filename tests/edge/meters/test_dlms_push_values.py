"""What pushed values mean: messages of real meters, read by their profiles' templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.edge.meters.pushed_messages import MA309M, MA309M_KEY, OMNIPOWER, T210D

from gridtokenx_dlms import data
from gridtokenx_dlms.date_time import UNSPECIFIED_DEVIATION, CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_dlms.xdlms.notification import DataNotification, parse_data_notification
from gridtokenx_edge.config.dlms_config import DlmsMeter
from gridtokenx_edge.dlms.listener import PushedFrames, PushedMeter
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.meters.dlms_push import decode_push
from gridtokenx_edge.meters.dlms_time import MeterZone
from gridtokenx_wire.clock import SystemClock


def test_a_public_message_of_a_t210d_is_what_its_owner_says_it_is() -> None:
    pushed = decode_push(parse_data_notification(T210D), load_dlms("sagemcom_t210d"), MeterZone())
    assert pushed.meter == "SAGEMCOM-178210015165"
    assert (pushed.import_uwh, pushed.export_uwh) == (4_406_538 * 10**6, 259 * 10**6)
    assert pushed.power_w == 510


def test_a_public_message_of_an_omnipower_counts_in_ten_watt_hours() -> None:
    profile = load_dlms("kamstrup_omnipower")
    pushed = decode_push(parse_data_notification(OMNIPOWER), profile, MeterZone())
    assert pushed.meter == "KAMSTRUP-5705705705705705"
    assert (pushed.import_uwh, pushed.export_uwh) == (0x12CF93 * 10**7, 0)
    assert (pushed.power_w, pushed.time_ms) == (0x5E6, None)  # no zone, no moment
    # The same in a year in which a clock is believed: 17 November 2026, 11:50 in Oslo.
    of_2026 = parse_data_notification(OMNIPOWER.replace(b"\x07\xe5", b"\x07\xea"))
    zone = MeterZone(zone="Europe/Oslo")
    assert decode_push(of_2026, profile, zone).time_ms == 1_794_912_600_000


def test_a_grid_operators_example_telegram_is_opened_with_its_example_key(tmp_path: Path) -> None:
    for name in ("ek", "ak"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(MA309M_KEY)
    config = DlmsMeter(
        id="KAIFA-181220000009", profile="kaifa_ma309m", encryption_key="ek", protection="encrypted"
    )
    (message,) = PushedFrames().feed(MA309M)
    meter = PushedMeter(
        access_of(config, DlmsFiles(folder=tmp_path, state=tmp_path), is_pushed=True), SystemClock()
    )
    notification = parse_data_notification(meter.open(message))
    pushed = decode_push(notification, load_dlms("kaifa_ma309m"), MeterZone())
    assert (pushed.meter, pushed.power_w) == ("KAIFA-181220000009", 0)  # its number has no code
    assert (pushed.import_uwh, pushed.export_uwh) == (12_937 * 10**6, 0)


def test_the_meter_of_another_flat_is_refused_though_the_key_is_right(tmp_path: Path) -> None:
    for name in ("ek", "ak"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(MA309M_KEY)
    neighbour = DlmsMeter(
        id="KAIFA-181220000010", profile="kaifa_ma309m", encryption_key="ek", protection="encrypted"
    )
    files = DlmsFiles(folder=tmp_path, state=tmp_path)
    meter = PushedMeter(access_of(neighbour, files, is_pushed=True), SystemClock())
    (message,) = PushedFrames().feed(MA309M)
    with pytest.raises(MalformedError, match="the meter says it is KAIFA-181220000009"):
        meter.reading(meter.open(message))


def test_a_list_without_codes_is_read_by_its_length() -> None:
    profile = load_dlms("kaifa_ma304")
    clock = CosemDateTime(
        year=2021,
        month=3,
        day=23,
        weekday=2,
        hour=19,
        minute=0,
        second=10,
        deviation_min=UNSPECIFIED_DEVIATION,
    )
    number = [data.double_long_unsigned(n) for n in range(18)]
    texts = [data.octet_string(text) for text in (b"KFM_001", b"6970631401534493", b"MA304H4")]
    listed = [*texts, *number[3:13], data.octet_string(clock.to_bytes()), *number[14:]]
    pushed = decode_push(DataNotification(1, None, data.structure(*listed)), profile, MeterZone())
    assert pushed.meter == "KAIFA-6970631401534493"
    assert (pushed.import_uwh, pushed.export_uwh, pushed.power_w) == (14 * 10**6, 15 * 10**6, -1)
    short = decode_push(DataNotification(1, None, data.structure(number[9])), profile, MeterZone())
    assert (short.import_uwh, short.power_w) == (None, 9)


def test_a_list_that_comes_with_its_own_columns_is_read_by_them() -> None:
    # The shape of github.com/UtilitechAS/amsreader-firmware, frames/lng.raw (a88a0beb).
    pushed_list, model = Obis.parse("0-8:25.9.0.255"), Obis.parse("0-0:96.1.1.255")
    columns = [
        CaptureObject(class_id=40, obis=pushed_list, attribute=2),
        CaptureObject(class_id=40, obis=pushed_list, attribute=1),
        CaptureObject(class_id=1, obis=model, attribute=2),
        CaptureObject(class_id=3, obis=Obis(1, 0, 1, 7, 0), attribute=2),
        CaptureObject(class_id=3, obis=Obis(1, 0, 2, 7, 0), attribute=2),
        CaptureObject(class_id=3, obis=Obis(1, 0, 1, 8, 0), attribute=2),
    ]
    value = data.structure(
        data.array(column.to_data() for column in columns),
        data.octet_string(pushed_list.to_bytes()),
        data.octet_string(b"ZCF120"),
        data.double_long_unsigned(700),
        data.double_long_unsigned(50),
        data.double_long_unsigned(123_456),
    )
    pushed = decode_push(DataNotification(1, None, value), load_dlms("landisgyr_e450"), MeterZone())
    assert (pushed.meter, pushed.import_uwh, pushed.export_uwh) == (None, 123_456 * 10**6, None)
    assert pushed.power_w == 650
