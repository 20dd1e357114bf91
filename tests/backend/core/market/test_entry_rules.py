"""The rules of an order's entry: both segments refuse the same orders for the same reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.backend.core.market.test_continuous_market import GRX_1, KWH, LOT, RULES, TICK, Floor

from gridtokenx_backend.core.market.interval_market import IntervalMarket
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.new_order import NewOrder
from gridtokenx_backend.core.messages.outcomes import OrderAccepted, OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.zones import ZoneRules

BANDED = msgspec.structs.replace(
    RULES,
    zones=(ZoneRules(name="main", floor_ugrx=50 * TICK, ceiling_ugrx=500 * TICK),),
    most_open_orders=2,
)


def new_order(number: int = 1, **changed: Any) -> NewOrder:
    """An order of anna's that both segments take."""
    content: dict[str, Any] = {
        "number": number,
        "key": f"anna:{number}",
        "wallet": "anna",
        "side": "buy",
        "price_ugrx": 100 * TICK,
        "quantity_uwh": KWH,
        "rests": True,
        "zone": "main",
    }
    return NewOrder(**(content | changed))


def place_in_both(
    rules: MarketRules, *orders: NewOrder, begin: Callable[[Floor], None] = lambda _: None
) -> tuple[OrderAccepted | OrderRefused, OrderAccepted | OrderRefused]:
    """What the last of these orders is answered by the segments realtime and interval."""
    continuous, other = Floor(rules), Floor(rules)
    interval = IntervalMarket(other.market.entry_rules)
    begin(continuous)
    begin(other)
    answers = [(continuous.market.place(each, 0), interval.place(each, 0)) for each in orders]
    return answers[-1]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({}, None, id="a usual order"),
        pytest.param({"quantity_uwh": 0}, OrderRefusal.BAD_QUANTITY, id="no quantity"),
        pytest.param({"quantity_uwh": LOT + 1}, OrderRefusal.BAD_QUANTITY, id="half a lot"),
        pytest.param({"quantity_uwh": 1001 * KWH}, OrderRefusal.BAD_QUANTITY, id="too large"),
        pytest.param({"price_ugrx": 0}, OrderRefusal.BAD_PRICE, id="no price"),
        pytest.param({"price_ugrx": 100 * TICK + 1}, OrderRefusal.BAD_PRICE, id="half a tick"),
        pytest.param({"price_ugrx": 49 * TICK}, OrderRefusal.BAD_PRICE, id="below the band"),
        pytest.param({"price_ugrx": 501 * TICK}, OrderRefusal.BAD_PRICE, id="above the band"),
        pytest.param(
            {"quantity_uwh": 1000 * KWH, "price_ugrx": 200 * TICK},
            OrderRefusal.INSUFFICIENT_BALANCE,
            id="more GRX than there is",
        ),
        pytest.param(
            {"side": "sell", "quantity_uwh": 101 * KWH},
            OrderRefusal.INSUFFICIENT_BALANCE,
            id="more GRID than there is",
        ),
        pytest.param(
            {"quantity_uwh": 0, "price_ugrx": 0},
            OrderRefusal.BAD_QUANTITY,
            id="the quantity comes before the price",
        ),
    ],
)
def test_both_segments_refuse_an_order_for_the_same_reason(
    changed: dict[str, Any], reason: OrderRefusal | None
) -> None:
    realtime, interval = place_in_both(BANDED, new_order(**changed))
    assert realtime == interval
    assert (realtime.reason if isinstance(realtime, OrderRefused) else None) is reason


def test_both_segments_refuse_a_lot_whose_fee_takes_all_that_it_brings() -> None:
    realtime, interval = place_in_both(RULES, new_order(price_ugrx=TICK))
    assert realtime == interval
    assert isinstance(realtime, OrderRefused)
    assert realtime.reason is OrderRefusal.NOT_SETTLEABLE


def test_both_segments_refuse_every_order_of_a_halted_zone() -> None:
    def halt(floor: Floor) -> None:
        floor.market.trading.switch("main", "halted", "storm")

    realtime, interval = place_in_both(RULES, new_order(quantity_uwh=0), begin=halt)
    assert realtime == interval
    assert isinstance(realtime, OrderRefused)
    assert realtime.reason is OrderRefusal.ZONE_CLOSED


def test_both_segments_bound_the_open_orders_of_a_wallet() -> None:
    orders = [new_order(number) for number in (1, 2, 3)]
    realtime, interval = place_in_both(BANDED, *orders)
    assert realtime == interval
    assert isinstance(realtime, OrderRefused)
    assert realtime.reason is OrderRefusal.BUSY


def test_both_segments_bound_the_open_orders_of_a_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtokenx_backend.core.market.entry_rules.MAX_OPEN_ORDERS", 1)
    orders = [new_order(1), new_order(2, wallet="ben", key="ben:2")]
    realtime, interval = place_in_both(RULES, *orders)
    assert realtime == interval
    assert isinstance(realtime, OrderRefused)
    assert realtime.reason is OrderRefusal.BUSY


@pytest.mark.parametrize(
    ("quantity_uwh", "lots_uwh"),
    [(0, 0), (-LOT, 0), (LOT - 1, 0), (LOT + 1, LOT), (1001 * KWH, 1000 * KWH)],
)
def test_a_standing_order_asks_for_whole_lots_of_one_order(
    quantity_uwh: int, lots_uwh: int
) -> None:
    assert Floor().market.entry_rules.whole_lots(quantity_uwh) == lots_uwh


@pytest.mark.parametrize(
    ("price_ugrx", "is_regular"),
    [(TICK, True), (0, False), (-TICK, False), (TICK + 1, False), (1001 * GRX_1, False)],
)
def test_a_regular_price_is_a_positive_number_of_ticks_that_is_not_too_high(
    price_ugrx: int, is_regular: bool
) -> None:
    assert Floor().market.entry_rules.is_regular_price(price_ugrx) is is_regular
