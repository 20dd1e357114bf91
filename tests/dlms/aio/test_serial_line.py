"""A client and a meter on a real pseudo-terminal: loss, delay, noise and silence."""

from __future__ import annotations

import asyncio
import os
import random
import termios
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gridtokenx_dlms.aio.client_transport import HdlcTransport, Timing
from gridtokenx_dlms.aio.line import SerialLine
from gridtokenx_dlms.aio.mode_e_opening import OpeningTiming, open_in_mode_e
from gridtokenx_dlms.aio.server import Conduct
from gridtokenx_dlms.errors import DlmsError, LinkError, MalformedError, UnsupportedError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.mode_e import Identification, with_parity

OPENING = Identification(maker="SIM", baud_code="5", name="1234", speaks_hdlc=True)
HASTY = OpeningTiming(reply_s=0.3, gap_s=0.05, confirmation_s=0.3, retries=1)
SIZES = (0, 1, 63, 64, 65, 1000)


@pytest.mark.parametrize("window", [1, 3])
async def test_messages_of_all_lengths_come_back(bench: Callable[..., Any], window: int) -> None:
    async with bench(
        LinkParameters(
            transmit_length=64, receive_length=64, transmit_window=window, receive_window=window
        )
    ) as b:
        await b.transport.open()
        for size in SIZES:
            assert await b.transport.exchange(b"x" * size) == b"=" + b"x" * size
        await b.transport.close()
        assert not b.station.is_connected


@pytest.mark.parametrize("seed", range(3))
async def test_messages_come_back_once_over_a_line_that_loses_and_damages(
    bench: Callable[..., Any], seed: int
) -> None:
    luck = random.Random(seed)

    def damage(data: bytes) -> bytes:
        at = luck.randrange(len(data))
        match luck.randrange(6):
            case 0:
                return b""
            case 1:
                return data[:at] + data[at + 1 :]
            case 2:
                return data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :]
            case 3:
                return b"\x00\x7e\xa0" + data
        return data

    async with bench() as b:
        b.far.damage = damage
        b.transport._timing = Timing(
            reply_s=0.06, gap_s=0.02, exchange_s=5.0, busy_s=0.01, retries=8
        )
        await b.transport.open()
        messages = [bytes((n,)) * 20 for n in range(12)]
        for message in messages:
            assert await b.transport.exchange(message) == b"=" + message
        assert b.echo.asked == messages


async def test_late_replies_are_taken_and_none_is_mistaken_for_another(
    bench: Callable[..., Any],
) -> None:
    async with bench() as b:
        await b.transport.open()
        b.conduct = Conduct(delay_s=0.2)  # longer than the client waits before it asks again
        for number in range(4):
            message = bytes((number,))
            assert await b.transport.exchange(message) == b"=" + message
        assert len(b.echo.asked) == 4


