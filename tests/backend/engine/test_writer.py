"""The one writer: nothing is answered before it is durable, whatever the store does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.backend.journal.held_journal import HeldJournal
from tests.backend.parts import StandingClock, journal_at, turns, until, writer_on
from tests.backend.village import KWH, START_MS, Village, order_input

from gridtokenx_backend.core.messages.inputs import FrameInput, OrderInput, TickInput
from gridtokenx_backend.core.messages.outcomes import OrderAccepted, OrderRefused, Repeated, Ticked
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine import writer as writer_module
from gridtokenx_backend.engine.waiting_inputs import MAX_BATCH
from gridtokenx_backend.engine.writer import Committed, Overloaded, Writer
from gridtokenx_backend.errors import Fenced, JournalUnavailable
from gridtokenx_backend.journal.port import Snapshot
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.replay.replay import rebuild

TICK = TickInput()


@pytest.fixture(name="journal")
async def _journal(tmp_path: Path) -> AsyncIterator[HeldJournal]:
    held = HeldJournal(await open_journal(tmp_path / "journal.db"))
    yield held
    await held.close()


@pytest.fixture(name="lane")
def _lane(village: Village) -> Village:
    """A community whose journal begins here: anna has 20 GRID."""
    village.give_grid(village.north, "ABB-1", 20 * KWH)
    village.community.entries = 0
    return village


def ask(lane: Village, client_id: str, kwh: str = "1") -> OrderInput:
    return order_input(lane.anna.sign(lane.anna.order(client_id, "sell", kwh, "0.2")))


# --- durable before said ------------------------------------------------------------------------


async def test_nothing_is_answered_before_it_is_stored(journal: HeldJournal) -> None:
    async with writer_on(journal) as writer:
        answer = writer.enqueue([TICK])
        await journal.waiting.wait()
        await turns()
        assert not answer.done()
        journal.open.set()
        assert await answer == [Committed(result=Ticked(orders=[]), seq=1, at_ms=START_MS)]
        assert await journal.last_seq() == 1


async def test_answers_come_in_the_order_of_what_was_asked(
    journal: HeldJournal, lane: Village
) -> None:
    journal.open.set()
    done: list[str] = []
    async with writer_on(journal, lane.community) as writer:
        asked = {f"a{n}": writer.enqueue([ask(lane, f"a{n}"), TICK]) for n in range(5)}
        for name, answer in asked.items():
            answer.add_done_callback(lambda _, name=name: done.append(name))
        numbers = [[each.seq for each in await answer] for answer in asked.values()]
    assert numbers == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    assert done == list(asked)


async def test_what_changed_nothing_is_not_answered_before_what_it_rests_on(
    journal: HeldJournal, lane: Village
) -> None:
    async with writer_on(journal, lane.community) as writer:
        first = writer.enqueue([ask(lane, "a", "20")])
        await journal.waiting.wait()
        again = writer.enqueue([ask(lane, "a", "20")])
        short = writer.enqueue([ask(lane, "b")])
        await turns()
        assert not again.done()
        assert not short.done()
        journal.open.set()
        (committed,) = await again
        repeated = committed.result
        (committed,) = await short
        refused = committed.result
        assert first.done()
    assert repeated == Repeated(1)
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.INSUFFICIENT_BALANCE


async def test_a_refusal_alone_is_not_stored(journal: HeldJournal, lane: Village) -> None:
    async with writer_on(journal, lane.community) as writer:
        (committed,) = await writer.submit([ask(lane, "a", "21")])
        refused, seq = committed.result, committed.seq
    assert isinstance(refused, OrderRefused)
    assert seq == 0
    assert journal.batches == []


async def test_readers_see_only_what_is_durable(journal: HeldJournal, lane: Village) -> None:
    async with writer_on(journal, lane.community) as writer:
        async with writer.durable_state() as community:
            assert community.book.orders == {}
        writer.enqueue([ask(lane, "a")])
        await journal.waiting.wait()

        async def look() -> tuple[int, int]:
            async with writer.durable_state() as community:
                return len(community.book.orders), await journal.last_seq()

        looking = asyncio.create_task(look())
        await turns()
        assert not looking.done()
        journal.open.set()
        assert await looking == (1, 1)


async def test_readers_get_in_while_there_is_always_something_to_write(
    journal: HeldJournal,
) -> None:
    journal.open.set()
    async with writer_on(journal) as writer:
        backlog = [writer.enqueue([TICK] * MAX_BATCH) for _ in range(30)]
        await backlog[0]
        for _ in range(3):
            async with writer.durable_state() as community:
                assert community.entries == sum(map(len, journal.batches))
                assert not backlog[-1].done()
        await asyncio.gather(*backlog)


async def test_a_reader_is_told_when_the_journal_does_not_answer(
    journal: HeldJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_READ_TIMEOUT_S", 0.01)
    async with writer_on(journal) as writer:
        writer.enqueue([TICK])
        await journal.waiting.wait()
        with pytest.raises(Overloaded, match="journal"):
            async with writer.durable_state():
                pass
        journal.open.set()
        await writer.submit([TICK])
        async with writer.durable_state() as community:
            assert community.entries == 2


# --- batches ------------------------------------------------------------------------------------


async def test_what_waits_is_stored_together_up_to_a_bound(journal: HeldJournal) -> None:
    async with writer_on(journal) as writer:
        first = writer.enqueue([TICK])
        await journal.waiting.wait()
        others = [writer.enqueue([TICK]) for _ in range(2 * MAX_BATCH)]
        journal.open.set()
        await asyncio.gather(first, *others)
    sizes = [len(batch) for batch in journal.batches]
    assert sum(sizes) == 2 * MAX_BATCH + 1
    assert max(sizes) == MAX_BATCH
    assert len(sizes) == 3
    assert [seq for batch in journal.batches for seq in batch] == list(range(1, sum(sizes) + 1))


async def test_what_was_asked_together_is_stored_together(journal: HeldJournal) -> None:
    journal.open.set()
    async with writer_on(journal) as writer:
        together = [writer.enqueue([TICK] * 300) for _ in range(3)]
        await asyncio.gather(*together)
    assert [len(batch) for batch in journal.batches] == [300, 300, 300]


async def test_a_full_queue_is_said_at_once(
    journal: HeldJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED", 10)
    async with writer_on(journal) as writer:
        first = writer.enqueue([TICK])
        await journal.waiting.wait()
        queued = [writer.enqueue([TICK] * 5) for _ in range(2)]
        with pytest.raises(Overloaded):
            writer.enqueue([TICK])
        with pytest.raises(Overloaded):
            await writer.submit([TICK])
        journal.open.set()
        await asyncio.gather(first, *queued)
        await writer.submit([TICK])
    assert await journal.last_seq() == 12


async def test_time_never_runs_backwards_even_if_the_clock_does(journal: HeldJournal) -> None:
    journal.open.set()
    clock = StandingClock()
    writer = Writer(Community(), journal, clock, 10**9)
    running = asyncio.create_task(writer.run())
    times = []
    for at_ms in (START_MS + 5, START_MS, START_MS + 9):
        clock.at_ms = at_ms
        (committed,) = await writer.submit([TICK])
        told_ms = committed.at_ms
        times.append(told_ms - START_MS)
    writer.stop()
    await running
    assert times == [5, 5, 9]
    assert [entry.at_ms - START_MS async for entry in journal.entries(0)] == times


# --- a store that refuses -----------------------------------------------------------------------


async def test_a_store_that_refuses_is_tried_until_it_takes(
    journal: HeldJournal, lane: Village
) -> None:
    journal.open.set()
    journal.refusals = 2
    async with writer_on(journal, lane.community) as writer:
        answer = writer.enqueue([ask(lane, "a")])
        await until(lambda: writer.degraded)
        assert writer.degraded == "database or disk is full"
        behind = writer.enqueue([ask(lane, "b")])
        await turns()
        assert not answer.done()
        assert not behind.done()
        (committed,) = await answer
        accepted, seq = committed.result, committed.seq
        assert isinstance(accepted, OrderAccepted)
        assert seq == 1
        await behind
        assert writer.degraded == ""
    assert journal.batches == [[1], [2]]


@pytest.mark.parametrize("refusals", [0, 1])
async def test_a_commit_in_doubt_is_looked_up_and_not_repeated(
    journal: HeldJournal, refusals: int
) -> None:
    journal.open.set()
    journal.doubts, journal.refusals = 1, refusals
    async with writer_on(journal) as writer:
        answers = await asyncio.gather(*(writer.submit([TICK]) for _ in range(3)))
        assert [committed.seq for (committed,) in answers] == [1, 2, 3]
        assert writer.degraded == ""
        await writer.submit([TICK])
    assert [entry.seq async for entry in journal.entries(0)] == [1, 2, 3, 4]


async def test_anothers_entry_is_not_taken_for_ones_own_commit(journal: HeldJournal) -> None:
    journal.open.set()
    journal.refusals = 1
    writer = Writer(Community(), journal, StandingClock(), 10**9)
    running = asyncio.create_task(writer.run())
    answer = writer.enqueue([TICK])
    await until(lambda: writer.degraded)
    async with writer_on(journal) as other:
        await other.submit([TICK])
    with pytest.raises(Fenced):
        await running
    assert not answer.done()


async def test_another_writer_ends_this_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with journal_at(path) as journal, journal_at(path) as other:
        mine = Writer(Community(), journal, StandingClock(), 10**9)
        running = asyncio.create_task(mine.run())
        async with writer_on(other) as theirs:
            await theirs.submit([TICK])
        answer = mine.enqueue([TICK])
        with pytest.raises(Fenced):
            await running
        assert not answer.done()


async def test_a_bug_in_the_core_ends_the_writer_and_answers_nobody(journal: HeldJournal) -> None:
    journal.open.set()
    writer = Writer(Community(), journal, StandingClock(), 10**9)
    running = asyncio.create_task(writer.run())
    nothing: object = None
    answer = writer.enqueue([TICK, FrameInput(b"", nothing)])  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        await running
    assert not answer.done()
    assert journal.batches == []


# --- stop, snapshots ----------------------------------------------------------------------------


async def test_a_stop_lets_everything_be_stored_first(journal: HeldJournal) -> None:
    writer = Writer(Community(), journal, StandingClock(), 10**9)
    running = asyncio.create_task(writer.run())
    answers = [writer.enqueue([TICK] * 100) for _ in range(20)]
    await journal.waiting.wait()
    writer.stop()
    await turns()
    assert not running.done()
    journal.open.set()
    await running
    assert all(answer.done() for answer in answers)
    assert await journal.last_seq() == 2000


async def test_a_stop_does_not_wait_for_a_store_that_refuses(journal: HeldJournal) -> None:
    journal.open.set()
    journal.refusals = 10**9
    writer = Writer(Community(), journal, StandingClock(), 10**9)
    running = asyncio.create_task(writer.run())
    answers = [writer.enqueue([TICK]) for _ in range(3)]
    await until(lambda: writer.degraded)
    writer.stop()
    await running
    assert not any(answer.done() for answer in answers)
    assert writer.degraded


async def test_an_idle_writer_stops_at_once(journal: HeldJournal) -> None:
    async with writer_on(journal):
        await turns()
    assert journal.batches == []


async def test_a_snapshot_is_saved_every_so_many_entries(journal: HeldJournal) -> None:
    journal.open.set()
    async with writer_on(journal, None, 10) as writer:
        for _ in range(7):
            await writer.submit([TICK] * 3)
        state = writer.community.snapshot()
    assert journal.snapshots == [12]
    assert (await rebuild(journal)).snapshot() == state


async def test_snapshots_are_saved_while_there_is_always_something_to_write(
    journal: HeldJournal,
) -> None:
    journal.open.set()
    async with writer_on(journal, None, MAX_BATCH) as writer:
        await asyncio.gather(*(writer.submit([TICK] * MAX_BATCH) for _ in range(10)))
    assert len(journal.snapshots) >= 5


async def test_no_snapshot_is_a_pity_and_nothing_else(
    journal: HeldJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Snapshot) -> None:
        raise JournalUnavailable("database or disk is full")

    monkeypatch.setattr(journal, "save_snapshot", refuse)
    journal.open.set()
    async with writer_on(journal, None, 1) as writer:
        await writer.submit([TICK])
        await writer.submit([TICK])
    assert (await rebuild(journal)).entries == 2


async def test_an_order_is_gone_at_its_millisecond_before_anything_else_is_applied(
    tmp_path: Path, lane: Village
) -> None:
    async with journal_at(tmp_path / "journal.db") as journal:
        async with writer_on(journal, lane.community) as writer:
            clock = writer._clock
            assert isinstance(clock, StandingClock)
            ends = {"tif": "GTT", "expires_ms": START_MS + 5}
            order = msgspec.structs.replace(lane.anna.order("a", "sell", "1", "0.2"), **ends)
            await writer.submit([order_input(lane.anna.sign(order))])
            clock.at_ms = START_MS + 5
            late = order_input(lane.ben.sign(lane.ben.order("b", "buy", "1", "0.2", "IOC")))
            (bought,) = await writer.submit([late])
            assert isinstance(bought.result, OrderAccepted)
            assert bought.result.trades == []
        kinds = [entry.kind async for entry in journal.entries(0)]
    assert kinds == ["order", "tick", "order"]
