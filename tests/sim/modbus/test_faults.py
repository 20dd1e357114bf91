"""Each fault as the gateway sees it."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.config.amounts import kwh
from gridtokenx_sim.config.faults import (
    ClockOff,
    Crc,
    Drop,
    ExceptionReply,
    Frozen,
    Rollback,
    Silence,
    Slow,
    Undefined,
)
from gridtokenx_sim.simulation import serve

HOUR_MS = 3_600_000
IMPORT = "01 04 00 48 00 02"


def import_kwh(reply: bytes) -> float:
    return float(struct.unpack(">f", reply[3:7])[0])


async def test_a_silent_meter_says_nothing_and_its_neighbour_goes_on(
    site_config: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    meter_entry: dict[str, Any],
) -> None:
    dead = {**meter_entry, "address": 2, "serial": "2", "fault": [{"kind": "silence"}]}
    bus = {"name": "a", "kind": "serial", "link": "a", "meter": [meter_entry, dead]}
    async with serve(site_config(bus), clock) as running:
        port = open_port(running.buses[0].path)
        assert await port.ask("02 04 00 48 00 02", within_s=0.2) == b""
        assert import_kwh(await port.ask(IMPORT, until=9)) == 1234.5
        running.meter("EASTRON-2").clear_faults()
        assert len(await port.ask("02 04 00 48 00 02", until=9)) == 9


async def test_a_fault_lasts_for_its_window_of_community_time(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    config = one_meter(fault=[{"kind": "exception", "code": 6, "from_s": 60, "until_s": 120}])
    async with serve(config, clock) as running:
        port = open_port(running.buses[0].path)
        assert len(await port.ask(IMPORT, until=9)) == 9
        clock.advance(60_000)
        assert (await port.ask(IMPORT))[:3] == b"\x01\x84\x06"
        assert [type(fault) for fault in running.meters[0].active_faults()] == [ExceptionReply]
        clock.advance(60_000)
        assert len(await port.ask(IMPORT, until=9)) == 9
        assert running.meters[0].active_faults() == []


async def test_a_crc_fault_flips_one_bit_of_every_nth_reply(
    one_meter: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    crc: Callable[[bytes], bytes],
) -> None:
    async with serve(one_meter(), clock) as running:
        port = open_port(running.buses[0].path)
        good = await port.ask(IMPORT, until=9)
        running.meters[0].inject(Crc(every=2))
        replies = [await port.ask(IMPORT, until=9) for _ in range(4)]
        bad = [reply for reply in replies if crc(reply[:-2]) != reply[-2:]]
        assert len(bad) == 2
        for reply in bad:
            changed = int.from_bytes(reply, "big") ^ int.from_bytes(good, "big")
            assert changed.bit_count() == 1


async def test_a_dropped_byte_shortens_the_reply(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(), clock) as running:
        port = open_port(running.buses[0].path)
        running.meters[0].inject(Drop())
        assert len(await port.ask(IMPORT, within_s=0.3, until=9)) == 8


async def test_a_slow_meter_answers_late_and_as_itself(
    site_config: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    meter_entry: dict[str, Any],
) -> None:
    """The quick meter is asked meanwhile: neither may take the other's address."""
    quick = {**meter_entry, "address": 2, "serial": "2", "import_kwh": "2"}
    slow = {**meter_entry, "fault": [{"kind": "slow", "delay_ms": 300}]}
    bus = {"name": "a", "kind": "serial", "link": "a", "meter": [slow, quick]}
    async with serve(site_config(bus), clock) as running:
        port = open_port(running.buses[0].path)
        began = time.monotonic()
        await port.begin(IMPORT)
        await asyncio.sleep(0.02)
        first = await port.ask("02 04 00 48 00 02", within_s=0.2, until=9)
        assert (first[0], import_kwh(first)) == (2, 2.0)
        late = await port.receive(until=9)
        assert (late[0], import_kwh(late)) == (1, 1234.5)
        assert time.monotonic() - began >= 0.3


