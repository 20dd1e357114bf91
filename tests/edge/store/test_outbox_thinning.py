"""An outbox without room: thinned, and every reading accounted for."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.edge.store.outboxes import CLOCK, KEY, opened, pragma

from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxUnavailableError
from gridtokenx_edge.store.outbox_schema import StoredFrame
from gridtokenx_wire.frame import head_after, open_frame
from gridtokenx_wire.reading import Reading

T0 = 1_782_000_000_000
DAY_MS = 86_400_000
LEAST = OutboxConfig(max_mb=1)
ROOM_BYTES = 200_000
PUBLIC = KEY.public_key()


@asynccontextmanager
async def small(path: Path) -> AsyncIterator[Outbox]:
    """An outbox with less room than a config may give it, so that it is full soon."""
    async with opened(path) as outbox:
        outbox._most_bytes = ROOM_BYTES
        yield outbox


def polled(at: int, every_ms: int = 10_000, meters: int = 8) -> list[Reading]:
    return [
        Reading(
            meter=f"EASTRON-1000000{n}", time_ms=T0 + at * every_ms, import_uwh=at, export_uwh=at
        )
        for n in range(meters)
    ]


async def thin_all(outbox: Outbox, now_ms: int | None = None) -> int:
    steps = 0
    while await outbox.thin(now_ms):
        steps += 1
    return steps


def check_accounts(frames: list[StoredFrame], stored: int) -> list[Reading]:
    """Follows the chain through summaries; every reading of `stored` is kept or said to be missing.

    Returns those kept.
    """
    kept: list[Reading] = []
    missing = 0
    next_seq, prev = frames[0].first_seq, b""
    for first_seq, seq, message in frames:
        frame = open_frame(message, PUBLIC)
        assert (frame.first_seq, frame.seq) == (first_seq, seq)
        assert first_seq == next_seq
        assert not prev or frame.prev == prev
        next_seq, prev = seq + 1, head_after(frame, message)
        kept += frame.readings()
        missing += frame.left_out
    assert len(kept) + missing == stored
    return kept


async def test_a_full_outbox_is_thinned_to_the_billing_interval_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    async with small(tmp_path / "o.db") as outbox:
        rounds = 0
        while outbox.thinned < 6_000:
            await outbox.append(polled(rounds), CLOCK)
            rounds += 1
            await outbox.thin(None)
            if rounds % 50 == 0:
                assert outbox.used_bytes < 1.1 * ROOM_BYTES
        frames = await outbox.frames(0, 100_000)
        newest = frames[-1]
        assert (newest.first_seq, newest.seq) == (rounds - 1, rounds - 1), "the head stays"
        kept = check_accounts(frames, 8 * rounds)
        times = [each.time_ms for each in kept if each.meter == "EASTRON-10000000"]
        assert times == sorted(set(times))
        assert {each // 900_000 for each in times} == set(
            range(T0 // 900_000, (T0 + (rounds - 1) * 10_000) // 900_000 + 1)
        ), "no billing interval is without a reading"
        summaries = [frame for frame in frames if frame.first_seq < frame.seq]
        assert len(summaries) < 5, "they grow before there is another"
    async with opened(tmp_path / "o.db") as outbox:
        assert await outbox.frames(0, 100_000) == frames
    assert (tmp_path / "o.db").stat().st_size <= 1.5 * ROOM_BYTES


async def test_the_least_room_that_a_config_may_give_is_kept(tmp_path: Path) -> None:
    """Large frames: each of them is a good part of what there is room for."""
    async with opened(tmp_path / "o.db", bounds=LEAST) as outbox:
        for at in range(60):
            readings = [each for n in range(100) for each in polled(100 * at + n)]
            await outbox.append(readings, CLOCK)
            await thin_all(outbox)
        check_accounts(await outbox.frames(0, 1_000), 800 * 60)
    assert (tmp_path / "o.db").stat().st_size <= 1_000_000


async def test_what_does_not_fit_by_the_billing_interval_is_thinned_further(tmp_path: Path) -> None:
    async with small(tmp_path / "o.db") as outbox:
        for at in range(1_400):
            await outbox.append(polled(at, 900_000), CLOCK)
            await outbox.thin(None)
        assert outbox.used_bytes < ROOM_BYTES
        assert not outbox.is_full
        kept = check_accounts(await outbox.frames(0, 100_000), 11_200)
        assert outbox.thinned == 11_200 - len(kept) > 0
        days = {each.time_ms // DAY_MS for each in kept}
        assert days == set(range(T0 // DAY_MS, (T0 + 1399 * 900_000) // DAY_MS + 1))
        assert kept[-8:] == polled(1399, 900_000)


async def test_what_is_too_old_is_thinned_to_days_once_the_clock_is_known(tmp_path: Path) -> None:
    bounds = OutboxConfig(max_age_days=3)
    now_ms = T0 + 9 * DAY_MS
    async with opened(tmp_path / "o.db", bounds=bounds) as outbox:
        for at in range(9 * 96):
            await outbox.append(polled(at, 900_000, 1), CLOCK)
        assert await thin_all(outbox) == 0, "without a clock nothing is old"
        assert await thin_all(outbox, now_ms) > 0
        kept = check_accounts(await outbox.frames(0, 100_000), 9 * 96)
        old = [each for each in kept if each.time_ms < now_ms - 3 * DAY_MS - 900_000]
        assert len(old) <= 7 + 1
        assert len(kept) - len(old) >= 3 * 96
        assert await thin_all(outbox, now_ms) == 0


async def test_acks_within_a_summary_leave_it_and_beyond_it_remove_it(tmp_path: Path) -> None:
    async with small(tmp_path / "o.db") as outbox:
        for at in range(800):
            await outbox.append(polled(at), CLOCK)
        await thin_all(outbox)
        summary, *rest = await outbox.frames(0, 100_000)
        assert summary.first_seq == 0
        assert summary.seq > 300
        assert (await outbox.frames(200, 1)) == [summary], "it stands for 200 too"
        await outbox.discard_below(200)
        assert outbox.oldest_seq == 0
        await outbox.discard_below(summary.seq + 1)
        assert outbox.oldest_seq == rest[0].first_seq == summary.seq + 1
        assert await outbox.frames(0, 100_000) == rest


async def test_a_copy_taken_between_any_two_writes_of_thinning_is_a_whole_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame that was stored is there or stands in a summary, at every point in time."""
    copies: list[Path] = []
    async with small(tmp_path / "o.db") as outbox:
        for at in range(600):
            await outbox.append(polled(at), CLOCK)
        thread = outbox._thread
        assert thread

        def copy_before(statement: str) -> None:
            if statement.startswith(("SELECT", "PRAGMA", "--")):
                return
            folder = tmp_path / f"cut{len(copies)}"
            folder.mkdir()
            copies.append(folder)
            for file in (tmp_path / "o.db", tmp_path / "o.db-wal"):
                shutil.copy(file, folder)

        await thread.call(lambda db: db.set_trace_callback(copy_before))
        assert await outbox.thin(None)
        assert await outbox.thin(None)
        await thread.call(lambda db: db.set_trace_callback(None))
        copy_before("and at the end")
        chain = outbox.chain
    assert len(copies) == 15
    counts = []
    for folder in copies:
        async with opened(folder / "o.db") as copy:
            assert (copy.chain, copy.next_seq) == (chain, 600)
            check_accounts(frames := await copy.frames(0, 100_000), 8 * 600)
            counts.append(len(frames))
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 3, "before, between and after"


async def test_a_disk_that_refuses_while_thinning_keeps_every_frame(tmp_path: Path) -> None:
    async with small(tmp_path / "o.db") as outbox:
        for at in range(600):
            await outbox.append(polled(at), CLOCK)
        await pragma(outbox, "query_only = ON")
        with pytest.raises(OutboxUnavailableError, match="readonly"):
            await outbox.thin(None)
        await pragma(outbox, "query_only = OFF")
        assert len(await outbox.frames(0, 100_000)) == 600
        assert await outbox.thin(None)
        check_accounts(await outbox.frames(0, 100_000), 8 * 600)
