"""Cases that other systems' tests publish, where their rule is ours. Figures only."""

from __future__ import annotations

import pytest
from tests.backend.core.auction.books import KWH

from gridtokenx_backend.core.auction.clearing import clear
from gridtokenx_backend.core.auction.orders import BUY, SELL, AuctionOrder

# gridsingularity/gsy-e, tests/market, performs_pay_as_clear_matching: rates of
# offers and of bids for one unit each; clearing rate and energy. Its last two are switched off
# there, for want of a rule at the margin.
GSY_E = [
    ([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7], 4, 4),
    ([1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1], 4, 4),
    ([8, 9, 10, 11, 12, 13, 14], [8, 9, 10, 11, 12, 13, 14], 11, 4),
    ([2, 3, 3, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7], 5, 3),
    ([10, 10, 10, 10, 10, 10, 10], [1, 2, 3, 4, 10, 10, 10], 10, 3),
    ([1, 2, 5, 5, 5, 6, 7], [5, 5, 5, 5, 5, 5, 5], 5, 5),
    ([2, 3, 6, 7, 7, 7, 7], [7, 5, 5, 2, 2, 2, 2], 5, 2),
    ([2, 2, 4, 4, 4, 4, 6], [6, 6, 6, 6, 2, 2, 2], 4, 4),
]


def orders_of(
    offers: list[tuple[str, int, int]], bids: list[tuple[str, int, int]]
) -> list[AuctionOrder]:
    """(wallet, quantity, price) of each side, numbered in this order."""
    entered = [(SELL, *offer) for offer in offers] + [(BUY, *bid) for bid in bids]
    return [
        AuctionOrder(
            number=number, wallet=wallet, side=side, price_ugrx=price, quantity_uwh=quantity
        )
        for number, (side, wallet, quantity, price) in enumerate(entered, start=1)
    ]


@pytest.mark.parametrize(("offers", "bids", "rate", "energy"), GSY_E)
def test_gsy_e_clears_the_same_energy_at_a_rate_in_our_interval(
    offers: list[int], bids: list[int], rate: int, energy: int
) -> None:
    orders = orders_of(
        [("seller", KWH, price) for price in offers], [("buyer", KWH, price) for price in bids]
    )
    found = clear(orders, 1).equilibrium
    assert found.volume_uwh == energy * KWH
    assert found.low_ugrx is not None
    assert found.high_ugrx is not None
    assert found.low_ugrx <= rate <= found.high_ugrx


# powertac/powertac-server, AuctionServiceTests: asks and bids in 0.1 MWh and 0.5 money a MWh, what
# each trades, and the clearing price where the last bid and the last ask that trade are filled
# together or cross at one price. Where one of them is filled in part only, the price there is the
# middle of the two limits and ours is that of the one who waits: None here.
POWER_TAC = [
    ("testActivate1", [("s1", 10, 40)], [("b1", 10, 44)], {1: 10, 2: 10}, 42),
    ("testActivate1_no", [("s1", 10, 46)], [("b1", 10, 44)], {}, None),
    (
        "testActivate1_2_tradeable",
        [("s1", 10, 40)],
        [("b1", 6, 42), ("b2", 6, 44)],
        {1: 10, 2: 4, 3: 6},
        None,
    ),
    (
        "testActivate2_2_tradeable",
        [("s1", 9, 36), ("s2", 10, 40), ("s2", 10, 43)],
        [("b1", 14, 42), ("b2", 6, 44)],
        {1: 9, 2: 10, 4: 13, 5: 6},
        None,
    ),
    (
        "testActivate3_eq_tradeable",
        [("s1", 9, 36), ("s2", 10, 40), ("s2", 10, 42)],
        [("b1", 8, 42), ("b1", 2, 42), ("b1", 2, 42), ("b1", 2, 42), ("b2", 6, 44)],
        {1: 9, 2: 10, 3: 1, 4: 8, 5: 2, 6: 2, 7: 2, 8: 6},
        42,
    ),
]


@pytest.mark.parametrize(
    ("offers", "bids", "filled", "price"), [case[1:] for case in POWER_TAC], ids=lambda _: ""
)
def test_power_tac_fills_the_same_orders(
    offers: list[tuple[str, int, int]],
    bids: list[tuple[str, int, int]],
    filled: dict[int, int],
    price: int | None,
) -> None:
    cleared = clear(orders_of(offers, bids), 1)
    assert {o.number: q for o, q in (*cleared.bids, *cleared.asks)} == filled
    if price is not None:
        assert cleared.price_ugrx == price
