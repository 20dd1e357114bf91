"""How much of a bus silent meters may take from those that answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_edge.polling.silent_meter_budget import SilentMeterBudget


def test_silent_meters_wait_until_their_cost_is_no_more_than_their_share() -> None:
    budget = SilentMeterBudget(10)
    budget.answered(1)
    assert budget.wait_s(0.0) == 0
    budget.spend(2, 0.5, 0.5)  # from 0 to 0.5 s
    assert budget.wait_s(0.5) == 4.5, "half a second is a tenth of five"
    budget.spend(3, 0.5, 5.5)
    assert budget.wait_s(5.5) == 4.5, "all of them together"


def test_where_no_meter_answers_nobody_has_to_wait() -> None:
    budget = SilentMeterBudget(10)
    budget.spend(2, 0.5, 1.0)
    assert budget.wait_s(1.0) == 0
    budget.answered(2)
    budget.spend(2, 0.5, 2.0)
    assert budget.wait_s(2.0) == 0, "it has only itself to wait for"
    budget.answered(1)
    budget.spend(2, 0.5, 3.0)
    budget.silent(2)
    assert budget.wait_s(3.0) == 4.5
    budget.silent(1)
    assert budget.wait_s(3.0) == 0


@given(
    st.lists(st.tuples(st.integers(2, 9), st.floats(0.01, 2), st.floats(0, 3)), max_size=60),
    st.integers(1, 100),
)
def test_however_they_fail_silent_meters_keep_to_their_share(
    failures: list[tuple[int, float, float]], percent: int
) -> None:
    budget = SilentMeterBudget(percent)
    budget.answered(1)
    now_s = spent_s = 0.0
    for address, cost_s, idle_s in failures:
        now_s += idle_s
        now_s += budget.wait_s(now_s)
        assert spent_s <= now_s * percent / 100 + 1e-6
        now_s += cost_s
        spent_s += cost_s
        budget.spend(address, cost_s, now_s)
