"""A wrong clock never gets into the journal, and one that got in can be ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backend.engine.wrong_clock import Machine, guarded_writer, word_of
from tests.backend.parts import journal_at
from tests.backend.village import (
    HOUR_MS,
    KWH,
    START_MS,
    Village,
    convert_terms,
    order_input,
)

from gridtokenx_backend.core.messages.inputs import (
    OrderInput,
    TickInput,
    configuration_input,
)
from gridtokenx_backend.core.messages.outcomes import ClockConfirmed, OrderAccepted, OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.engine.clock_judgement import ClockFault
from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.engine.writer import ClockInDoubt, Writer
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.replay.replay import rebuild

DAY_MS = 24 * HOUR_MS
TICK = TickInput()


@pytest.fixture(name="journal")
async def _journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with journal_at(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture(name="lane")
def _lane(village: Village) -> Village:
    """A community whose journal begins here: anna has 20 GRID."""
    village.give_grid(village.north, "ABB-1", 20 * KWH)
    village.community.entries = 0
    return village


def ask(lane: Village, client_id: str, issued_ms: int = START_MS) -> OrderInput:
    order = lane.anna.order(client_id, "sell", "1", "0.2", issued_ms=issued_ms)
    return order_input(lane.anna.sign(order))


async def fault_of(writer: Writer) -> ClockFault | None:
    writer.look_at_clock()
    assert writer.guard is not None
    return writer.guard.doubt.fault if writer.guard.doubt else None


async def test_a_clock_that_was_wrong_for_a_moment_is_forgiven(
    journal: Journal, lane: Village
) -> None:
    machine = Machine()
    async with guarded_writer(journal, machine, lane.community) as writer:
        await writer.submit([TICK])
        machine.ahead_ms = 365 * DAY_MS
        with pytest.raises(ClockInDoubt, match="set 365 days forward"):
            await writer.submit([TICK])
        assert writer.degradation.parts == [DegradedPart.CLOCK]
        machine.ahead_ms = 0
        assert writer.look_at_clock()
        assert not writer.degradation
        (committed,) = await writer.submit([ask(lane, "a")])
    assert isinstance(committed.result, OrderAccepted)
    assert [entry.at_ms async for entry in journal.entries(0)] == [START_MS, START_MS]


@pytest.mark.parametrize("step_ms", [DAY_MS, -DAY_MS, 3650 * DAY_MS, 60_000, -60_000])
async def test_what_waits_when_the_clock_steps_is_refused_and_not_journaled(
    journal: Journal, lane: Village, step_ms: int
) -> None:
    machine = Machine()
    async with guarded_writer(journal, machine, lane.community) as writer:
        await writer.submit([TICK])
        answers = [writer.enqueue([TICK]) for _ in range(3)]
        machine.ahead_ms = step_ms
        refused = await asyncio.gather(*answers, return_exceptions=True)
        assert all(isinstance(each, ClockInDoubt) for each in refused)
    assert await journal.last_seq() == 1


async def test_the_operators_word_ends_a_doubt_and_is_journaled(
    journal: Journal, lane: Village
) -> None:
    machine = Machine()
    async with guarded_writer(journal, machine, lane.community) as writer:
        await writer.submit([TICK])
        machine.ahead_ms = DAY_MS
        assert await fault_of(writer) is ClockFault.STEPPED
        (committed,) = await writer.submit([word_of(machine)])
        assert committed.result == ClockConfirmed(from_ms=START_MS, to_ms=START_MS + DAY_MS)
        assert not writer.degradation
        await writer.submit([TICK])
        machine.ahead_ms = 0
        assert await fault_of(writer) is ClockFault.STEPPED
    kinds = [(entry.kind, entry.at_ms - START_MS) async for entry in journal.entries(0)]
    assert kinds == [("tick", 0), ("clock", DAY_MS), ("tick", DAY_MS)]


async def test_a_wrong_time_that_got_in_is_set_back_by_the_operator(
    journal: Journal, lane: Village
) -> None:
    machine = Machine(is_synchronised=True)
    async with guarded_writer(journal, machine, lane.community) as writer:
        machine.ahead_ms = DAY_MS  # by a time service that was wrong, before any gateway was heard
        await writer.submit([TICK])
        machine.ahead_ms = 0
        with pytest.raises(ClockInDoubt, match="behind the journal's newest entry"):
            await writer.submit([ask(lane, "a")])
        assert await fault_of(writer) is ClockFault.BEHIND_JOURNAL
        await writer.submit([word_of(machine)])
        (committed,) = await writer.submit([ask(lane, "a")])
        assert isinstance(committed.result, OrderAccepted)
        live = writer.community.snapshot()
    times = [entry.at_ms - START_MS async for entry in journal.entries(0)]
    assert times == [DAY_MS, 0, 0]
    assert await journal.last_seq() == 3
    assert live != Community().snapshot()


async def test_a_journal_that_was_set_back_replays_to_the_same_state(
    journal: Journal, village: Village
) -> None:
    machine = Machine(is_synchronised=True)
    async with guarded_writer(journal, machine, Community()) as writer:
        await writer.submit([configuration_input(convert_terms(village.document))])
        machine.ahead_ms = DAY_MS
        await writer.submit([TICK])
        machine.ahead_ms = 0
        await writer.submit([word_of(machine)])
        await writer.submit([TICK])
        live = writer.community.snapshot()
    assert (await rebuild(journal)).snapshot() == live


async def test_an_order_of_the_time_before_cannot_be_carried_out_twice_after_a_set_back(
    journal: Journal, lane: Village
) -> None:
    machine = Machine(is_synchronised=True)
    async with guarded_writer(journal, machine, lane.community) as writer:
        await writer.submit([ask(lane, "a")])
        machine.ahead_ms = DAY_MS
        await writer.submit([TICK])
        assert not writer.community.completed_instructions  # forgotten with the order window
        machine.ahead_ms = 0
        machine.wait(1000)
        await writer.submit([word_of(machine)])
        (again,) = await writer.submit([ask(lane, "b", START_MS)])
        (fresh,) = await writer.submit([ask(lane, "b", machine.now_ms())])
    assert isinstance(again.result, OrderRefused)
    assert again.result.reason is OrderRefusal.OUTSIDE_WINDOW
    assert isinstance(fresh.result, OrderAccepted)


async def test_an_order_of_the_wrong_time_is_remembered_until_that_time_has_come(
    journal: Journal, lane: Village
) -> None:
    machine = Machine(is_synchronised=True)
    async with guarded_writer(journal, machine, lane.community) as writer:
        machine.ahead_ms = 3 * DAY_MS
        ahead = ask(lane, "ahead", machine.now_ms())
        await writer.submit([ahead])
        machine.ahead_ms = 0
        await writer.submit([word_of(machine)])
        await writer.submit([ask(lane, "b")])
        machine.wait(DAY_MS)
        await writer.submit([TICK])
        ids = [key.partition(":")[2] for key in writer.community.completed_instructions]
        assert ids == ["ahead"]  # and not b, whose window is over


async def test_a_start_after_a_long_outage_waits_for_a_witness(
    journal: Journal, lane: Village
) -> None:
    lane.community.at_ms = START_MS - DAY_MS
    machine = Machine()
    async with guarded_writer(journal, machine, lane.community) as writer:
        assert await fault_of(writer) is ClockFault.UNCONFIRMED_START
        assert writer.guard is not None
        writer.guard.note_frame(b"north", START_MS)
        machine.wait(1000)
        assert await fault_of(writer) is ClockFault.UNCONFIRMED_START
        writer.guard.note_frame(b"south", START_MS + 1000)
        assert await fault_of(writer) is None
        await writer.submit([TICK])


async def test_gateways_remember_the_time_that_the_clock_forgot(
    journal: Journal, lane: Village
) -> None:
    machine = Machine(is_synchronised=True)
    async with guarded_writer(journal, machine, lane.community) as writer:
        await writer.submit([TICK])
        assert writer.guard is not None
        for name in (b"north", b"south"):
            writer.guard.note_frame(name, START_MS)
        machine.wait(60_000)
        machine.ahead_ms = DAY_MS
        assert await fault_of(writer) is ClockFault.STEPPED
        machine.wait(20 * 60_000)  # what they signed is too old to be a witness
        assert await fault_of(writer) is None
