"""How long is waited, what may still come, and who gets the line next."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.adaptive_timeout import AdaptiveTimeout
from gridtokenx_edge.modbus.late_replies import LateReplies
from gridtokenx_edge.modbus.line_lock import LineLock

# round trips in ms (None: no reply), and then the wait in ms; ceiling 500, floor 100
WAITS = [
    ([], 500),  # nothing is known yet: the configured time-out
    ([20], 100),  # 20 + 4 × 10 is below the floor
    ([80], 240),  # 80 + 4 × 40 (RFC 6298, 2.2: half of the first one)
    ([80, 80], 200),  # the variation sinks by a quarter: 80 + 4 × 30
    ([80] * 30, 100),
    ([200] * 40, 210),  # steady at 200: the grain is all that is added
    ([100, 100, 140], 257.5),  # 105 + 4 × 38.125 (2.3)
    ([400], 500),  # never beyond what is configured
    ([20, None], 500),  # silence: as long as is allowed, at once
    ([20, None, None, None], 500),
    ([20] * 30 + [None, 300], 335.0),  # it has become slow, and is waited for
    ([20] * 30 + [None, 20], 100),  # only one was lost
]


@pytest.mark.parametrize(("round_trips_ms", "wait_ms"), WAITS)
def test_the_wait_follows_the_round_trips(
    round_trips_ms: list[float | None], wait_ms: float
) -> None:
    timeout = AdaptiveTimeout(0.5, 0.1)
    for ms in round_trips_ms:
        if ms is None:
            timeout.silent()
        else:
            timeout.answered(ms / 1000)
    assert timeout.wait_s() * 1000 == pytest.approx(wait_ms, abs=0.1)


def test_a_long_reply_is_given_the_time_of_its_bytes() -> None:
    timeout = AdaptiveTimeout(0.5, 0.1)
    for _ in range(20):
        timeout.answered(0.02 + 0.05, 0.05)  # 20 ms of thought, 50 ms of bytes
    assert timeout.wait_s(0.05) == pytest.approx(0.15)
    assert timeout.wait_s(0.25) == pytest.approx(0.35), "another length, the same thought"


def test_a_ceiling_below_the_floor_is_kept() -> None:
    timeout = AdaptiveTimeout(0.05, 0.1)
    timeout.answered(0.001)
    assert timeout.wait_s() == 0.05


@given(st.lists(st.none() | st.floats(0, 2), max_size=50), st.floats(0.01, 60), st.floats(0, 1))
def test_the_wait_is_always_between_floor_and_ceiling(
    round_trips_s: list[float | None], ceiling_s: float, wire_s: float
) -> None:
    timeout = AdaptiveTimeout(ceiling_s)
    for round_trip_s in round_trips_s:
        if round_trip_s is None:
            timeout.silent()
        else:
            timeout.answered(round_trip_s, wire_s)
        assert min(0.1, ceiling_s) <= timeout.wait_s(wire_s) <= ceiling_s


A, B, C = (
    Block(fc=4, address=0x34, count=2),
    Block(fc=4, address=0x48, count=2),
    Block(fc=3, address=0xFC00, count=4),
)


def test_what_is_answered_is_owed_no_more() -> None:
    late = LateReplies()
    late.asked(1, A, 0.0)
    late.answered(1, is_refusal=False)
    assert late.of(1, 0.0) is None


@pytest.mark.parametrize(
    ("block", "is_refusal", "is_proof"),
    [
        (B, False, False),  # the same shape: it may have been the late one
        (C, False, True),
        (B, True, False),
        (C, True, True),  # an exception reply to another function code
        (Block(fc=4, address=0, count=9), True, False),
        (Block(fc=4, address=0, count=9), False, True),
    ],
)
def test_only_an_answer_of_another_shape_proves_that_nothing_is_under_way(
    block: Block, is_refusal: bool, is_proof: bool
) -> None:
    late = LateReplies()
    late.asked(1, A, 0.0)
    late.asked(1, block, 1.0)
    late.answered(1, is_refusal=is_refusal)
    assert (late.of(1, 1.0) is None) is is_proof


def test_meters_owe_each_for_itself_and_not_for_ever() -> None:
    late = LateReplies()
    late.asked(1, A, 0.0)
    late.asked(1, C, 20.0)
    owed = late.of(1, 29.0)
    assert owed
    assert (owed.blocks, owed.asked_at_s) == ((A, C), 20.0)
    assert late.of(2, 29.0) is None
    owed = late.of(1, 31.0)
    assert owed
    assert owed.blocks == (C,), "each request has its own time"
    assert late.of(1, 51.0) is None


async def test_the_midst_of_a_reading_goes_before_those_who_came_first() -> None:
    lock, order = LineLock(), []

    async def use(name: str, *, is_urgent: bool = False) -> None:
        async with lock.hold(is_urgent=is_urgent):
            order.append(name)

    async with asyncio.TaskGroup() as tasks, lock.hold():
        for name in "abc":
            tasks.create_task(use(name))
        tasks.create_task(use("urgent", is_urgent=True))
        await asyncio.sleep(0)
    assert order == ["urgent", "a", "b", "c"]


@pytest.mark.parametrize("when", ["waiting", "called"])
async def test_who_leaves_the_queue_stops_nobody(when: str) -> None:
    lock = LineLock()
    done = asyncio.Event()

    async def use() -> None:
        async with lock.hold():
            done.set()

    async with lock.hold():
        leaver, stayer = asyncio.create_task(use()), asyncio.create_task(use())
        await asyncio.sleep(0)
        if when == "waiting":
            leaver.cancel()
    if when == "called":
        leaver.cancel()  # it was its turn already, but it has not run yet
    await asyncio.wait_for(stayer, 1)
    await asyncio.wait([leaver])
    assert leaver.cancelled()
    assert done.is_set()
    async with asyncio.timeout(1), lock.hold():
        pass
