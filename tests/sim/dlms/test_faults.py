"""What can go wrong with a simulated DLMS meter, and what it tells unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.sim.dlms.reader import (
    CLOCK,
    IMPORT,
    NET,
    OUR_KEYS,
    QUARTER_MS,
    SERIAL,
    only,
    reading,
    truth,
)

from gridtokenx_dlms.aio.line import SerialLine, StreamLine
from gridtokenx_dlms.aio.server import TcpListener
from gridtokenx_dlms.errors import (
    AccessRefusedError,
    AssociationRefusedError,
    LinkError,
    SecurityError,
)
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.frame import FrameReader
from gridtokenx_dlms.hdlc.llc import without_llc
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.selection import by_entry
from gridtokenx_dlms.security import Protection
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.wrapper import WrapperReader
from gridtokenx_dlms.xdlms.notification import DataNotification, parse_data_notification
from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.config.faults import (
    BlocksInterrupted,
    Busy,
    CounterReset,
    Crc,
    DlmsFault,
    Drop,
    Frozen,
    Rollback,
    Silence,
    Slow,
)
from gridtokenx_sim.simulation import serve


@pytest.mark.parametrize("fault", [Drop(every=3), Crc(every=2), Slow(delay_ms=200), Busy(times=3)])
async def test_a_client_reads_through_a_bad_line(
    dlms: Callable[..., Any], clock: HandClock, fault: DlmsFault
) -> None:
    clock.advance(10 * QUARTER_MS)
    async with serve(dlms(), clock) as running, reading(running, 2) as meter:
        only(running).inject(fault)
        assert (await meter.get(IMPORT)).integer() == truth(running, clock.now_ms())[0]
        assert len(await meter.rows(by_entry(1, 4))) == 4


@pytest.mark.parametrize("bus", [SERIAL, NET])
async def test_a_silent_meter_is_an_error(
    dlms: Callable[..., Any], clock: HandClock, bus: dict[str, Any]
) -> None:
    async with serve(dlms(bus), clock) as running:
        async with reading(running, 2) as meter:
            only(running).inject(Silence())
            with pytest.raises(LinkError, match="no reply"):
                await meter.get(IMPORT)
            only(running).clear_faults()
        async with reading(running, 2) as meter:
            assert (await meter.get(IMPORT)).integer() == 1_234_500


async def test_a_refused_association_says_so(dlms: Callable[..., Any], clock: HandClock) -> None:
    async with serve(dlms(NET, {"fault": [{"kind": "refused"}]}), clock) as running:
        with pytest.raises(AssociationRefusedError, match="no reason"):
            async with reading(running, 2):
                pass
        only(running).clear_faults()
        async with reading(running, 2) as meter:
            assert await meter.get(IMPORT)


async def test_a_counter_that_fell_back_is_refused_by_the_client(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(dlms(NET), clock) as running, reading(running, 1) as meter:
        await meter.get(IMPORT)
        only(running).inject(CounterReset())
        with pytest.raises(SecurityError, match="replay"):
            await meter.get(IMPORT)


async def test_a_long_value_whose_rest_is_dropped_is_refused(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    clock.advance(90 * QUARTER_MS)
    async with serve(dlms(NET), clock) as running, reading(running, 1) as meter:
        only(running).inject(BlocksInterrupted())
        with pytest.raises(AccessRefusedError, match="no long get in progress"):
            await meter.rows()
        assert len(await meter.rows(by_entry(1, 3))) == 3, "what is short still passes"
        only(running).clear_faults()
        assert len(await meter.rows()) == 90


@pytest.mark.parametrize("seconds", [5000, -5000])
async def test_a_clock_jumps_and_comes_back(
    dlms: Callable[..., Any], clock: HandClock, seconds: int
) -> None:
    fault = {"kind": "clock_jump", "seconds": seconds, "from_s": 2000, "until_s": 4000}
    config = dlms(NET, {"fault": [fault]})
    async with serve(config, clock) as running, reading(running, 2) as meter:
        for at_s, off_s in ((1999, 0), (2000, seconds), (3999, seconds), (4000, 0)):
            clock.advance(at_s * 1000 - only(running)._measurement.elapsed_ms())
            moment = (await meter.get(CLOCK)).moment()
            assert moment.unix_ms() == clock.now_ms() + off_s * 1000
        clock.advance(3 * QUARTER_MS)
        rows = await meter.rows()
        assert any(row[1] for row in rows)
        for row in rows:
            assert row[0] % QUARTER_MS == 0


async def test_counters_freeze_and_fall_back(dlms: Callable[..., Any], clock: HandClock) -> None:
    clock.advance(QUARTER_MS)
    async with serve(dlms(NET), clock) as running, reading(running, 2) as meter:
        before = (await meter.get(IMPORT)).integer()
        only(running).inject(Frozen())
        clock.advance(40 * QUARTER_MS)
        assert (await meter.get(IMPORT)).integer() == before
        only(running).clear_faults()
        only(running).inject(Rollback(kwh=10**9))  # type: ignore[arg-type]
        now = truth(running, clock.now_ms())[0]
        assert (await meter.get(IMPORT)).integer() in {now - 1000, now - 1001}


async def test_a_pulled_out_adapter_and_a_closed_port_come_back(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    for bus in (SERIAL, NET):
        async with serve(dlms(bus), clock) as running:
            served = running.buses[0]
            async with reading(running, 2) as meter:
                await served.unplug()
                assert not served.plugged
                with pytest.raises(LinkError):
                    await meter.get(IMPORT)
            await served.replug()
            async with reading(running, 2) as meter:
                assert await meter.get(IMPORT)


def pushed_pairs(notice: DataNotification) -> dict[str, Any]:
    items = notice.value.items()
    return {
        str(Obis.from_bytes(name.octets())): value.value
        for name, value in zip(items[::2], items[1::2], strict=True)
    }


async def test_a_meter_pushes_over_tcp_under_its_clients_keys(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(line: StreamLine) -> None:
        reader = WrapperReader()
        while True:
            for wrapped in reader.feed(await line.read()):
                assert (wrapped.source, wrapped.destination) == (1, 1)
                heard.put_nowait(wrapped.message)

    listener = TcpListener(listen, "127.0.0.1")
    await listener.start()
    push = {"every_s": 900, "client": 1, "port": listener.port}
    async with serve(dlms(NET, {"push": push}), clock) as running:
        clock.advance(QUARTER_MS)
        async with asyncio.timeout(5):
            message = await heard.get()
        ciphering = Ciphering(
            keys=OUR_KEYS,
            title=b"GTX\0\0\0\0\1",
            protection=Protection.AUTHENTICATED_ENCRYPTED,
            counter=1,
            peer_title=only(running).title,
        )
        notice = parse_data_notification(ciphering.decipher(message))
        assert notice.time
        assert notice.time.unix_ms() == clock.now_ms()
        pairs = pushed_pairs(notice)
        assert pairs["0-0:42.0.0.255"] == b"SIM12345678"
        energies = (pairs["1-0:1.8.0.255"], pairs["1-0:2.8.0.255"])
        assert energies == truth(running, clock.now_ms())
    await listener.stop()


async def test_a_meter_pushes_on_its_line_in_ui_frames(
    dlms: Callable[..., Any], clock: HandClock
) -> None:
    async with serve(dlms(SERIAL, {"push": {"every_s": 60, "client": 2}}), clock) as running:
        line = SerialLine(str(running.buses[0].path))
        clock.advance(60_000)
        reader, frames = FrameReader(), []
        async with asyncio.timeout(5):
            while not frames:
                frames = list(reader.feed(await line.read()))
        (frame,) = frames
        assert (frame.destination, frame.source) == (
            HdlcAddress.client(2),
            HdlcAddress.server(1, 17),
        )
        notice = parse_data_notification(without_llc(frame.information))
        pairs = pushed_pairs(notice)
        assert pairs["1-0:1.8.0.255"] == truth(running, clock.now_ms())[0]
        line.close()
