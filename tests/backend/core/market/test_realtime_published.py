"""Cases that other systems' tests publish, where their realtime rule is ours. Figures only."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.core.market.test_continuous_market import GRX_1, KWH, RULES, TICK, Floor

from gridtokenx_backend.core.market.book import BUY, SELL
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderAccepted
from gridtokenx_backend.core.model.ledger import GRID, GRX

_EACH = 10**6
"""What a unit of theirs is here, in µWh and in µGRX: so that nothing is rounded."""


class PublishedFloor(Floor):
    """Everybody has as much as they like; quantities and prices are theirs."""

    def __init__(self) -> None:
        rules = MarketRules(
            lot_uwh=RULES.lot_uwh,
            tick_ugrx=TICK,
            highest_price_ugrx=10**6 * GRX_1,
            largest_order_uwh=RULES.largest_order_uwh,
            fee_bps=0,
        )
        super().__init__(rules)
        for wallet in ("anna", "ben", "cleo"):
            self.fund(wallet, GRID, 10**6 * KWH)
            self.fund(wallet, GRX, 10**9 * GRX_1)

    def submit(
        self, wallet: str, side: str, quantity: int, price: int, how: str = "GTC"
    ) -> list[tuple[int, int, int]]:
        """(number of the resting order, quantity, price) of its trades."""
        self.number += 1
        minimum = quantity * _EACH if how == "FOK" else 0
        order = NewOrder(
            number=self.number,
            key=f"{wallet}:{self.number}",
            wallet=wallet,
            side=side,
            price_ugrx=price * _EACH,
            quantity_uwh=quantity * _EACH,
            rests=how == "GTC",
            zone="main",
            min_quantity_uwh=minimum,
        )
        outcome = self.market.place(order, 0)
        assert isinstance(outcome, OrderAccepted), outcome
        return [
            (trade.maker, trade.quantity_uwh // _EACH, trade.price_ugrx // _EACH)
            for trade in outcome.trades
        ]

    def depth(self, side: str) -> list[tuple[int, int]]:
        """(price, quantity), best first."""
        return [
            (price // _EACH, quantity // _EACH)
            for price, quantity in self.book.depth("main", side, 50)
        ]


# exchange-core/exchange-core, OrderBookBaseTest: a book of thirteen orders (quantity, price), what
# comes, its trades (resting order, quantity, price), and what the changed side is then.
EXCHANGE_CORE_BOOK: list[tuple[str, int, int]] = [
    (SELL, 100, 81600),
    (SELL, 50, 81599),
    (SELL, 25, 81599),
    (BUY, 40, 81593),
    (BUY, 20, 81590),
    (BUY, 1, 81590),
    (BUY, 20, 81200),
    (SELL, 28, 201000),
    (SELL, 32, 201000),
    (SELL, 10, 200954),
    (BUY, 12, 10000),
    (BUY, 1, 10000),
    (BUY, 2, 9136),
]
BIDS = [(81593, 40), (81590, 21), (81200, 20), (10000, 13), (9136, 2)]
ASKS = [(81599, 75), (81600, 100), (200954, 10), (201000, 60)]
ALL_ASKS = [
    (2, 50, 81599),
    (3, 25, 81599),
    (1, 100, 81600),
    (10, 10, 200954),
    (8, 28, 201000),
    (9, 32, 201000),
]
EXCHANGE_CORE: list[tuple[str, tuple[str, int, int, str], list[Any], list[Any], list[Any]]] = [
    (
        "shouldMatchIocOrderPartialBBO",
        (SELL, 10, 1, "IOC"),
        [(4, 10, 81593)],
        [(81593, 30), *BIDS[1:]],
        ASKS,
    ),
    ("shouldMatchIocOrderFullBBO", (SELL, 40, 1, "IOC"), [(4, 40, 81593)], BIDS[1:], ASKS),
    (
        "shouldMatchIocOrderWithTwoLimitOrdersPartial",
        (SELL, 41, 1, "IOC"),
        [(4, 40, 81593), (5, 1, 81590)],
        [(81590, 20), *BIDS[2:]],
        ASKS,
    ),
    ("shouldMatchIocOrderFullLiquidity", (BUY, 175, 400000, "IOC"), ALL_ASKS[:3], BIDS, ASKS[2:]),
    ("shouldMatchIocOrderWithRejection", (BUY, 270, 400000, "IOC"), ALL_ASKS, BIDS, []),
    (
        "shouldFullyMatchMarketableGtcOrder",
        (BUY, 1, 81599, "GTC"),
        [(2, 1, 81599)],
        BIDS,
        [(81599, 74), *ASKS[1:]],
    ),
    (
        "shouldPartiallyMatchMarketableGtcOrderAndPlace",
        (BUY, 77, 81599, "GTC"),
        ALL_ASKS[:2],
        [(81599, 2), *BIDS],
        ASKS[1:],
    ),
    (
        "shouldFullyMatchMarketableGtcOrder2Prices",
        (BUY, 77, 81600, "GTC"),
        [*ALL_ASKS[:2], (1, 2, 81600)],
        BIDS,
        [(81600, 98), *ASKS[2:]],
    ),
    (
        "shouldFullyMatchMarketableGtcOrderWithAllLiquidity",
        (BUY, 1000, 220000, "GTC"),
        ALL_ASKS,
        [(220000, 755), *BIDS],
        [],
    ),
]


@pytest.mark.parametrize(
    ("name", "incoming", "trades", "bids", "asks"),
    EXCHANGE_CORE,
    ids=[row[0] for row in EXCHANGE_CORE],
)
def test_exchange_core_trades_the_same_with_the_same_orders(
    name: str,
    incoming: tuple[str, int, int, str],
    trades: list[tuple[int, int, int]],
    bids: list[tuple[int, int]],
    asks: list[tuple[int, int]],
) -> None:
    floor = PublishedFloor()
    for side, quantity, price in EXCHANGE_CORE_BOOK:
        assert floor.submit("anna", side, quantity, price) == []
    side, quantity, price, how = incoming
    assert floor.submit("ben", side, quantity, price, how) == trades, name
    assert floor.depth(BUY) == bids
    assert floor.depth(SELL) == asks


# The same file's orders that move to another price: (quantity, price), the new price, trades.
EXCHANGE_CORE_MOVES = [
    ("shouldMoveOrderFullyMatchAsMarketable", (20, 81200), 81602, [(2, 20, 81599)]),
    (
        "shouldMoveOrderFullyMatchAsMarketable2Prices",
        (100, 81594),
        81600,
        [*ALL_ASKS[:2], (1, 25, 81600)],
    ),
    ("shouldMoveOrderMatchesAllLiquidity", (246, 81594), 201000, ALL_ASKS),
]


@pytest.mark.parametrize(("name", "order", "price", "trades"), EXCHANGE_CORE_MOVES)
def test_exchange_core_moves_an_order_as_if_it_came_anew(
    name: str, order: tuple[int, int], price: int, trades: list[tuple[int, int, int]]
) -> None:
    floor = PublishedFloor()
    for side, quantity, resting in EXCHANGE_CORE_BOOK:
        floor.submit("anna", side, quantity, resting)
    assert floor.submit("ben", BUY, *order) == []
    (moved,) = [each for each in floor.book.orders.values() if each.wallet == "ben"]
    new = NewOrder(
        number=99,
        key="ben:99",
        wallet="ben",
        side=BUY,
        price_ugrx=price * _EACH,
        quantity_uwh=moved.quantity_uwh,
        rests=True,
        zone="main",
    )
    outcome = floor.market.place(new, 0, replaced=moved)
    assert isinstance(outcome, OrderAccepted), name
    found = [(t.maker, t.quantity_uwh // _EACH, t.price_ugrx // _EACH) for t in outcome.trades]
    assert found == trades


# joaquinbejar/OrderBook-rs, src/orderbook/tests/matching.rs and
# tests/unit/atomic_postonly_fok_tests.rs: asks or bids that rest, then the orders that come, each
# with its trades (resting order, quantity, price).
ORDERBOOK_RS: list[tuple[str, list[tuple[str, int, int]], list[tuple[Any, list[Any]]]]] = [
    (
        "test_partial_fill_preserves_price_time_priority_issue_88",
        [(SELL, 10, 100), (SELL, 10, 100)],
        [
            ((BUY, 4, 100, "GTC"), [(1, 4, 100)]),
            ((BUY, 4, 100, "GTC"), [(1, 4, 100)]),
            ((BUY, 5, 100, "GTC"), [(1, 2, 100), (2, 3, 100)]),
        ],
    ),
    (
        "test_limit_buy_favorable_price_match",
        [(SELL, 50, 100)],
        [((BUY, 50, 105, "GTC"), [(1, 50, 100)])],
    ),
    (
        "test_limit_sell_unfavorable_price_no_match",
        [(BUY, 50, 90)],
        [((SELL, 50, 95, "GTC"), [])],
    ),
    (
        "test_match_across_multiple_price_levels",
        [(SELL, 20, 100), (SELL, 30, 101), (SELL, 40, 102)],
        [((BUY, 70, 10_000, "IOC"), [(1, 20, 100), (2, 30, 101), (3, 20, 102)])],
    ),
    (
        "test_market_sell_partial_match",
        [(BUY, 30, 90)],
        [((SELL, 50, 1, "IOC"), [(1, 30, 90)])],
    ),
    (
        "multi_level_fok_all_or_nothing_deterministic",
        [(SELL, 5, 100), (SELL, 5, 101)],
        [((BUY, 15, 101, "FOK"), []), ((BUY, 10, 101, "FOK"), [(1, 5, 100), (2, 5, 101)])],
    ),
]


@pytest.mark.parametrize(
    ("name", "resting", "coming"), ORDERBOOK_RS, ids=[row[0] for row in ORDERBOOK_RS]
)
def test_orderbook_rs_trades_the_same(
    name: str, resting: list[tuple[str, int, int]], coming: list[tuple[Any, list[Any]]]
) -> None:
    floor = PublishedFloor()
    for order in resting:
        assert floor.submit("anna", *order) == []
    assert [floor.submit("ben", *order) for order, _ in coming] == [want for _, want in coming], (
        name
    )


# gridsingularity/gsy-framework, test_pay_as_bid_matching_algorithm: bids rest, and offers come
# one by one in the order in which that algorithm takes them: bids of one price there are taken
# newest first, so they come in the opposite order here. Prices in hundredths. Trades: (the bid's
# place, quantity, price) of each offer. Nobody trades with oneself.
GSY: list[tuple[str, list[tuple[str, int, int]], list[tuple[str, int, int]], list[list[Any]]]] = [
    (
        "single_offer_bid, too dear",
        [("ben", 20, 300)],
        [("anna", 30, 310)],
        [[]],
    ),
    ("single_offer_bid", [("ben", 20, 300)], [("anna", 30, 100)], [[(1, 20, 300)]]),
    (
        "single_offer_multiple_bids",
        [("anna", 20, 300), ("cleo", 20, 300), ("ben", 20, 300)],
        [("anna", 70, 100)],
        [[(2, 20, 300), (3, 20, 300)]],
    ),
    (
        "single_bid_multiple_offers",
        [("ben", 70, 300)],
        [("cleo", 10, 100), ("ben", 20, 100), ("anna", 20, 100)],
        [[(1, 10, 300)], [], [(1, 20, 300)]],
    ),
    (
        "multiple_offers_bids, market1",
        [("anna", 10, 100), ("ben", 15, 200), ("cleo", 20, 300)],
        [("anna", 25, 101), ("cleo", 35, 240), ("ben", 30, 500)],
        [[(3, 20, 300), (2, 5, 200)], [], []],
    ),
    (
        "multiple_offers_bids, market2",
        [("anna", 40, 150), ("ben", 45, 200), ("cleo", 50, 600)],
        [("cleo", 65, 100), ("ben", 60, 100), ("anna", 55, 100)],
        [[(2, 45, 200), (1, 20, 150)], [(3, 50, 600), (1, 10, 150)], []],
    ),
    ("buyer_seller_same_no_pay_as_bid_match", [("anna", 20, 300)], [("anna", 25, 100)], [[]]),
]


@pytest.mark.parametrize(("name", "bids", "offers", "trades"), GSY, ids=[row[0] for row in GSY])
def test_gsy_pays_as_bid_what_resting_bids_pay_here(
    name: str,
    bids: list[tuple[str, int, int]],
    offers: list[tuple[str, int, int]],
    trades: list[list[tuple[int, int, int]]],
) -> None:
    floor = PublishedFloor()
    for wallet, quantity, price in bids:
        assert floor.submit(wallet, BUY, quantity, price) == [], name
    found = [floor.submit(wallet, SELL, quantity, price) for wallet, quantity, price in offers]
    assert found == trades
