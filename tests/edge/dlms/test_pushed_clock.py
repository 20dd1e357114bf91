"""Clocks of meters that send by themselves: told, tolerated, and never the time of a reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.edge.meters.pushed_messages import E450, T210D

from gridtokenx_dlms.date_time import UNSPECIFIED_DEVIATION, CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.xdlms.general_block import BlockAssembler
from gridtokenx_dlms.xdlms.notification import DataNotification, parse_data_notification
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsPush
from gridtokenx_edge.dlms.listener import Listener, PushedFrames, PushedMeter
from gridtokenx_edge.dlms.meter_access import DlmsFiles, MeterAccess, access_of
from gridtokenx_edge.meters.pushed_clock import PushedClock
from gridtokenx_edge.polling.faults import MeterGarbled
from gridtokenx_wire.reading import Reading, ReadingFlag

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
YEAR_MS = 365 * 24 * HOUR_MS
# The E450's message says 16:58 at Nicosia (UTC+3); this is 11.5 minutes before.
E450_NOW_MS = 1_784_382_392_000


class SetClock:
    """A gateway's clock that stands where it is set."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((level, event, fields))


class Sink:
    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def begin(self) -> None: ...
    def end(self) -> None: ...

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)


def e450(folder: Path) -> MeterAccess:
    meter = DlmsMeter(
        id="LANDISGYR-LGZ1020700000001",
        profile="landisgyr_e450",
        zone="Asia/Nicosia",
    )
    return access_of(meter, DlmsFiles(folder=folder, state=folder), is_pushed=True)


def t210d(folder: Path, zone: str = "") -> MeterAccess:
    meter = DlmsMeter(
        id="SAGEMCOM-178210015165", profile="sagemcom_t210d", protection="none", zone=zone
    )
    return access_of(meter, DlmsFiles(folder=folder, state=folder), is_pushed=True)


def pushed(meter_ms: int) -> bytes:
    """A message whose clock shows this time, with its deviation."""
    notification = parse_data_notification(T210D)
    moment = CosemDateTime.from_unix_ms(meter_ms, -60)
    return DataNotification(notification.invoke, moment, notification.value).to_bytes()


async def test_a_meter_whose_clock_is_ahead_gives_readings_of_now_and_is_told_of_once(
    tmp_path: Path,
) -> None:
    clock, log, sink, access = SetClock(E450_NOW_MS), Log(), Sink(), e450(tmp_path)
    config = DlmsPush(name="push", port="/dev/null", meter=[access.meter])
    files = DlmsFiles(folder=tmp_path, state=tmp_path)
    listener = Listener(config, files, clock, log)  # type: ignore[arg-type]
    meter = listener.open_meter(access.meter, sink)
    for _ in range(3):
        frames, blocks = PushedFrames(), BlockAssembler()
        for part in frames.feed(E450):
            if (whole := blocks.receive(part)) is not None:
                listener.received(whole)
    (reading,) = sink.readings
    assert (reading.import_uwh, reading.export_uwh) == (7_136_726 * 10**6, 2_688_904 * 10**6)
    assert reading.time_ms == E450_NOW_MS, "the gateway's clock times it"
    assert meter.clock_drift_ms == 688_000
    assert log.events == [
        (
            "warning",
            "meter_clock",
            {
                "meter": access.meter.id,
                "bus": "push",
                "ahead_ms": 688_000,
                "do": "the gateway's clock times its readings; gaps are not repaired; tell the grid"
                " operator",
            },
        )
    ]


def test_a_meter_whose_clock_is_behind_is_believed_from_its_second_message_on(
    tmp_path: Path,
) -> None:
    clock = SetClock(E450_NOW_MS)
    meter = PushedMeter(t210d(tmp_path), clock)
    for behind_ms in (11 * MINUTE_MS, 70 * MINUTE_MS, YEAR_MS):
        with pytest.raises(MalformedError, match=r"expected values of now, got some of .* s ago"):
            meter.reading(pushed(clock.ms - behind_ms))
        clock.ms += 10_000
        reading = meter.reading(pushed(clock.ms - behind_ms))
        assert reading is not None
        assert reading.time_ms == clock.ms
        assert meter.clock_drift_ms == -behind_ms
        clock.ms += 10_000


def test_messages_that_were_kept_back_are_no_readings_of_now_even_in_a_burst(
    tmp_path: Path,
) -> None:
    clock = SetClock(E450_NOW_MS)
    meter = PushedMeter(t210d(tmp_path), clock)
    assert meter.reading(pushed(clock.ms))
    clock.ms += HOUR_MS
    for minutes in range(40, 2, -1):
        with pytest.raises(MalformedError):
            meter.reading(pushed(clock.ms - minutes * MINUTE_MS))
        clock.ms += 100
    assert meter.reading(pushed(clock.ms))
    assert abs(meter.clock_drift_ms or 0) < 1000