async def test_a_busy_meter_is_asked_until_it_answers(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        await b.transport.open()
        b.conduct = Conduct(is_busy=True)
        asked = asyncio.create_task(b.transport.exchange(b"?"))
        await asyncio.sleep(0.1)
        assert not asked.done()
        assert b.echo.asked == []
        b.conduct = Conduct()
        assert await asked == b"=?"


async def test_a_meter_that_stays_busy_is_given_up(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        b.transport._timing = msgspec.structs.replace(b.transport._timing, exchange_s=0.2)
        await b.transport.open()
        b.conduct = Conduct(is_busy=True)
        with pytest.raises(LinkError, match=r"no reply within 0\.2 s"):
            await b.transport.exchange(b"?")


async def test_a_meter_that_lost_power_says_dm_and_is_connected_anew(
    bench: Callable[..., Any],
) -> None:
    async with bench() as b:
        await b.transport.open()
        b.station.close()
        with pytest.raises(LinkError, match="DM"):
            await b.transport.exchange(b"?")
        with pytest.raises(LinkError, match="not open"):
            await b.transport.exchange(b"?")
        await b.transport.open()
        assert await b.transport.exchange(b"!") == b"=!"


@pytest.mark.parametrize(("client", "device"), [(17, 1), (16, 2)])
async def test_a_stranger_gets_dm(bench: Callable[..., Any], client: int, device: int) -> None:
    async with bench() as b:
        link = ClientLink(HdlcAddress.client(client), HdlcAddress.server(device, 17))
        with pytest.raises(LinkError, match="DM"):
            await HdlcTransport(b.line, link, b.transport._timing).open()


async def test_silence_is_an_error_in_time(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        await b.transport.open()
        b.conduct = Conduct(is_silent=True)
        started_s = time.monotonic()
        with pytest.raises(LinkError, match="no reply within 150 ms, asked 4 times"):
            await b.transport.exchange(b"?")
        assert time.monotonic() - started_s < 2


async def test_a_line_of_noise_is_an_error_in_time(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        await b.transport.open()
        luck = random.Random(1)
        b.far.damage = lambda _: luck.randbytes(40)
        with pytest.raises(DlmsError):
            await b.transport.exchange(b"?")


async def test_a_line_that_never_falls_silent_is_an_error_in_time(
    bench: Callable[..., Any],
) -> None:
    async with bench() as b:
        await b.transport.open()
        b.conduct = Conduct(is_silent=True)
        b.transport._timing = msgspec.structs.replace(b.transport._timing, exchange_s=0.5)

        async def babble() -> None:
            while True:
                await b.far.write(b"\xaa\x7e")
                await asyncio.sleep(0.01)

        noise = asyncio.create_task(babble())
        started_s = time.monotonic()
        with pytest.raises(LinkError, match="no reply"):
            await b.transport.exchange(b"?")
        assert time.monotonic() - started_s < 2
        noise.cancel()


async def test_the_echo_of_an_optical_head_is_dropped(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        b.far.has_echo = True
        await b.transport.open()
        for size in SIZES:
            assert await b.transport.exchange(b"y" * size) == b"=" + b"y" * size


async def test_what_is_pushed_between_is_passed_on(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        await b.transport.open()
        pushed = b.station.notify(HdlcAddress.client(16), HdlcAddress.server(1, 17), b"push")
        await b.server.notify(pushed)
        assert await b.transport.exchange(b"?") == b"=?"
        assert b.pushed == [b"push"]


async def test_an_adapter_that_is_pulled_out_is_an_error(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        await b.transport.open()
        os.close(b.far._near)
        with pytest.raises(LinkError):
            await b.transport.exchange(b"?")


async def test_only_one_program_has_a_port(bench: Callable[..., Any]) -> None:
    async with bench() as b:
        with pytest.raises(LinkError, match="another program"):
            SerialLine(b.far.path)
        b.line.close()
        SerialLine(b.far.path).close()


async def test_what_is_no_port_or_rate_is_one_line(
    bench: Callable[..., Any], tmp_path: Any
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for path in (file, tmp_path / "none"):
        with pytest.raises(LinkError, match=str(path)):
            SerialLine(str(path))
    async with bench() as b:
        with pytest.raises(ValueError, match="standard baud rate"):
            b.line.set_baud(9601)


# --- mode E ---------------------------------------------------------------------------------------


def speed(fd: int) -> int:
    return int(termios.tcgetattr(fd)[5])


@pytest.mark.parametrize("has_echo", [False, True])
@pytest.mark.parametrize("device", ["", "1234"])
async def test_a_meter_is_opened_in_mode_e_and_left_at_its_rate(
    bench: Callable[..., Any], device: str, has_echo: bool
) -> None:
    async with bench(opening=OPENING) as b:
        b.far.has_echo = has_echo
        assert await open_in_mode_e(b.line, device, HASTY) == OPENING
        assert (b.far.bauds[-1], speed(b.far.far)) == (9600, termios.B9600)
        await b.transport.open()
        assert await b.transport.exchange(b"?") == b"=?"
        b.transport._link.disconnect()
        await b.line.write(b.transport._link.data_to_send())
        async with asyncio.timeout(2):
            await b.far.at_300.wait()
        assert await open_in_mode_e(b.line, device, HASTY) == OPENING


async def test_a_slow_optical_head_gets_a_slower_rate(bench: Callable[..., Any]) -> None:
    async with bench(opening=OPENING) as b:
        await open_in_mode_e(b.line, "", HASTY, baud_limit=2400)
        assert (b.far.bauds[-1], speed(b.far.far)) == (2400, termios.B2400)
        await b.transport.open()


async def test_a_meter_that_does_not_confirm_is_opened_all_the_same(
    bench: Callable[..., Any],
) -> None:
    async with bench(opening=OPENING) as b:
        b.far.damage = lambda data: b"" if data[:1] == b"\x06" else data
        await open_in_mode_e(b.line, "", HASTY)
        await b.transport.open()
        assert await b.transport.exchange(b"?") == b"=?"


@pytest.mark.parametrize("noise", [b"\xff", b"\x00\x80\x01"])
async def test_noise_before_the_identification_is_passed_over(
    bench: Callable[..., Any], noise: bytes
) -> None:
    async with bench(opening=OPENING) as b:
        b.far.damage = lambda data: noise + data
        assert await open_in_mode_e(b.line, "", HASTY) == OPENING


@pytest.mark.parametrize(
    ("device", "answer", "error", "text"),
    [
        ("9999", None, LinkError, "no identification within 300 ms"),
        ("", b"/SIM5\\1 no HDLC\r\n", UnsupportedError, "expected a meter that speaks HDLC"),
        ("", b"/SIMZ\\2X\r\n", MalformedError, "expected an identification"),
        ("", b"what?", MalformedError, "expected an identification"),
        ("", b"/SIM7\\2X\r\n", UnsupportedError, "expected a baud rate"),
    ],
)
async def test_a_meter_that_cannot_be_opened_is_one_line(
    bench: Callable[..., Any],
    device: str,
    answer: bytes | None,
    error: type[DlmsError],
    text: str,
) -> None:
    async with bench(opening=OPENING) as b:
        if answer is not None:
            said = with_parity(answer)
            b.far.damage = lambda _: said
        with pytest.raises(error, match=text):
            await open_in_mode_e(b.line, device, HASTY)
