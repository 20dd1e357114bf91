"""Billing periods in the core: their order, their surplus, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.backend.village import HOUR_MS, KWH, START_MS, Village

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import OrderRefused, Result
from gridtokenx_backend.core.messages.period_records import (
    FeedIn,
    PeriodChanged,
    PeriodCommand,
    PeriodRefusal,
    PeriodRefused,
)
from gridtokenx_backend.core.model.ledger import FED_IN, GRID, Movement
from gridtokenx_backend.core.state.community import restore

HASH = "0" * 64
END_MS = START_MS + HOUR_MS
NEXT_MS = END_MS + 24 * HOUR_MS


def step(village: Village, status: str, revision: int, **changed: Any) -> Result:
    """A step of May, which ends an hour after the village's beginning."""
    content: dict[str, Any] = {
        "month": "2026-05",
        "from_ms": 0,
        "to_ms": END_MS,
        "documents": [(village.anna.wallet, HASH)],
    }
    command = PeriodCommand(status=status, revision=revision, **(content | changed))  # type: ignore[arg-type]
    return village.apply(inputs.period_input(command))


def taken(result: Result) -> PeriodChanged:
    assert isinstance(result, PeriodChanged), result
    return result


def refused(result: Result) -> PeriodRefusal:
    assert isinstance(result, PeriodRefused), result
    assert result.detail.startswith("expected ")
    return result.reason


@pytest.fixture
def village() -> Village:
    """Anna has 8 kWh of surplus, of which 3 are in an open order; May has ended."""
    village = Village()
    village.give_grid(village.north, "ABB-1", 8 * KWH)
    village.accept(village.anna.order("a", "sell", "3", "0.2"))
    village.at_ms = END_MS
    return village


def fed(village: Village, kwh: int, minted_kwh: int = 8) -> list[FeedIn]:
    return [FeedIn(wallet=village.anna.wallet, minted_uwh=minted_kwh * KWH, fed_in_uwh=kwh * KWH)]


def test_a_month_goes_from_provisional_to_final_to_revised(village: Village) -> None:
    for revision, status in enumerate(["provisional", "provisional", "final", "revised"], 1):
        due = fed(village, 8) if status == "final" else []
        outcome = taken(step(village, status, revision, feed_in=due))
        assert (outcome.status, outcome.revision) == (status, revision)
    period = village.community.periods["2026-05"]
    assert period.entries == sorted(set(period.entries))
    assert (period.status, period.revision) == ("revised", 4)


def test_unsold_surplus_leaves_for_the_utility_and_cannot_be_sold(village: Village) -> None:
    outcome = taken(step(village, "final", 1, feed_in=fed(village, 8)))
    assert outcome.movements == [
        Movement(asset=GRID, debit=village.anna.wallet, credit=FED_IN, amount=8 * KWH)
    ]
    assert outcome.cancelled == [1]
    assert village.grid(village.anna) == (0, 0)
    assert village.balance(FED_IN, GRID) == (8 * KWH, 0)
    again = village.tell(village.anna.order("b", "sell", "1", "0.2", issued_ms=END_MS))
    assert isinstance(again, OrderRefused)
    bought = village.accept(village.ben.order("c", "buy", "1", "0.5", "IOC", issued_ms=END_MS))
    assert bought.trades == []


def test_an_order_stays_if_the_rest_is_enough(village: Village) -> None:
    village.accept(village.ben.order("b", "buy", "1", "0.2", "IOC", issued_ms=END_MS))
    # Seven are left of May, but five of them were minted after its end: those stay.
    outcome = taken(step(village, "final", 1, feed_in=fed(village, 2, minted_kwh=3)))
    assert outcome.cancelled == []
    assert village.grid(village.anna) == (5 * KWH, 2 * KWH)
    assert_sound_with_fed_in(village)


def test_an_order_of_the_auction_gives_way_too(village: Village) -> None:
    order = village.anna.order("i", "sell", "4", "0.2", issued_ms=END_MS)
    resting = village.accept(msgspec.structs.replace(order, segment="interval"))
    assert village.grid(village.anna) == (8 * KWH, 7 * KWH)
    outcome = taken(step(village, "final", 1, feed_in=fed(village, 5, minted_kwh=5)))
    assert outcome.cancelled == [resting.number]
    assert village.grid(village.anna) == (3 * KWH, 3 * KWH)


def assert_sound_with_fed_in(village: Village) -> None:
    ledger = village.community.ledger
    minted_uwh = -ledger.posted("issuer:GRID", GRID)
    wallets_uwh = sum(ledger.posted(wallet, GRID) for wallet in village.community.members)
    assert minted_uwh == wallets_uwh + ledger.posted(FED_IN, GRID)


def test_what_was_bought_is_never_fed_in(village: Village) -> None:
    village.accept(village.ben.order("b", "buy", "2", "0.2", "IOC", issued_ms=END_MS))
    due = [*fed(village, 6), FeedIn(wallet=village.ben.wallet, minted_uwh=0, fed_in_uwh=0)]
    taken(step(village, "final", 1, feed_in=due))
    assert village.grid(village.ben) == (2 * KWH, 0)


