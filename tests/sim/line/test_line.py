"""Bytes on the wire: frames written by hand, through real pseudo-terminals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import serial

from gridtokenx_sim.bus_error import BusError
from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.simulation import serve

GOLDEN = [
    pytest.param(
        {"model": "eastron_sdm630", "address": 1},
        "01 04 00 48 00 04 71 df",  # import and export
        "01 04 08 44 9a 50 00 42 86 80 00 83 c6",  # 1234.5 and 67.25
        id="eastron energies",
    ),
    pytest.param(
        {
            "model": "eastron_sdm630",
            "address": 1,
            "import_kwh": "130.2009",
            "export_kwh": "99.9999",
        },
        "01 04 01 56 00 02 90 27",  # as printed in Eastron's manual
        "01 04 04 43 66 33 33 5a fa",  # 230.2 kWh
        id="eastron total",
    ),
    pytest.param(
        {"model": "eastron_sdm630", "address": 1},
        "01 03 fc 00 00 02 f4 5b",
        "01 03 04 00 bc 61 4e 92 73",  # 12345678
        id="eastron serial number",
    ),
    pytest.param(
        {"model": "abb_b23", "address": 5},
        "05 03 50 00 00 08 54 88",
        "05 03 10 00 00 00 00 00 01 e2 3a 00 00 00 00 00 00 1a 45 54 3b",  # 123450 and 6725
        id="abb energies",
    ),
    pytest.param(
        {"model": "carlo_gavazzi_em340", "address": 2, "serial": "BX0001"},
        "02 04 00 34 00 02 30 36",
        "02 04 04 30 39 00 00 17 89",  # 1234.5 kWh, low word first
        id="gavazzi import",
    ),
    pytest.param(
        {"model": "abb_b23", "address": 1},
        "01 04 50 00 00 02 60 cb",
        "01 84 01 82 c0",  # no such function
        id="refusal",
    ),
]


@pytest.mark.parametrize(("meter", "asked", "answered"), GOLDEN)
async def test_a_frame_by_hand_gets_its_reply_byte_for_byte(
    one_meter: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    meter: dict[str, Any],
    asked: str,
    answered: str,
) -> None:
    async with serve(one_meter(**meter), clock) as running:
        port = open_port(running.buses[0].path)
        expected = bytes.fromhex(answered)
        await port.send(asked)
        assert await port.receive(until=len(expected)) == expected


async def test_values_are_those_of_the_moment_of_the_request(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(annual_load_kwh="4000"), clock) as running:
        port = open_port(running.buses[0].path)
        first = await port.registers("01 04 00 48 00 02")
        clock.advance(3_600_000)
        assert await port.registers("01 04 00 48 00 02") > first


async def test_several_meters_share_a_bus_and_strangers_stay_silent(
    site_config: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    meter_entry: dict[str, Any],
) -> None:
    bus = {
        "name": "a",
        "kind": "serial",
        "link": "a",
        "meter": [meter_entry, {**meter_entry, "address": 2, "serial": "87654321"}],
    }
    async with serve(site_config(bus), clock) as running:
        port = open_port(running.buses[0].path)
        assert await port.registers("01 03 fc 00 00 02") == [0x00BC, 0x614E]
        assert await port.registers("02 03 fc 00 00 02") == [87654321 >> 16, 87654321 & 0xFFFF]
        assert await port.ask("03 04 00 48 00 02", within_s=0.2) == b""
        assert await port.ask("00 04 00 48 00 02", within_s=0.2) == b""  # broadcast


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("01 04 02 00 00 02", "01 84 02"),
        ("01 04 00 00 00 7e", "01 84 03"),  # more than a Modbus request may ask
        ("01 06 00 00 00 01", "01 86 01"),  # writes are not simulated
        ("01 01 00 00 00 01", "01 81 01"),
    ],
)
async def test_a_bad_request_gets_an_exception_with_its_own_function_code(
    one_meter: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    crc: Callable[[bytes], bytes],
    asked: str,
    answered: str,
) -> None:
    async with serve(one_meter(), clock) as running:
        port = open_port(running.buses[0].path)
        body = bytes.fromhex(answered)
        assert await port.ask(asked) == body + crc(body)


async def test_a_damaged_request_is_ignored_and_the_next_one_answered(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(), clock) as running:
        port = open_port(running.buses[0].path)
        for broken in ("01 04 00 48 00 04 71 00", "01 04 00 48 00"):  # wrong checksum, cut off
            await port.send(broken)
            assert await port.receive(within_s=0.15) == b""
        assert len(await port.ask("01 04 00 48 00 02", until=9)) == 9


async def test_a_gateway_at_another_baud_rate_hears_nothing(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    complaints: list[str] = []
    async with serve(one_meter(), clock, complaints.append) as running:
        port = open_port(running.buses[0].path, 19200)
        assert await port.ask("01 04 00 48 00 02", within_s=0.15) == b""
        assert await port.ask("01 04 00 48 00 02", within_s=0.15) == b""
        assert len(complaints) == 1
        assert "9600" in complaints[0]
        port.close()
        port = open_port(running.buses[0].path, 9600)
        assert len(await port.ask("01 04 00 48 00 02", until=9)) == 9


async def test_a_paced_line_takes_as_long_as_its_bits(
    site_config: Callable[..., Any],
    clock: HandClock,
    open_port: Callable[..., Any],
    meter_entry: dict[str, Any],
) -> None:
    bus = {"name": "a", "kind": "serial", "link": "a", "baud": 1200, "paced": True}
    async with serve(site_config({**bus, "meter": [meter_entry]}), clock) as running:
        port = open_port(running.buses[0].path, 1200)
        began = time.monotonic()
        assert len(await port.ask("01 04 00 48 00 02", until=9)) == 9
        assert time.monotonic() - began >= (8 + 9) * 10 / 1200


async def test_an_unplugged_adapter_vanishes_and_comes_back(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(), clock) as running:
        bus = running.buses[0]
        port = open_port(bus.path)
        assert await port.registers("01 03 fc 00 00 02") == [0x00BC, 0x614E]
        await bus.unplug()
        assert not bus.plugged
        assert not bus.path.is_symlink()
        with pytest.raises(serial.SerialException):
            port.serial.read(1)
        with pytest.raises(serial.SerialException):
            open_port(bus.path)
        await bus.replug()
        again = open_port(bus.path)
        assert await again.registers("01 03 fc 00 00 02") == [0x00BC, 0x614E]


async def test_a_gateway_may_close_and_open_the_port_again(
    one_meter: Callable[..., Any], clock: HandClock, open_port: Callable[..., Any]
) -> None:
    async with serve(one_meter(), clock) as running:
        for _ in range(3):
            port = open_port(running.buses[0].path)
            assert await port.registers("01 03 fc 00 00 02") == [0x00BC, 0x614E]
            port.close()


async def test_a_scheduled_unplugging_follows_community_time(
    site_config: Callable[..., Any], clock: HandClock, meter_entry: dict[str, Any]
) -> None:
    fault = {"kind": "unplugged", "from_s": 100, "until_s": 200}
    bus = {"name": "a", "kind": "serial", "link": "a", "meter": [meter_entry], "fault": [fault]}
    async with serve(site_config(bus), clock) as running:
        path = running.buses[0].path
        assert path.is_symlink()
        clock.advance(150_000)
        await until(lambda: not path.is_symlink())
        clock.advance(100_000)
        await until(path.is_symlink)


async def test_the_link_is_gone_after_the_end(
    one_meter: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(one_meter(), clock) as running:
        path = running.buses[0].path
        assert path.is_symlink()
    assert not path.is_symlink()


async def test_serving_leaves_no_descriptor_and_no_task_behind(
    site_config: Callable[..., Any], clock: HandClock, meter_entry: dict[str, Any]
) -> None:
    fault = [{"kind": "unplugged", "from_s": 100}]
    serial_bus = {"name": "a", "kind": "serial", "link": "a", "meter": [meter_entry]}
    other = {**meter_entry, "serial": "2"}
    tcp_bus = {"name": "t", "kind": "tcp", "meter": [other]}
    config = site_config({**serial_bus, "fault": fault}, {**tcp_bus, "fault": fault})
    descriptors = psutil.Process().num_fds()
    tasks = asyncio.all_tasks()
    for _ in range(3):
        async with serve(config, clock) as running:
            for bus in running.buses:
                await bus.unplug()
                await bus.replug()
    assert psutil.Process().num_fds() == descriptors
    assert asyncio.all_tasks() == tasks


async def test_a_stale_link_is_replaced_but_a_file_is_not(
    one_meter: Callable[..., Any], clock: HandClock, tmp_path: Path
) -> None:
    (tmp_path / "a").symlink_to("/dev/pts/long-gone")
    async with serve(one_meter(), clock) as running:
        assert running.buses[0].path.exists()
    (tmp_path / "a").write_text("precious")
    with pytest.raises(BusError, match="expected nothing or an old link here"):
        async with serve(one_meter(), clock):
            pass
    assert (tmp_path / "a").read_text() == "precious"


async def test_an_odd_baud_rate_is_refused(one_meter: Callable[..., Any], clock: HandClock) -> None:
    config = one_meter()
    bus = config.bus[0]
    odd = type(bus)(name="a", link=bus.link, meter=bus.meter, baud=9601)
    with pytest.raises(BusError, match="expected a standard baud rate"):
        async with serve(type(config)(site=config.site, bus=(odd,)), clock):
            pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is a file's
            await asyncio.sleep(0.01)
