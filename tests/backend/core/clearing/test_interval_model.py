"""The interval market against its published rules: whatever is ordered, in every setting."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.interval_village import NAMES, IntervalVillage

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.model.ledger import CONGESTION, GRX
from gridtokenx_backend.core.state.community import restore

STEPS = st.one_of(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("buys", "sells")),
        st.integers(1, 12),
        st.integers(1, 12),
        st.sampled_from(("interval", "interval", "interval", "realtime")),
    ),
    st.just("clear"),
)
LINKS = st.lists(
    st.tuples(
        st.sampled_from((("north", "south"), ("south", "north"), ("south", "west"))),
        st.integers(1, 6),
        st.integers(0, 2),
    ),
    max_size=3,
    unique_by=lambda link: link[0],
)


@settings(max_examples=60, deadline=None)
@given(
    LINKS,
    st.lists(STEPS, max_size=25),
    st.sampled_from(("buyer", "seller")),
    st.sampled_from(("buyer", "seller")),
    st.sampled_from((0, 37)),
)
def test_whatever_is_ordered_is_cleared_as_published_and_every_microgrx_is_somewhere(
    links: list[tuple[tuple[str, str], int, int]],
    steps: list[Any],
    fee_payer: str,
    network_payer: str,
    fee_bps: int,
) -> None:
    terms = [
        {"from": a, "to": b, "capacity_kwh": str(most), "wheeling_grx_per_kwh": f"0.0{cost}"}
        for (a, b), most, cost in links
    ]
    rules = {"fee_payer": fee_payer, "network_payer": network_payer, "fee_bps": fee_bps}
    village = IntervalVillage(terms, market=rules)
    for step in [*steps, "clear"]:
        if step == "clear":
            before = village.community.ledger.posted(CONGESTION, GRX)
            cleared = village.clear()
            village.assert_verified(cleared)
            for trade in cleared.trades:
                parts = trade.net_ugrx + trade.fee_ugrx + trade.wheeling_ugrx + trade.loss_ugrx
                assert trade.gross_ugrx == parts
            rent = sum(link.rent_ugrx for link in cleared.links)
            assert sum(trade.rent_ugrx for trade in cleared.trades) == rent
            assert village.community.ledger.posted(CONGESTION, GRX) - before == rent
        else:
            name, verb, quantity, price, segment = step
            text = f"{name} {verb} {quantity} at 0.{price:02}"
            village.tell(village.order(text, segment=segment))
        village.assert_balanced()
    assert_replayed(village)


def assert_replayed(village: IntervalVillage) -> None:
    """The same inputs make the same state, from the beginning and from any snapshot."""
    fresh = IntervalVillage(village.document["link"], market=village.document["market"]).community
    half = len(village.applied) // 2
    for number, (input_, at_ms) in enumerate(village.applied):
        if number == half:
            assert restore(fresh.snapshot()).snapshot() == fresh.snapshot()
            fresh = restore(fresh.snapshot())
        machine.apply(fresh, input_, at_ms)
    assert fresh.snapshot() == village.community.snapshot()
