"""Refused frames through the writer and a journal on disk, whatever moment a kill comes at."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from tests.backend.parts import StandingClock, journal_at, turns
from tests.backend.refused_frames import FEW, KINDS, MANY, Sender, village_of_two_meters
from tests.backend.village import START_MS, Village, convert_terms, frame_input

from gridtokenx_backend.core.messages.inputs import configuration_input
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.engine.writer import Committed, Writer
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.replay.replay import rebuild, verify

FRAMES = 60
LIVES = 10


class Life:
    """A writer from its start to its end, and what it has told the gateway."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.running = asyncio.create_task(writer.run())

    async def kill(self) -> None:
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running

    async def end(self) -> None:
        self.writer.stop()
        await self.running


async def life_on(journal: Journal, clock: StandingClock) -> Life:
    return Life(Writer(await rebuild(journal), journal, clock, snapshot_every=7))


def next_seq_of(results: list[Committed], before: int) -> int:
    """Return up to where the gateway may forget its frames after these results."""
    for each in results:
        match each.result:
            case FrameAccepted(seq=seq):
                assert each.seq > 0
                before = max(before, seq + 1)
            case FrameRefused(reason=reason, next_seq=next_seq):
                assert reason is FrameRefusal.DUPLICATE
                before = max(before, next_seq)
    return before


def frames_of(village: Village, chance: random.Random) -> list[bytes]:
    """Draw the frames of a gateway; readings come a minute apart, all before START_MS."""
    sender = Sender(village)
    village.at_ms -= FRAMES * 60_000
    sender.first()
    for step in range(FRAMES - 1):
        village.at_ms += 60_000
        sender.frame(chance.choice(KINDS), chance.choice((FEW, MANY)), step)
    return sender.gateway.sent


@pytest.mark.parametrize("seed", range(6))
async def test_kills_at_any_moment_lose_and_double_nothing_and_nothing_is_acked_before_it_is_stored(
    seed: int, tmp_path: Path
) -> None:
    chance, clock = random.Random(seed), StandingClock(START_MS)
    village = village_of_two_meters()
    frames = frames_of(village, chance)
    terms = configuration_input(convert_terms(village.document))
    acked = 0
    for number in range(LIVES):
        async with journal_at(tmp_path / "journal.db") as journal:
            life = await life_on(journal, clock)
            device = life.writer.community.devices.get(village.north.device)
            assert acked <= (device.next_seq if device is not None else 0)
            if device is None:
                await life.writer.submit([terms])
            told: list[asyncio.Future[list[Committed]]] = []
            killed_at = acked + chance.randrange(1, 16) if number < LIVES - 1 else len(frames)
            for start in range(acked, min(killed_at, len(frames)), 4):
                batch = [frame_input(each) for each in frames[start : start + 4]]
                told.append(life.writer.enqueue(batch))
                await turns(chance.randrange(6))
                if chance.random() < 0.5:
                    await told[-1]
            await (life.end() if number == LIVES - 1 else life.kill())
            for each in told:
                if each.done() and not each.cancelled():
                    acked = next_seq_of(each.result(), acked)
    assert acked == len(frames)
    async with journal_at(tmp_path / "journal.db") as journal:
        kinds = [entry.kind async for entry in journal.entries(0)]
        assert kinds[0] == "configure"
        assert len(kinds) == 1 + len(frames)
        assert {"frame", "refused"} == set(kinds[1:])
        state = (await rebuild(journal)).snapshot()
        assert state == life.writer.community.snapshot()
        report = await verify(journal, lambda _: None)
        assert report.signatures == kinds.count("frame")
