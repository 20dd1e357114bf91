"""The meter's own clock: read, compared, and used while the gateway's is not set."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gridtokenx_edge.config.edge_config import MeterConfig, SerialBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.meter_clock import MeterClock, decode_time
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_sim.config.faults import ClockOff
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import ReadingFlag

HOUR_MS = 3_600_000
MODEL = "schneider_iem3155"

# The registers, bit by bit after Schneider's table of DATETIME, and the Unix time of `date -u`.
TIMES = [
    ("0018 0101 0000 0000", 1_704_067_200_000),  # 2024-01-01 00:00
    ("001a 0b17 170f 7d0c", 1_795_475_732_012),  # 2026-11-23 23:15:32.012
    ("001a 0bf7 970f 7d0c", 1_795_475_732_012),  # with the day of the week and summer time
    ("0000 0101 0000 0000", None),  # 2000: it was never set
    ("0017 0c1f 173b ea5f", None),  # the last millisecond before it may have been
    ("001a 0d01 0000 0000", None),  # a thirteenth month
    ("001a 021e 0000 0000", None),  # 30 February
    ("001a 0b17 180f 0000", None),  # hour 24
    ("001a 0b17 170f ea60", None),  # 60 seconds
    ("ffff ffff ffff ffff", None),
    ("0000 0000 0000 0000", None),
]


@pytest.mark.parametrize(("registers", "time_ms"), TIMES)
def test_a_meters_time_is_read_bit_by_bit(registers: str, time_ms: int | None) -> None:
    assert decode_time([int(word, 16) for word in registers.split()]) == time_ms


def test_a_meters_time_goes_on_with_the_monotonic_clock() -> None:
    clock = MeterClock(meter_ms=1_000_000, at_s=50.0, gateway_ms=990_000)
    assert clock.drift_ms == 10_000
    assert clock.time_ms(53.5) == 1_003_500
    assert clock.time_ms(49.0) == 999_000


class Gateway:
    """A gateway's clock that a test sets."""

    def __init__(self) -> None:
        self.off_ms = 0
        self.is_synchronised = True

    def now_ms(self) -> int:
        return make_clock(ClockConfig()).now_ms() + self.off_ms

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000


@asynccontextmanager
async def read_by(
    meters: Any, gateway: Gateway, model: str = MODEL, **more: Any
) -> AsyncIterator[tuple[RegisterReader, Any]]:
    async with meters.serve(meters.serial(meters.meter(model, 1))) as running:
        (meter,) = running.meters
        line = Line(
            SerialBus(name="roof", port=str(running.buses[0].path), meter=[]),
            FaultLog(start_logging()),
        )
        await line.connect()
        reader = RegisterReader(
            line,
            MeterConfig(id=meter.id, profile=model, address=1, **more),
            load_profile(model),
            gateway,
            lambda: gateway.is_synchronised,
        )
        try:
            yield reader, meter
        finally:
            line.close()


async def test_a_meters_drift_is_known_and_changes_nothing_while_the_gateways_clock_is_set(
    meters: Any,
) -> None:
    gateway = Gateway()
    async with read_by(meters, gateway, clock_utc_offset_min=0) as (reader, meter):
        assert reader.clock_drift_ms is None
        meter.inject(ClockOff(seconds=90))
        reading = await reader.poll()
        assert reader.clock_drift_ms == pytest.approx(90_000, abs=500)
        assert reading.flags == 0
        assert gateway.now_ms() - reading.time_ms < 2_000


async def test_readings_have_the_meters_time_while_the_gateways_clock_is_not_set(
    meters: Any,
) -> None:
    """A Pi without a battery comes up in the past; the meter has been counting all along."""
    gateway = Gateway()
    gateway.off_ms, gateway.is_synchronised = -900 * HOUR_MS, False
    async with read_by(meters, gateway, clock_utc_offset_min=0) as (reader, _):
        true_ms = time.time_ns() // 1_000_000
        first, second = await reader.poll(), await reader.poll()
        assert first.flags == second.flags == ReadingFlag.METER_TIME
        assert abs(first.time_ms - true_ms) < 2_000
        assert second.time_ms > first.time_ms
        gateway.off_ms = -800 * HOUR_MS  # set by hand, and wrong again
        third = await reader.poll()
        assert 0 < third.time_ms - second.time_ms < 2_000, "the meter's time does not step"
        gateway.off_ms, gateway.is_synchronised = 0, True
        assert (await reader.poll()).flags == 0


@pytest.mark.parametrize(("zone_min", "expected_ms"), [(60, HOUR_MS), (-90, -90 * 60_000)])
async def test_a_meter_that_is_set_to_local_time_is_understood(
    meters: Any, zone_min: int, expected_ms: int
) -> None:
    gateway = Gateway()
    gateway.is_synchronised = False
    async with read_by(meters, gateway, clock_utc_offset_min=zone_min) as (reader, _):
        reading = await reader.poll()
    assert gateway.now_ms() - reading.time_ms == pytest.approx(expected_ms, abs=2_000)
    assert reader.clock_drift_ms == pytest.approx(-expected_ms, abs=500)


@pytest.mark.parametrize(
    ("model", "more"),
    [(MODEL, {}), ("abb_b23", {})],
    ids=["the zone is not known", "it has no clock"],
)
async def test_without_a_meters_clock_or_its_zone_the_gateways_time_stands(
    meters: Any, model: str, more: dict[str, Any]
) -> None:
    gateway = Gateway()
    gateway.off_ms, gateway.is_synchronised = -900 * HOUR_MS, False
    async with read_by(meters, gateway, model, **more) as (reader, _):
        reading = await reader.poll()
    assert reading.flags == 0
    assert abs(gateway.now_ms() - reading.time_ms) < 2_000


async def test_the_clock_is_looked_at_again_after_an_hour_and_after_an_absence(
    meters: Any,
) -> None:
    gateway = Gateway()
    async with read_by(meters, gateway, clock_utc_offset_min=0) as (reader, meter):
        await reader.poll()
        meter.inject(ClockOff(seconds=30))
        await reader.poll()
        assert reader.clock_drift_ms == pytest.approx(0, abs=500), "not with every poll"
        reader.forget_identity()
        await reader.poll()
        assert reader.clock_drift_ms == pytest.approx(30_000, abs=500)
        meter.inject(ClockOff(seconds=30))
        reader._clock_due_s -= 3600
        await reader.poll()
        assert reader.clock_drift_ms == pytest.approx(60_000, abs=500)


async def test_a_meter_that_refuses_its_clock_is_read_without_it(meters: Any) -> None:
    gateway = Gateway()
    async with read_by(meters, gateway, "abb_b23") as (reader, _):
        clock = load_profile(MODEL).clock
        reader._profile = msgspec.structs.replace(reader._profile, clock=clock)
        assert (await reader.poll()).flags == 0
        assert reader.clock_drift_ms is None
