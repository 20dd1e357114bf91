"""When a meter is polled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.polling.schedule import Due, first_due, grid_after, is_stranded, next_due


@pytest.mark.parametrize(
    ("now_ms", "every_ms", "due_ms"),
    [(0, 10, 10), (9, 10, 10), (10, 10, 20), (1_782_000_000_001, 900_000, 1_782_000_900_000)],
)
def test_polls_stand_on_multiples_of_their_period(now_ms: int, every_ms: int, due_ms: int) -> None:
    assert grid_after(now_ms, every_ms) == due_ms


@pytest.mark.parametrize(
    ("now_ms", "every_ms", "due_ms"),
    [
        (100_000, 10_000, 100_000),  # the grid point of now may have been polled before a restart
        (103_000, 10_000, 103_000),
        (108_000, 10_000, 108_000),
        (108_001, 10_000, 110_000),
        (100_500, 1_000, 101_000),
        (900_001, 900_000, 900_001),
    ],
)
def test_the_first_poll_does_not_wait_for_the_grid_unless_it_is_near(
    now_ms: int, every_ms: int, due_ms: int
) -> None:
    assert first_due(now_ms, every_ms) == due_ms


@pytest.mark.parametrize(
    ("last_ms", "now_ms", "due"),
    [
        (100, 103, Due(at_ms=110)),
        (100, 109, Due(at_ms=110)),
        (100, 110, Due(at_ms=120, missed=1)),  # the poll took as long as the period
        (100, 147, Due(at_ms=150, missed=4)),
        (100, 31, Due(at_ms=40)),  # the clock was set back
    ],
)
def test_missed_points_are_counted_and_not_made_up_for(last_ms: int, now_ms: int, due: Due) -> None:
    assert next_due(last_ms, now_ms, 10) == due


@pytest.mark.parametrize(
    ("due_ms", "now_ms", "stranded"),
    [(100, 95, False), (100, 100, False), (100, 109, False), (100, 110, True), (100, 89, True)],
)
def test_a_clock_that_was_set_leaves_the_old_grid(due_ms: int, now_ms: int, stranded: bool) -> None:
    assert is_stranded(due_ms, now_ms, 10) is stranded


@given(st.integers(0, 2**42), st.integers(0, 2**42), st.integers(100, 86_400_000))
def test_the_next_point_is_always_ahead_and_at_most_a_period_away(
    last_ms: int, now_ms: int, every_ms: int
) -> None:
    due = next_due(last_ms, now_ms, every_ms)
    assert 0 < due.at_ms - now_ms <= every_ms
    assert due.missed >= 0


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(1.0, 10.0, lambda: 0.0)
    assert [backoff.next_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next_s() == 1


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 200))
def test_jitter_takes_at_most_half_of_a_wait(entropy: float, failures: int) -> None:
    backoff = Backoff(0.5, 60.0, lambda: entropy)
    for _ in range(failures):
        backoff.next_s()
    full = min(60.0, 0.5 * 2 ** min(failures, 32))
    assert full / 2 <= backoff.next_s() <= full
