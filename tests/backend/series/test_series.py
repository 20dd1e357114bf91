"""The stored series: packed days, a store that is never wrong, and how it follows the journal."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backend.parts import journal_at, until, writer_on
from tests.backend.village import HOUR_MS, START_MS, Village, convert_terms, frame_input, reading

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.errors import JournalUnavailable, ReplayMismatch
from gridtokenx_backend.journal.sqlite_journal import SqliteJournal
from gridtokenx_backend.replay.replay import verify
from gridtokenx_backend.replay.series_check import SeriesCheck
from gridtokenx_backend.series import keeper as keeper_module
from gridtokenx_backend.series.day import DAY_MS, SLOTS, MeterDay, unpack
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.series.store import Days, SeriesStore, open_series, open_series_readonly

TODAY = START_MS // DAY_MS
T0 = TODAY * DAY_MS


def row(slot: int, energy_uwh: int = 5, quality: int = 4, revision: int = 0) -> IntervalEnergy:
    return IntervalEnergy(
        interval_ms=T0 + slot * INTERVAL_MS,
        import_uwh=energy_uwh,
        export_uwh=2 * energy_uwh,
        quality=quality,
        revision=revision,
    )


@given(
    st.dictionaries(
        st.integers(0, SLOTS - 1),
        st.tuples(
            st.integers(0, 2**62), st.integers(-5, 2**62), st.integers(2, 4), st.integers(0, 2**31)
        ),
    )
)
def test_a_packed_day_is_the_day(slots: dict[int, tuple[int, int, int, int]]) -> None:
    rows = [
        IntervalEnergy(
            interval_ms=T0 + slot * INTERVAL_MS,
            import_uwh=import_uwh,
            export_uwh=export_uwh,
            quality=quality,
            revision=revision,
        )
        for slot, (import_uwh, export_uwh, quality, revision) in sorted(slots.items())
    ]
    day = MeterDay()
    day.put(rows)
    assert unpack(day.pack()).rows(TODAY) == rows


@pytest.mark.parametrize("packed", [b"", b"x", MeterDay().pack()[:-1], MeterDay().pack()[::-1]])
def test_bytes_that_are_no_day_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="expected a packed day"):
        unpack(packed)


def test_an_ordinary_day_costs_about_ten_bytes_an_interval() -> None:
    chance = random.Random(5)
    day = MeterDay()
    day.put(row(slot, chance.randrange(10**8), 4) for slot in range(SLOTS))
    assert len(day.pack()) < 10 * SLOTS


@asynccontextmanager
async def store_in(path: Path | str = "") -> AsyncIterator[SeriesStore]:
    store = await open_series(path)
    try:
        yield store
    finally:
        await store.close()


async def test_a_later_revision_takes_the_place_of_an_earlier_one() -> None:
    async with store_in() as store:
        await store.put({(TODAY, "a"): [row(1), row(2)], (TODAY, "b"): [row(1, 7)]}, 3)
        await store.put({(TODAY, "a"): [row(2, 9, revision=1)]}, 4)
        assert await store.applied() == 4
        assert await store.read("a", T0, T0 + DAY_MS) == [row(1), row(2, 9, revision=1)]
        assert await store.read("b", T0, T0 + DAY_MS) == [row(1, 7)]
        assert await store.read("c", T0, T0 + DAY_MS) == []


@pytest.mark.parametrize(
    ("from_slot", "to_slot", "expected"),
    [
        pytest.param(0, 96, [0, 95], id="a day"),
        pytest.param(1, 96, [95], id="without its first"),
        pytest.param(0, 95, [0], id="without its last"),
        pytest.param(-96, 192, [-1, 0, 95, 96], id="three days"),
        pytest.param(97, 98, [], id="nothing there"),
    ],
)
async def test_a_span_is_from_its_start_to_before_its_end(
    from_slot: int, to_slot: int, expected: list[int]
) -> None:
    async with store_in() as store:
        days = {
            (TODAY - 1, "a"): [row(-1)],
            (TODAY, "a"): [row(0), row(95)],
            (TODAY + 1, "a"): [row(96)],
        }
        await store.put(days, 1)
        found = await store.read("a", T0 + from_slot * INTERVAL_MS, T0 + to_slot * INTERVAL_MS)
        assert [(one.interval_ms - T0) // INTERVAL_MS for one in found] == expected


async def test_a_file_that_is_no_series_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "intervals.db"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(JournalUnavailable, match=r"intervals\.db: .*built anew from the journal"):
        await open_series(path)
    with pytest.raises(JournalUnavailable, match="expected a series"):
        await open_series_readonly(tmp_path / "none.db")


# --- behind a writer ------------------------------------------------------------------------------


class Lane:
    """A writer with a journal, and gateways whose readings close an interval each."""

    def __init__(self, journal: SqliteJournal, writer: Writer, path: Path) -> None:
        self.journal = journal
        self.writer = writer
        self.path = path
        self.village = Village()
        self.steps = 0

    async def begin(self) -> None:
        await self.writer.submit([inputs.configuration_input(convert_terms(self.village.document))])
        await self.read(1)

    async def read(self, count: int) -> None:
        """Submit frames a quarter of an hour apart, each with a reading of ABB-1."""
        village = self.village
        frames = []
        for step in range(self.steps, self.steps + count):
            at_ms = START_MS - 100 * HOUR_MS + step * INTERVAL_MS
            at_ms -= at_ms % INTERVAL_MS
            frames.append(frame_input(village.north.next([reading("ABB-1", at_ms, 10 * step)])))
        self.steps += count
        await self.writer.submit(frames)

    @asynccontextmanager
    async def keeper(self) -> AsyncIterator[SeriesKeeper]:
        async with store_in(self.path) as store:
            keeper = SeriesKeeper(store, self.journal, self.writer)
            running = asyncio.create_task(keeper.run())
            try:
                yield keeper
            finally:
                self.writer.followers.clear()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def count(self, keeper: SeriesKeeper) -> int:
        rows = await keeper.read("ABB-1", 0, START_MS)
        assert all((each.export_uwh, each.quality) == (10, Quality.MEASURED) for each in rows)
        return len(rows)

    async def verified(self) -> int:
        """Return how many stored intervals `replay --verify` compares."""
        stored = await open_series_readonly(self.path)
        try:
            async with store_in() as again:
                check = SeriesCheck(stored, again, await stored.hold())
                return (await verify(self.journal, lambda _: None, check)).intervals
        finally:
            await stored.close()


@pytest.fixture(name="lane")
async def _lane(tmp_path: Path) -> AsyncIterator[Lane]:
    async with journal_at(tmp_path / "journal.db") as journal, writer_on(journal) as writer:
        lane = Lane(journal, writer, tmp_path / "intervals.db")
        await lane.begin()
        yield lane


async def test_an_answer_is_never_behind_the_journal(lane: Lane) -> None:
    async with lane.keeper() as keeper:
        for count in range(1, 6):
            await lane.read(1)
            assert await lane.count(keeper) == count
    assert await lane.verified() == 5


async def test_what_happened_without_it_is_read_from_the_journal(lane: Lane) -> None:
    await lane.read(150)
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 150
    await lane.read(7)
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 157
    assert await lane.verified() == 157


async def test_an_operators_correction_is_in_it(lane: Lane) -> None:
    await lane.read(5)
    async with lane.keeper() as keeper:
        rows = await keeper.read("ABB-1", 0, START_MS)
        first_ms = rows[1].interval_ms
        span = (first_ms, first_ms + 2 * INTERVAL_MS)
        correct = Correct("ABB-1", *span, 3, 31, 0, 20, 0, "a test")
        (committed,) = await lane.writer.submit([inputs.settlement_input(correct)])
        result = committed.result
        assert isinstance(result, MeterCorrected), result
        found = await keeper.read("ABB-1", *span)
        assert [(row.import_uwh, row.export_uwh) for row in found] == [(1, 15), (2, 16)]
        assert {(row.quality, row.revision) for row in found} == {(Quality.SUBSTITUTE, 1)}
    assert await lane.verified() == 5


async def test_more_than_may_be_buffered_is_read_again(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "MAX_BUFFERED", 20)
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 0
        await lane.read(50)
        assert keeper.is_behind
        assert await lane.count(keeper) == 50
        assert not keeper.is_behind


async def test_a_crash_between_two_writes_leaves_it_behind_and_not_wrong(lane: Lane) -> None:
    async with lane.keeper() as keeper:
        await lane.read(10)
        assert await lane.count(keeper) == 10
    with sqlite3.connect(lane.path) as database:  # rows, but not their number
        database.execute("UPDATE applied SET seq = 3")
    database.close()
    await lane.read(3)
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 13
    assert await lane.verified() == 13


async def test_a_stop_after_any_write_leaves_what_verification_finds_right(lane: Lane) -> None:
    async with store_in(lane.path) as store:
        writes = []
        put = store.put

        async def put_once(days: Days, applied: int) -> None:
            if writes:
                raise asyncio.CancelledError
            writes.append(applied)
            await put(days, applied)

        store.put = put_once  # type: ignore[method-assign]
        keeper = SeriesKeeper(store, lane.journal, lane.writer)
        await lane.read(10)
        with suppress(asyncio.CancelledError):
            await keeper._catch_up()
        lane.writer.followers.clear()
    assert writes == [lane.writer.durable_seq]
    assert await lane.verified() == 10


async def test_a_series_of_a_longer_journal_is_built_anew(lane: Lane) -> None:
    async with store_in(lane.path) as store:
        await store.put({(TODAY - 200, "ABB-1"): [row(0)]}, 10_000)
    with pytest.raises(ReplayMismatch, match="has entry 10000, the journal 2"):
        await lane.verified()
    await lane.read(2)
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 2
    assert await lane.verified() == 2


async def test_a_store_that_fails_is_caught_up_with_later(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 0
        store = keeper._store
        working = SeriesStore.put

        async def full(*_: object) -> None:
            raise JournalUnavailable("database or disk is full")

        monkeypatch.setattr(SeriesStore, "put", full)
        await lane.read(4)
        with pytest.raises(JournalUnavailable, match="full"):
            await keeper.read("ABB-1", 0, START_MS)
        monkeypatch.setattr(SeriesStore, "put", working)
        assert keeper.is_behind
        await until(lambda: not keeper.is_behind)
        assert await lane.count(keeper) == 4
        assert await store.applied() == lane.writer.durable_seq


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param("UPDATE day SET slots = (SELECT slots FROM day LIMIT 1)", "differs", id="day"),
        pytest.param("DELETE FROM day WHERE day = (SELECT max(day) FROM day)", "has 1 ", id="gone"),
    ],
)
async def test_a_change_of_the_series_is_found(lane: Lane, change: str, said: str) -> None:
    await lane.read(100)
    async with lane.keeper() as keeper:
        assert await lane.count(keeper) == 100
    assert await lane.verified() == 100
    with sqlite3.connect(lane.path) as database:
        database.execute(change)
    database.close()
    with pytest.raises(ReplayMismatch, match=said):
        await lane.verified()