@pytest.mark.parametrize("seconds", [1, 10, 900])
def test_a_clock_that_jumps_costs_one_message_at_most(seconds: int) -> None:
    clock = PushedClock()
    now_ms, offset_ms, refused = E450_NOW_MS, 0, 0
    for number in range(100):
        offset_ms = (0, YEAR_MS, -HOUR_MS, 0)[number // 25]
        refused += not clock.is_of_now(now_ms + offset_ms, now_ms)
        now_ms += seconds * 1000
    # Forward is believed at once, back by the second message that is five seconds later.
    assert refused == (5 if seconds == 1 else 1)


def test_a_slow_drift_is_followed_however_far_it_goes() -> None:
    clock, drift_ms = PushedClock(), 0
    for number in range(5000):
        now_ms = E450_NOW_MS + number * 900_000
        drift_ms -= 900
        assert clock.is_of_now(now_ms + drift_ms, now_ms)
    assert clock.ahead_ms == drift_ms == -4_500_000


def test_what_the_clock_was_ahead_is_taken_off_while_the_gateways_is_not_set(
    tmp_path: Path,
) -> None:
    clock, is_set = SetClock(E450_NOW_MS), [True]
    meter = PushedMeter(t210d(tmp_path), clock, lambda: is_set[0])
    assert meter.reading(pushed(clock.ms + 11 * MINUTE_MS))
    is_set[0] = False
    true_ms = clock.ms + HOUR_MS
    clock.ms = 0
    reading = meter.reading(pushed(true_ms + 11 * MINUTE_MS))
    assert reading is not None
    assert (reading.time_ms, reading.flags) == (true_ms, ReadingFlag.METER_TIME)


def test_a_meter_without_a_clock_is_timed_by_the_gateways(tmp_path: Path) -> None:
    clock = SetClock(E450_NOW_MS)
    meter = PushedMeter(t210d(tmp_path), clock)
    never_set = CosemDateTime.from_unix_ms(946_684_800_000, -60)  # 2000-01-01
    for moment in (never_set, msgspec.structs.replace(never_set, year=0xFFFF)):
        notification = parse_data_notification(T210D)
        message = DataNotification(notification.invoke, moment, notification.value).to_bytes()
        reading = meter.reading(message)
        assert reading is not None
        assert reading.time_ms == clock.ms
        assert meter.clock_drift_ms is None
        clock.ms += 10_000


@pytest.mark.parametrize("status", [0x00, 0x80, 0xFF], ids=["never", "always", "not told"])
def test_the_hour_that_comes_twice_needs_no_flag(tmp_path: Path, status: int) -> None:
    """Vienna, 2026-10-25: 02:00 to 03:00 comes at 00:00 and at 01:00 UTC."""
    clock = SetClock(1_792_886_400_000 - HOUR_MS)  # 23:00 UTC on the 24th
    meter = PushedMeter(t210d(tmp_path, "Europe/Vienna"), clock)
    for minute in range(0, 240, 5):
        local_ms = clock.ms + (2 * HOUR_MS if minute < 120 else HOUR_MS)
        moment = msgspec.structs.replace(
            CosemDateTime.from_unix_ms(local_ms, 0),
            deviation_min=UNSPECIFIED_DEVIATION,
            status=status,
        )
        notification = parse_data_notification(T210D)
        message = DataNotification(notification.invoke, moment, notification.value).to_bytes()
        reading = meter.reading(message)
        assert reading is not None
        assert (reading.time_ms, meter.clock_drift_ms) == (clock.ms, 0)
        clock.ms += 5 * MINUTE_MS


async def test_a_message_of_no_use_counts_as_an_error_of_the_only_meter(tmp_path: Path) -> None:
    clock, access = SetClock(E450_NOW_MS), t210d(tmp_path)
    config = DlmsPush(name="push", port="/dev/null", meter=[access.meter])
    files = DlmsFiles(folder=tmp_path, state=tmp_path)
    listener = Listener(config, files, clock, Log())  # type: ignore[arg-type]
    meter = listener.open_meter(access.meter, Sink())
    failures: list[Exception] = []
    meter.failed = failures.append
    listener.received(pushed(clock.ms - HOUR_MS))
    (failure,) = failures
    assert isinstance(failure, MeterGarbled)
    assert "3600 s ago" in str(failure)