async def test_an_exception_fault_answers_its_code(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(), clock) as running:
        port = open_port(running.buses[0].path)
        running.meters[0].inject(ExceptionReply(code=4))
        assert await port.ask(IMPORT) == bytes.fromhex("01 84 04 42 c3")


async def test_a_frozen_meter_stands_still_and_catches_up(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(annual_load_kwh="4000"), clock) as running:
        meter = running.meters[0]
        port = open_port(running.buses[0].path)
        clock.advance(HOUR_MS)
        before = await port.ask(IMPORT, until=9)
        meter.inject(Frozen())
        clock.advance(5 * HOUR_MS)
        assert await port.ask(IMPORT, until=9) == before
        assert meter.shown().import_uwh < meter.registers().import_uwh
        meter.clear_faults()
        after = import_kwh(await port.ask(IMPORT, until=9))
        assert after == pytest.approx(meter.registers().import_uwh / 10**9, abs=1e-3)
        assert after > import_kwh(before) + 0.3


async def test_a_rolled_back_counter_goes_on_from_below(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(annual_load_kwh="4000"), clock) as running:
        meter = running.meters[0]
        port = open_port(running.buses[0].path)
        meter.inject(Rollback(kwh=kwh("100.5")))
        assert import_kwh(await port.ask(IMPORT, until=9)) == 1134.0
        assert meter.shown().export_uwh == 0  # 67.25 kWh were there; a counter has no less
        clock.advance(10 * HOUR_MS)
        assert import_kwh(await port.ask(IMPORT, until=9)) > 1134.5
        assert meter.registers().import_uwh > 1234 * 10**9


@pytest.mark.parametrize("seconds", [7200, -3600])
async def test_a_wrong_time_base_shows_another_times_registers(
    one_meter: Callable[..., Any], clock: HandClock, seconds: int
) -> None:
    async with serve(one_meter(annual_load_kwh="4000"), clock) as running:
        meter = running.meters[0]
        clock.advance(10 * HOUR_MS)
        meter.inject(ClockOff(seconds=seconds))
        shown, there = meter.shown(), meter.registers(clock.now_ms() + seconds * 1000)
        assert (shown.import_uwh, shown.power_mw) == (there.import_uwh, there.power_mw)
        assert (shown.import_uwh > meter.registers().import_uwh) == (seconds > 0)


async def test_an_undefined_value_reads_as_the_models_raw_value_for_it(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(model="abb_b23"), clock) as running:
        port = open_port(running.buses[0].path)
        running.meters[0].inject(Undefined())
        assert await port.registers("01 03 50 00 00 08") == [0xFFFF] * 8
        assert await port.registers("01 03 5b 14 00 02") == [0x7FFF, 0xFFFF]
        assert await port.registers("01 03 89 00 00 02") == [0x00BC, 0x614E]


async def test_an_inverted_meter_counts_the_other_way_round(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(inverted=True, annual_load_kwh="4000"), clock) as running:
        port = open_port(running.buses[0].path)
        words = await port.registers("01 04 00 48 00 04")
        assert struct.unpack(">ff", struct.pack(">4H", *words)) == (67.25, 1234.5)
        power = await port.registers("01 04 00 34 00 02")
        assert struct.unpack(">f", struct.pack(">2H", *power))[0] < 0
        assert running.meters[0].registers().power_mw > 0


async def test_faults_hide_the_truth_but_do_not_change_it(
    one_meter: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(one_meter(annual_load_kwh="4000"), clock) as running:
        meter = running.meters[0]
        start_ms = clock.now_ms()
        clock.advance(HOUR_MS)
        truth = meter.registers()
        for fault in (Silence(), Slow(), Frozen(), Rollback(kwh=kwh("1")), ClockOff(seconds=9)):
            meter.inject(fault)
        assert meter.registers() == truth
        assert meter.registers(start_ms).import_uwh == kwh("1234.5")
        assert meter.answer(4, 0x48, 2) is None
