"""Simulated DLMS meters: what they show of the physics, and to whom, on real lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.sim.dlms.reader import (
    CLOCK,
    COUNTER,
    EXPORT,
    IMPORT,
    NAME,
    NET,
    PATIENT,
    QUARTER_MS,
    SERIAL,
    reading,
    truth,
)

from gridtokenx_dlms import data
from gridtokenx_dlms.aio.client_transport import run_service
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import (
    AccessRefusedError,
)
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.profile_generic import CLOCK_COLUMN
from gridtokenx_dlms.objects.selection import CaptureObject, by_entry, by_time
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.simulation import serve

WAYS = [
    pytest.param(SERIAL, {}, {}, id="HDLC"),
    pytest.param(SERIAL, {"opening": "mode_e"}, {"mode_e": True}, id="mode E"),
    pytest.param(
        SERIAL, {"information_bytes": 2030, "window": 3}, {"size": 2030}, id="long frames"
    ),
    pytest.param(NET, {}, {}, id="wrapper"),
    pytest.param(NET, {"framing": "hdlc"}, {"hdlc": True}, id="HDLC over TCP"),
]


@pytest.mark.parametrize(("bus", "more", "how"), WAYS)
@pytest.mark.parametrize("client", [1, 2])
async def test_a_meter_shows_the_physics_on_every_line(
    dlms: Callable[..., Any],
    clock: HandClock,
    bus: dict[str, Any],
    more: dict[str, Any],
    how: dict[str, Any],
    client: int,
) -> None:
    clock.advance(20 * QUARTER_MS + 1)
    async with serve(dlms(bus, **more), clock) as running, reading(running, client, **how) as meter:
        values = [(await meter.get(attribute)).integer() for attribute in (IMPORT, EXPORT)]
        assert tuple(values) == truth(running, clock.now_ms())
        rows = await meter.rows()
        start_ms = clock.now_ms() - 20 * QUARTER_MS - 1
        assert rows == [
            [start_ms + n * QUARTER_MS, 0, *truth(running, start_ms + n * QUARTER_MS)]
            for n in range(1, 21)
        ]


async def test_bytes_take_their_time_in_mode_e_as_on_a_wire(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    config = dlms(SERIAL, opening="mode_e", paced=True)
    started_s = time.monotonic()
    async with (
        serve(config, clock) as running,
        reading(running, 2, mode_e=True, timing=PATIENT) as meter,
    ):
        opened_s = time.monotonic()
        assert opened_s - started_s > 28 * 10 / 300, "28 characters at 300 baud"
        assert (await meter.get(IMPORT)).integer() == 1_234_500
        assert time.monotonic() - opened_s > 50 * 10 / 9600, "50 bytes at 9,600 baud"


async def test_every_quantity_is_the_snapshots(dlms: Callable[..., Any], clock: HandClock) -> None:
    clock.advance(12 * 3_600_000)
    async with serve(dlms(NET), clock) as running, reading(running, 2) as meter:
        power_w = round(running.meters[0].registers().power_mw / 1000)
        expected = {1: max(0, power_w), 2: max(0, -power_w), 16: power_w}
        for code, value in expected.items():
            found = await meter.get(Attribute(3, Obis(1, 0, code, 7, 0), 2))
            assert found.integer() == value
        for code in (32, 52, 72):
            voltage = Attribute(3, Obis(1, 0, code, 7, 0), 2)
            assert 2200 < (await meter.get(voltage)).integer() < 2400
            unit = await meter.get(msgspec.structs.replace(voltage, number=3))
            assert unit == data.structure(data.integer(-1), data.enum(35))
        serial = await meter.get(Attribute(1, Obis(0, 0, 96, 1, 0), 2))
        assert (serial.octets(), (await meter.get(NAME)).octets()) == (b"12345678", b"SIM12345678")


async def test_the_object_list_names_what_can_be_read(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    clock.advance(QUARTER_MS)
    async with serve(dlms(NET), clock) as running, reading(running, 2) as meter:
        listed = await meter.get(Attribute(15, Obis(0, 0, 40, 0, 0), 2))
        assert len(listed.items()) >= 18
        for entry in listed.items():
            class_id, _, name, _ = entry.items()
            attribute = Attribute(class_id.integer(), Obis.from_bytes(name.octets()), 2)
            assert await meter.get(attribute) is not None


async def test_the_public_client_reads_who_the_meter_is_and_no_more(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(dlms(NET), clock) as running:
        async with reading(running, 16) as public:
            assert (await public.get(NAME)).octets() == b"SIM12345678"
            assert (await public.get(COUNTER)).integer() == 0
            assert (await public.get(CLOCK)).moment().unix_ms() == clock.now_ms()
            with pytest.raises(AccessRefusedError, match="object undefined"):
                await public.get(IMPORT)
            time = data.octet_string(CosemDateTime.from_unix_ms(0).to_bytes())
            with pytest.raises(AccessRefusedError, match="denied"):
                await run_service(public.association.set(CLOCK, time), public.transport)
        async with reading(running, 1) as manager:
            newest = manager.association._ciphering
            assert newest
            used = newest.counter - 1
            async with reading(running, 16) as public:
                assert (await public.get(COUNTER)).integer() == used


async def test_a_consumers_meter_has_no_export(dlms: Callable[..., Any], clock: HandClock) -> None:
    clock.advance(QUARTER_MS)
    config = dlms(NET, {"has_export": False, "model": "dlms_single_phase"})
    async with serve(config, clock) as running, reading(running, 2) as meter:
        with pytest.raises(AccessRefusedError, match="object undefined"):
            await meter.get(EXPORT)
        assert [len(row) for row in await meter.rows()] == [3]
        with pytest.raises(AccessRefusedError):
            await meter.get(Attribute(3, Obis(1, 0, 52, 7, 0), 2))


async def test_a_profile_is_read_by_range_entries_and_columns(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    start_ms = clock.now_ms()
    clock.advance(30 * QUARTER_MS)
    async with serve(dlms(NET), clock) as running, reading(running, 2) as meter:
        every = await meter.rows()
        first, last = (
            CosemDateTime.from_unix_ms(start_ms + n * QUARTER_MS, zone)
            for n, zone in ((5, -60), (9, 0))
        )
        assert await meter.rows(by_time(CLOCK_COLUMN, first, last)) == every[4:9]
        column = CaptureObject(class_id=3, obis=IMPORT.obis, attribute=2)
        chosen = await meter.rows(by_time(CLOCK_COLUMN, first, last, [column, CLOCK_COLUMN]))
        assert chosen == [[row[2], row[0]] for row in every[4:9]]
        assert await meter.rows(by_entry(3, 5)) == every[2:5]
        assert await meter.rows(by_entry(29)) == every[28:]
        assert await meter.rows(by_entry(1, 2, 3, 4)) == [row[2:] for row in every[:2]]
        assert await meter.rows(by_entry(99)) == []


async def test_a_profile_fills_as_time_passes_and_forgets_the_oldest(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    start_ms = clock.now_ms()
    config = dlms(NET, {"profile_days": 1})
    async with serve(config, clock) as running, reading(running, 2) as meter:
        assert await meter.rows() == []
        for passed in (1, 2, 100):
            clock.advance(start_ms + passed * QUARTER_MS - clock.now_ms())
            rows = await meter.rows()
            assert len(rows) == min(passed, 96)
            assert rows[-1][0] == start_ms + passed * QUARTER_MS


async def test_a_meters_clock_drifts_and_its_rows_go_by_it(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    start_ms = clock.now_ms()
    config = dlms(NET, {"drift_ppm": 1000, "clock_offset_s": 30, "zone_min": -60})
    clock.advance(4 * QUARTER_MS)
    async with serve(config, clock) as running, reading(running, 2) as meter:
        moment = (await meter.get(CLOCK)).moment()
        assert moment.unix_ms() == clock.now_ms() + 30_000 + 3_600
        assert (moment.hour, moment.deviation_min) == (2, -60)
        for row in await meter.rows():
            true_ms = (row[0] - start_ms - 30_000) * 1000 // 1001 + start_ms
            assert tuple(row[2:]) == truth(running, true_ms)


async def test_a_clock_is_set_and_shifted_by_who_may(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(dlms(NET), clock) as running:
        clock.advance(QUARTER_MS)
        async with reading(running, 1) as meter:
            new = clock.now_ms() + 3_600_000
            time = data.octet_string(CosemDateTime.from_unix_ms(new, -60).to_bytes())
            await run_service(meter.association.set(CLOCK, time), meter.transport)
            assert (await meter.get(CLOCK)).moment().unix_ms() == new
            shift = Attribute(8, CLOCK.obis, 6)
            await run_service(meter.association.action(shift, data.long(-60)), meter.transport)
            assert (await meter.get(CLOCK)).moment().unix_ms() == new - 60_000
            clock.advance(QUARTER_MS)
            statuses = [row[1] for row in await meter.rows()]
            assert statuses == [0, 0x20], "the clock was adjusted within the second row"
        async with reading(running, 2) as meter:
            with pytest.raises(AccessRefusedError, match="denied"):
                await run_service(meter.association.set(CLOCK, time), meter.transport)
