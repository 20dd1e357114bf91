"""The realtime market: what is acceptable, who trades with whom, and to the last unit for what."""

from __future__ import annotations

import pytest

from gridtokenx_backend.core.market.book import BUY, SELL, Book
from gridtokenx_backend.core.market.charges import fee_ugrx, value_ugrx
from gridtokenx_backend.core.market.continuous_market import ContinuousMarket
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderAccepted, OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import FEES, GRID, GRX, Ledger, Movement, issuer
from gridtokenx_wire.units import MAX_AMOUNT, UWH_PER_KWH

LOT = 1_000_000  # 1 Wh
TICK = 1_000  # 0.001 GRX
KWH = UWH_PER_KWH
GRX_1 = 1_000_000
RULES = MarketRules(
    lot_uwh=LOT,
    tick_ugrx=TICK,
    highest_price_ugrx=1000 * GRX_1,
    largest_order_uwh=1000 * KWH,
    fee_bps=50,
)


class Floor:
    """A market in which everybody begins with 100 kWh and 100 GRX."""

    def __init__(self, rules: MarketRules = RULES) -> None:
        self.ledger = Ledger()
        self.book = Book()
        self.market = ContinuousMarket(self.ledger, self.book, rules)
        self.number = 0
        for wallet in ("anna", "ben", "cleo", "dora"):
            self.fund(wallet, GRID, 100 * KWH)
            self.fund(wallet, GRX, 100 * GRX_1)

    def fund(self, wallet: str, asset: str, amount: int) -> None:
        assert (
            self.ledger.post(
                [Movement(asset=asset, debit=issuer(asset), credit=wallet, amount=amount)]
            )
            is None
        )

    def place(
        self, wallet: str, side: str, quantity: int, price: int, *, rests: bool = True
    ) -> OrderAccepted | OrderRefused:
        self.number += 1
        order = NewOrder(
            number=self.number,
            key=f"{wallet}:{self.number}",
            wallet=wallet,
            side=side,
            price_ugrx=price,
            quantity_uwh=quantity,
            rests=rests,
            zone="main",
        )
        return self.market.place(order, 0)

    def trades(self, *texts: str) -> list[tuple[str, str, int, int]]:
        """(buyer, seller, kWh, µGRX a kWh) of the last of these, such as `"ben buys 5 at 0.25"`."""
        found: list[tuple[str, str, int, int]] = []
        for text in texts:
            wallet, verb, kwh, _, price, *how = text.split()
            outcome = self.place(
                wallet,
                BUY if verb == "buys" else SELL,
                int(kwh) * KWH,
                round(float(price) * GRX_1),
                rests=how != ["IOC"],
            )
            assert isinstance(outcome, OrderAccepted), outcome
            found = [
                (trade.buyer, trade.seller, trade.quantity_uwh // KWH, trade.price_ugrx)
                for trade in outcome.trades
            ]
        return found


@pytest.mark.parametrize(
    ("quantity", "price", "refusal"),
    [
        pytest.param(LOT, 2 * TICK, None, id="the smallest"),
        pytest.param(LOT, TICK, OrderRefusal.NOT_SETTLEABLE, id="its fee takes all"),
        pytest.param(KWH, TICK, OrderRefusal.NOT_SETTLEABLE, id="its smallest fill's does"),
        pytest.param(0, TICK, OrderRefusal.BAD_QUANTITY, id="nothing"),
        pytest.param(-LOT, TICK, OrderRefusal.BAD_QUANTITY, id="less than nothing"),
        pytest.param(LOT - 1, TICK, OrderRefusal.BAD_QUANTITY, id="below a lot"),
        pytest.param(LOT + 1, TICK, OrderRefusal.BAD_QUANTITY, id="above a lot"),
        pytest.param(1000 * KWH - LOT, 2 * TICK, None, id="below the largest"),
        pytest.param(1000 * KWH, 2 * TICK, None, id="the largest"),
        pytest.param(1000 * KWH + LOT, TICK, OrderRefusal.BAD_QUANTITY, id="above the largest"),
        pytest.param(LOT, 0, OrderRefusal.BAD_PRICE, id="for nothing"),
        pytest.param(LOT, -TICK, OrderRefusal.BAD_PRICE, id="for less than nothing"),
        pytest.param(LOT, TICK - 1, OrderRefusal.BAD_PRICE, id="below a tick"),
        pytest.param(LOT, TICK + 1, OrderRefusal.BAD_PRICE, id="above a tick"),
        pytest.param(LOT, 1000 * GRX_1, None, id="the highest price"),
        pytest.param(LOT, 1000 * GRX_1 + TICK, OrderRefusal.BAD_PRICE, id="above the highest"),
        pytest.param(0, 0, OrderRefusal.BAD_QUANTITY, id="quantity is said before price"),
        pytest.param(LOT, 1001 * GRX_1, OrderRefusal.BAD_PRICE, id="price before balance"),
    ],
)
def test_quantity_and_price_have_limits_and_steps(
    quantity: int, price: int, refusal: OrderRefusal | None
) -> None:
    floor = Floor()
    floor.fund("anna", GRX, 10_000 * GRX_1)
    outcome = floor.place("anna", BUY, quantity, price)
    assert (outcome.reason if isinstance(outcome, OrderRefused) else None) is refusal


@pytest.mark.parametrize(
    ("side", "quantity", "price", "accepted"),
    [
        pytest.param(SELL, 100 * KWH, GRX_1, True, id="all one's energy"),
        pytest.param(SELL, 100 * KWH + LOT, GRX_1, False, id="a lot more than one has"),
        pytest.param(BUY, 100 * KWH, GRX_1, True, id="all one's money"),
        pytest.param(BUY, 100 * KWH, GRX_1 + TICK, False, id="a tick dearer"),
        pytest.param(BUY, 100 * KWH + LOT, GRX_1, False, id="a lot more"),
    ],
)
def test_an_order_needs_its_cover(side: str, quantity: int, price: int, accepted: bool) -> None:
    floor = Floor()
    outcome = floor.place("anna", side, quantity, price)
    if accepted:
        asset, cover = (GRID, 100 * KWH) if side == SELL else (GRX, 100 * GRX_1)
        assert floor.ledger.held("anna", asset) == cover
    else:
        assert isinstance(outcome, OrderRefused)
        assert outcome.reason is OrderRefusal.INSUFFICIENT_BALANCE
        assert "expected" in outcome.detail
        assert floor.ledger.held("anna", GRID) == floor.ledger.held("anna", GRX) == 0


def test_a_second_order_needs_cover_of_its_own() -> None:
    floor = Floor()
    floor.place("anna", SELL, 60 * KWH, GRX_1)
    second = floor.place("anna", SELL, 41 * KWH, GRX_1)
    assert isinstance(second, OrderRefused)
    assert isinstance(floor.place("anna", SELL, 40 * KWH, GRX_1), OrderAccepted)


def test_cover_beyond_64_bits_is_a_shortage_and_nothing_else() -> None:
    floor = Floor(
        MarketRules(
            lot_uwh=1,
            tick_ugrx=1,
            highest_price_ugrx=MAX_AMOUNT,
            largest_order_uwh=MAX_AMOUNT,
            fee_bps=0,
        )
    )
    refused = floor.place("anna", BUY, MAX_AMOUNT, MAX_AMOUNT)
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.INSUFFICIENT_BALANCE


@pytest.mark.parametrize(
    ("texts", "trades"),
    [
        pytest.param(["anna sells 5 at 0.2", "ben buys 5 at 0.1"], [], id="apart"),
        pytest.param(
            ["anna sells 5 at 0.2", "ben buys 5 at 0.3"],
            [("ben", "anna", 5, 200_000)],
            id="at the resting price, when that is the ask's",
        ),
        pytest.param(
            ["ben buys 5 at 0.3", "anna sells 5 at 0.2"],
            [("ben", "anna", 5, 300_000)],
            id="at the resting price, when that is the bid's",
        ),
        pytest.param(
            ["anna sells 9 at 0.2", "ben buys 5 at 0.2"],
            [("ben", "anna", 5, 200_000)],
            id="the resting order in part",
        ),
        pytest.param(
            ["anna sells 5 at 0.2", "ben buys 9 at 0.2"],
            [("ben", "anna", 5, 200_000)],
            id="the incoming order in part",
        ),
        pytest.param(
            ["anna sells 5 at 0.2", "ben buys 9 at 0.2", "cleo sells 9 at 0.1"],
            [("ben", "cleo", 4, 200_000)],
            id="what is left rests and trades later",
        ),
        pytest.param(
            [
                "anna sells 5 at 0.3",
                "ben sells 5 at 0.2",
                "cleo sells 5 at 0.2",
                "dora buys 12 at 1",
            ],
            [
                ("dora", "ben", 5, 200_000),
                ("dora", "cleo", 5, 200_000),
                ("dora", "anna", 2, 300_000),
            ],
            id="price before time before nothing",
        ),
        pytest.param(
            ["anna sells 5 at 0.2", "ben buys 9 at 0.2 IOC", "cleo sells 9 at 0.1"],
            [],
            id="what is left of an IOC does not rest",
        ),
        pytest.param(
            ["anna sells 5 at 0.2", "ben sells 5 at 0.2", "anna buys 8 at 0.2"],
            [("anna", "ben", 5, 200_000)],
            id="past one's own offer",
        ),
        pytest.param(
            [
                "anna sells 5 at 0.2",
                "ben sells 5 at 0.2",
                "anna buys 8 at 0.2",
                "cleo buys 9 at 0.2",
            ],
            [("cleo", "anna", 5, 200_000)],
            id="one's own offer was kept for the others",
        ),
        pytest.param(
            [
                "anna sells 5 at 0.2",
                "anna buys 8 at 0.2",
                "cleo sells 9 at 0.2",
            ],
            [("anna", "cleo", 8, 200_000)],
            id="and so was one's own bid",
        ),
    ],
)
def test_orders_trade_at_the_resting_price_by_price_and_time(
    texts: list[str], trades: list[tuple[str, str, int, int]]
) -> None:
    assert Floor().trades(*texts) == trades


@pytest.mark.parametrize(
    ("quantity", "rests", "status", "filled", "remaining"),
    [
        (5, True, "filled", 5, 0),
        (10, True, "filled", 10, 0),
        (11, True, "partly_filled", 10, 1),
        (5, False, "filled", 5, 0),
        (11, False, "cancelled", 10, 1),
    ],
)
def test_an_order_says_what_became_of_it(
    quantity: int, rests: bool, status: str, filled: int, remaining: int
) -> None:
    floor = Floor()
    floor.place("anna", SELL, 10 * KWH, 200_000)
    outcome = floor.place("ben", BUY, quantity * KWH, 300_000, rests=rests)
    assert isinstance(outcome, OrderAccepted)
    assert outcome.status == status
    assert (outcome.filled_uwh, outcome.remaining_uwh) == (filled * KWH, remaining * KWH)
    # Only what rests is still in escrow, at the bid's own price.
    assert floor.ledger.held("ben", GRX) == (remaining * 300_000 if rests else 0)


@pytest.mark.parametrize(("rests", "status"), [(True, "resting"), (False, "cancelled")])
def test_an_order_that_finds_nobody_rests_or_is_given_back(rests: bool, status: str) -> None:
    floor = Floor()
    outcome = floor.place("ben", BUY, 5 * KWH, 300_000, rests=rests)
    assert isinstance(outcome, OrderAccepted)
    assert (outcome.status, outcome.filled_uwh, outcome.remaining_uwh) == (status, 0, 5 * KWH)
    assert (len(floor.book.orders) == 1) is rests


def test_settlement_is_energy_one_way_and_money_the_other() -> None:
    floor = Floor()
    floor.place("anna", SELL, 10 * KWH, 200_000)
    outcome = floor.place("ben", BUY, 4 * KWH, 250_000)
    assert isinstance(outcome, OrderAccepted)
    assert outcome.movements == [
        Movement(asset=GRX, debit="ben", credit="anna", amount=796_000),
        Movement(asset=GRX, debit="ben", credit=FEES, amount=4_000),
        Movement(asset=GRID, debit="anna", credit="ben", amount=4 * KWH),
    ]
    ledger = floor.ledger
    assert ledger.posted("ben", GRX) == 100 * GRX_1 - 800_000
    assert ledger.posted("ben", GRID) == 104 * KWH
    assert ledger.posted("anna", GRX) == 100 * GRX_1 + 796_000
    assert (ledger.posted("anna", GRID), ledger.held("anna", GRID)) == (96 * KWH, 6 * KWH)
    assert ledger.posted(FEES, GRX) == 4_000
    assert ledger.held("ben", GRX) == 0


@pytest.mark.parametrize(
    ("gross", "bps", "fee"),
    [
        (10_000, 0, 0),
        (10_000, 50, 50),
        (10_001, 50, 51),  # 50.005
        (9_999, 50, 50),  # 49.995
        (1, 50, 1),
        (199, 50, 1),
        (200, 50, 1),
        (201, 50, 2),
        (1, 10_000, 1),
        (12_345, 10_000, 12_345),
        (MAX_AMOUNT, 10_000, MAX_AMOUNT),
        (MAX_AMOUNT, 1, 922_337_203_685_478),  # …477.5807
    ],
)
def test_the_fee_is_rounded_up_to_the_next_unit(gross: int, bps: int, fee: int) -> None:
    assert fee_ugrx(gross, bps) == fee


@pytest.mark.parametrize("bps", [0, 1, 50, 5_000, 9_960])
def test_every_unit_of_a_trade_goes_to_somebody(bps: int) -> None:
    floor = Floor(
        MarketRules(
            lot_uwh=LOT,
            tick_ugrx=TICK,
            highest_price_ugrx=1000 * GRX_1,
            largest_order_uwh=1000 * KWH,
            fee_bps=bps,
        )
    )
    floor.place("anna", SELL, 3 * LOT, 333_000)
    outcome = floor.place("ben", BUY, 3 * LOT, 333_000)
    assert isinstance(outcome, OrderAccepted)
    (trade,) = outcome.trades
    assert trade.gross_ugrx == 999
    assert trade.fee_ugrx == -(-999 * bps // 10_000)
    money = [movement for movement in outcome.movements if movement.asset == GRX]
    assert sum(movement.amount for movement in money) == 999
    assert all(movement.amount > 0 for movement in outcome.movements)
    assert floor.ledger.posted("anna", GRX) == 100 * GRX_1 + 999 - trade.fee_ugrx


@pytest.mark.parametrize(
    ("price", "quantity", "value"),
    [
        (TICK, LOT, 1),
        (250_000, 3 * KWH, 750_000),
        (333_000, 7 * LOT, 2_331),
        (1000 * GRX_1, 1_000_000 * KWH, 10**15),
    ],
)
def test_the_value_of_whole_lots_and_ticks_is_exact(price: int, quantity: int, value: int) -> None:
    assert value_ugrx(price, quantity) == value
    assert price * quantity == value * KWH


def test_a_fill_below_the_limit_gives_the_difference_back_at_once() -> None:
    floor = Floor()
    floor.place("anna", SELL, 10 * KWH, 200_000)
    floor.place("ben", BUY, 15 * KWH, 300_000)
    assert floor.ledger.held("ben", GRX) == 5 * 300_000
    assert floor.ledger.available("ben", GRX) == 100 * GRX_1 - 10 * 200_000 - 5 * 300_000


def test_a_cancelled_order_gets_its_escrow_back() -> None:
    floor = Floor()
    floor.place("anna", SELL, 10 * KWH, 200_000)
    floor.place("ben", BUY, 4 * KWH, 200_000)
    floor.market.cancel(floor.book.orders[1])
    assert floor.ledger.available("anna", GRID) == 96 * KWH
    assert floor.trades("cleo buys 1 at 9") == []


@pytest.mark.parametrize(
    ("price", "affordable"),
    [
        (GRX_1, 100 * KWH),
        (3 * GRX_1, 33_333 * LOT),  # 33.3333… kWh, down to whole lots
        (100 * GRX_1, KWH),
        (1000 * GRX_1, KWH // 10),
    ],
)
def test_what_is_affordable_is_whole_lots(price: int, affordable: int) -> None:
    floor = Floor()
    assert floor.market.entry_rules.affordable_uwh("anna", price) == affordable
    assert isinstance(floor.place("anna", BUY, affordable, price), OrderAccepted)
    assert floor.market.entry_rules.affordable_uwh("anna", GRX_1) < KWH


def test_a_full_book_answers_that_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtokenx_backend.core.market.entry_rules.MAX_OPEN_ORDERS", 2)
    floor = Floor()
    assert floor.trades("anna sells 1 at 0.5", "ben sells 1 at 0.5") == []
    refused = floor.place("cleo", BUY, KWH, 500_000)
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.BUSY
    floor.market.cancel(floor.book.orders[1])
    assert floor.trades("cleo buys 1 at 0.5") == [("cleo", "ben", 1, 500_000)]
