"""When bytes arrive on a paced wire: worked out, and measured through real pseudo-terminals."""

from __future__ import annotations

import asyncio
import os
import termios
import time
import tty
from pathlib import Path

import pytest

from gridtokenx_sim.line.alarm import Alarm
from gridtokenx_sim.line.line import Line
from gridtokenx_sim.line.timing import WireTiming

# baud; ms that a byte takes (8N1: ten bits) and a silence between frames
SPEEDS = [(1_200, 8.3333, 29.1667), (9_600, 1.0417, 3.6458), (38_400, 0.2604, 1.75)]


@pytest.mark.parametrize(("baud", "byte_ms", "silence_ms"), SPEEDS)
def test_a_request_and_its_reply_take_their_bits_and_a_silence(
    baud: int, byte_ms: float, silence_ms: float
) -> None:
    pace = WireTiming(baud)
    request_ms = pace.request(8, 1.0) * 1000
    assert request_ms == pytest.approx(1000 + 8 * byte_ms, abs=0.01)
    reply_ms = pace.reply(9, 1.0) * 1000
    assert reply_ms == pytest.approx(request_ms + silence_ms + 9 * byte_ms, abs=0.01)


def test_a_meter_that_thinks_longer_than_the_silence_is_that_much_later() -> None:
    pace = WireTiming(9_600)
    end_s = pace.request(8, 1.0)
    assert end_s
    assert pace.reply(9, end_s + 0.5) == pytest.approx(end_s + 0.5 + 9 / 960)


def test_what_comes_in_pieces_takes_as_long_as_in_one() -> None:
    pace = WireTiming(9_600)
    for piece in (3, 3, 2):
        end_s = pace.request(piece, 1.0)
    assert end_s == pytest.approx(1.0 + 8 / 960)
    assert pace.reply(4, end_s) < pace.reply(5, end_s)
    assert pace.reply(1, end_s) == pytest.approx(end_s + pace.silence_s + 10 / 960)


def test_a_request_too_soon_after_a_reply_is_lost() -> None:
    pace = WireTiming(9_600)
    pace.request(8, 1.0)
    end_s = pace.reply(9, 1.0)
    assert pace.request(8, end_s + pace.silence_s - 0.0001) is None
    assert pace.request(8, end_s + pace.silence_s) == pytest.approx(
        end_s + pace.silence_s + 8 / 960
    )


def test_a_request_may_follow_one_that_nobody_answered() -> None:
    pace = WireTiming(9_600)
    end_s = pace.request(8, 1.0)
    assert pace.request(8, end_s) == pytest.approx(end_s + 8 / 960)


@pytest.mark.parametrize("baud", [9_600, 38_400])
async def test_bytes_through_the_terminals_are_never_early_and_hardly_late(
    tmp_path: Path, baud: int
) -> None:
    """The simulator answers at once here; everything else is the wire's own time."""
    line = Line(tmp_path / "tty", baud, paced=True)
    line.open()
    meters, gateway = (
        os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        for path in (line.meters_port, line.link)
    )
    for terminal in (meters, gateway):
        tty.setraw(terminal)
    attributes = termios.tcgetattr(gateway)
    attributes[4] = attributes[5] = getattr(termios, f"B{baud}")
    termios.tcsetattr(gateway, termios.TCSANOW, attributes)
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[float] = asyncio.Queue()
    loop.add_reader(meters, lambda: os.read(meters, 64) and os.write(meters, bytes(53)))
    loop.add_reader(
        gateway, lambda: heard.put_nowait(time.monotonic() * bool(os.read(gateway, 64)))
    )
    due_s = (8 + 53) * 10 / baud + WireTiming(baud).silence_s
    late_ms = []
    for _ in range(20):
        asked_s = time.monotonic()
        os.write(gateway, bytes(8))
        late_ms.append(1000 * (await asyncio.wait_for(heard.get(), 2) - asked_s - due_s))
        await asyncio.sleep(0.01)
    for terminal in (meters, gateway):
        loop.remove_reader(terminal)
        os.close(terminal)
    line.close()
    assert min(late_ms) >= 0
    assert min(late_ms) < 1, "whatever else this machine does"


async def test_an_alarm_rings_once_at_its_last_time_and_not_after_its_end() -> None:
    rung: list[float] = []
    alarm = Alarm(lambda: rung.append(time.monotonic()))
    now = time.monotonic()
    alarm.set(now + 5)
    alarm.set(now + 0.02)
    await asyncio.sleep(0.06)
    assert len(rung) == 1
    assert rung[0] >= now + 0.02
    alarm.set(now)  # long past: at once
    await asyncio.sleep(0.02)
    assert len(rung) == 2
    alarm.set(time.monotonic() + 0.01)
    alarm.close()
    await asyncio.sleep(0.02)
    assert len(rung) == 2
