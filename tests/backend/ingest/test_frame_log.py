"""Whoever may send frames fills no log: one line for each device and reason, then one a minute."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backend.parts import until
from tests.backend.running import Site, site_in
from tests.backend.village import Gateway, reading

from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.ingest.frame_log import FrameLog
from gridtokenx_backend.repeat_log import RepeatLog
from gridtokenx_wire.cose import split
from gridtokenx_wire.frame import Gap, build_frame, decode_frame, frame_hash, seal_frame
from gridtokenx_wire.topics import frames_topic

NOW_MS = time.time_ns() // 1_000_000 - 60_000
LEFT_OUT = "a gateway left readings out"
NOT_TAKEN = "a frame was not taken"


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_in(tmp_path) as site:
        yield site


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.due: list[Callable[[], None]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def later(self, _: float, then: Callable[[], None]) -> None:
        self.due.append(then)


def summary_of(gateway: Gateway, frames: int) -> bytes:
    """A summary of the gateway's first frames, which keeps the newest reading."""
    for second in range(frames):
        gateway.next([reading("ABB-1", NOW_MS + 1000 * second)])
    newest = decode_frame(split(gateway.sent[-1])[2])
    gap = Gap(
        first_seq=0,
        head=frame_hash(gateway.sent[-1]),
        meter_index=(0,),
        count=(frames - 1,),
        first_ms=(NOW_MS,),
        last_ms=(NOW_MS + 1000 * (frames - 2),),
    )
    readings = newest.readings()
    frame = build_frame(
        gateway.device, gateway.chain, frames - 1, bytes(32), newest.clock, readings, gap
    )
    return seal_frame(frame, gateway.key)


async def test_a_summary_that_is_sent_again_and_again_is_told_once_when_it_is_taken(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    await site.start()
    north = site.village.north
    link = await site.link(north)
    message = summary_of(north, 5)
    for _ in range(300):
        await link.publish(message)
    await until(lambda: site.dropped().get("duplicate") == 299)
    out, err = capfd.readouterr()
    assert (out + err).count(LEFT_OUT) == 1


async def test_a_summary_that_is_not_taken_is_not_told(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    await site.start()
    north = site.village.north
    link = await site.link(north)
    message = summary_of(north, 5)
    await site.pause(True)
    await link.publish(message)
    await until(lambda: site.dropped() == {"oracle_paused": 1})
    out, err = capfd.readouterr()
    assert LEFT_OUT not in out + err


async def test_a_flood_of_bad_frames_is_one_line_for_each_device_and_reason(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    await site.start()
    link = await site.link(site.village.north)
    topic = frames_topic("lane", "a device that nobody knows" * 4)
    for _ in range(200):
        await link.publish(b"garbage")
        await link.publish(site.village.north.seal([reading("ABB-1", 0)]), topic)
    await until(lambda: sum(site.dropped().values()) == 400)
    out, err = capfd.readouterr()
    assert (out + err).count(NOT_TAKEN) == 2
    assert "nobody knows" not in out + err


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        (FrameRefusal.BAD_SIGNATURE, 1),
        (FrameRefusal.WRONG_CHAIN, 1),
        (FrameRefusal.FORKED, 1),
        (FrameRefusal.DUPLICATE, 0),
        (FrameRefusal.GAP, 0),
    ],
)
def test_only_what_is_unusual_is_told(reason: FrameRefusal, lines: int) -> None:
    kept = Lines()
    log = FrameLog(RepeatLog(kept, kept.later))
    for _ in range(50):
        log.dropped(reason, "device")
    assert len(kept.lines) == lines