@pytest.mark.parametrize(
    ("before", "status", "revision", "changed", "reason"),
    [
        ([], "provisional", 1, {"to_ms": END_MS + 1}, PeriodRefusal.NOT_ENDED),
        ([], "provisional", 1, {"from_ms": END_MS}, PeriodRefusal.BAD_PERIOD),
        ([], "provisional", 1, {"documents": [("w", "ab")]}, PeriodRefusal.BAD_PERIOD),
        ([], "provisional", 1, {"report": "ab"}, PeriodRefusal.BAD_PERIOD),
        ([], "provisional", 2, {}, PeriodRefusal.WRONG_REVISION),
        ([], "revised", 1, {}, PeriodRefusal.WRONG_STATUS),
        (["provisional"], "provisional", 1, {}, PeriodRefusal.WRONG_REVISION),
        (["provisional"], "provisional", 2, {"from_ms": 1}, PeriodRefusal.BAD_PERIOD),
        (["final"], "final", 2, {}, PeriodRefusal.WRONG_STATUS),
        (["final"], "provisional", 2, {}, PeriodRefusal.WRONG_STATUS),
        (
            [],
            "final",
            1,
            {"feed_in": [FeedIn(wallet="nobody", minted_uwh=0, fed_in_uwh=1)]},
            PeriodRefusal.UNKNOWN_WALLET,
        ),
    ],
)
def test_a_step_out_of_place_is_refused_and_changes_nothing(
    village: Village,
    before: list[str],
    status: str,
    revision: int,
    changed: dict[str, Any],
    reason: PeriodRefusal,
) -> None:
    for number, each in enumerate(before, 1):
        taken(step(village, each, number))
    state = village.community.snapshot()
    assert refused(step(village, status, revision, **changed)) is reason
    assert village.community.snapshot() == state


@pytest.mark.parametrize("kwh", [0, 7, 9])
def test_surplus_that_moved_since_the_documents_were_made_is_stale(
    village: Village, kwh: int
) -> None:
    state = village.community.snapshot()
    due = [FeedIn(wallet=village.anna.wallet, minted_uwh=8 * KWH, fed_in_uwh=kwh * KWH)]
    assert refused(step(village, "final", 1, feed_in=due)) is PeriodRefusal.STALE
    assert village.community.snapshot() == state


def test_feed_in_belongs_to_final_alone_and_names_a_wallet_once(village: Village) -> None:
    bad = PeriodRefusal.BAD_PERIOD
    assert refused(step(village, "provisional", 1, feed_in=fed(village, 8))) is bad
    assert refused(step(village, "final", 1, feed_in=2 * fed(village, 8))) is bad


def test_months_become_final_in_order(village: Village) -> None:
    june = {"month": "2026-06", "from_ms": END_MS, "to_ms": NEXT_MS}
    taken(step(village, "provisional", 1))
    village.at_ms = NEXT_MS
    assert refused(step(village, "final", 1, **june)) is PeriodRefusal.OUT_OF_ORDER
    taken(step(village, "final", 2))
    taken(step(village, "final", 1, **june))


def test_a_month_cannot_become_final_after_a_later_one(village: Village) -> None:
    village.at_ms = NEXT_MS
    taken(step(village, "final", 1, month="2026-06", from_ms=END_MS, to_ms=NEXT_MS))
    assert refused(step(village, "final", 1)) is PeriodRefusal.OUT_OF_ORDER


def test_a_snapshot_keeps_periods_and_what_was_minted(village: Village) -> None:
    taken(step(village, "final", 1, feed_in=fed(village, 8)))
    state = village.community.snapshot()
    again = restore(state)
    assert again.snapshot() == state
    assert again.periods == village.community.periods
    assert again.members[village.anna.wallet].minted_uwh == 8 * KWH


def test_a_step_is_journaled_as_it_was_given(village: Village) -> None:
    command = PeriodCommand(
        month="2026-05",
        status="final",
        revision=1,
        from_ms=0,
        to_ms=END_MS,
        documents=[],
        report=HASH,
        feed_in=fed(village, 8),
    )
    input_ = inputs.period_input(command)
    again = inputs.parse("period", input_.raw)
    assert again == input_
    assert msgspec.json.decode(input_.raw)["feed_in"] == [
        [village.anna.wallet, 8 * KWH, 8 * KWH, 0]
    ]


@pytest.mark.parametrize("minted_kwh", [9, 10**9, -1])
def test_a_mark_beyond_what_was_minted_is_refused(village: Village, minted_kwh: int) -> None:
    more = max(0, minted_kwh)
    result = step(village, "final", 1, feed_in=fed(village, more, minted_kwh))
    assert refused(result) is PeriodRefusal.BAD_PERIOD
    assert village.grid(village.anna) == (8 * KWH, 3 * KWH)
