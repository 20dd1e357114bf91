"""What somebody might try on the realtime market: each case ends as the rules say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.village import KWH, NAME, START_MS, Village, assert_sound

from gridtokenx_backend.core.messages.inputs import (
    DUE,
    MarketCommand,
    OrderInput,
    TickInput,
    market_input,
)
from gridtokenx_backend.core.messages.outcomes import OrderAccepted, OrderRefused, Ticked
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import GRID, GRX, Movement, issuer
from gridtokenx_wire.order import Order
from gridtokenx_wire.units import MAX_AMOUNT


def order(village: Village, who: str, side: Any, kwh: str, price: str, **more: Any) -> Any:
    """What becomes of an order of `who`, under an id of its own."""
    wallet = getattr(village, who).wallet
    number = village.community.next_order + 1000 * village.community.entries
    order = Order(
        v=1,
        community=NAME,
        wallet=wallet,
        id=f"o{number}",
        issued_ms=village.at_ms,
        side=side,
        quantity_kwh=kwh,
        price_grx_per_kwh=price,
        **more,
    )
    outcome = village.apply(OrderInput(b"", order))
    assert_sound(village.community)
    return outcome


def fund(village: Village, **uwh: int) -> None:
    for who, amount in uwh.items():
        wallet = getattr(village, who).wallet
        assert (
            village.community.ledger.post(
                [Movement(asset=GRID, debit=issuer(GRID), credit=wallet, amount=amount)]
            )
            is None
        )


def test_two_orders_that_end_in_the_same_millisecond_go_oldest_first(village: Village) -> None:
    fund(village, anna=5 * KWH, ben=5 * KWH)
    ends_ms = START_MS + 10
    for who in ("ben", "anna", "ben"):
        order(village, who, "sell", "1", "0.2", tif="GTT", expires_ms=ends_ms)
    order(village, "anna", "sell", "1", "0.2", tif="GTT", expires_ms=ends_ms - 1)
    assert village.community.due_ms == ends_ms - 1
    village.at_ms = ends_ms - 1
    first = village.apply(TickInput(DUE))
    assert isinstance(first, Ticked)
    assert first.expired == [4]
    assert order(village, "cleo", "buy", "0.5", "0.2").status == "filled"  # a millisecond before
    village.at_ms = ends_ms
    last = village.apply(TickInput(DUE))
    assert isinstance(last, Ticked)
    assert last.expired == [1, 2, 3]
    assert village.community.book.orders == {}
    assert order(village, "cleo", "buy", "1", "0.2", tif="IOC").filled_uwh == 0


def test_an_order_that_is_over_when_it_comes_is_refused(village: Village) -> None:
    for expires_ms in (1, START_MS - 1, START_MS):
        refused = order(village, "cleo", "buy", "1", "0.2", tif="GTT", expires_ms=expires_ms)
        assert refused.reason is OrderRefusal.BAD_EXPIRY
    assert order(village, "cleo", "buy", "1", "0.2", tif="GTT", expires_ms=START_MS + 1).number


def test_expiries_of_orders_that_were_cancelled_do_not_pile_up(village: Village) -> None:
    for number in range(500):
        order(village, "cleo", "buy", "1", "0.2", tif="GTT", expires_ms=START_MS + 10**9 + number)
        (resting,) = village.community.book.orders.values()
        village.community.market.cancel(resting)
    assert len(village.community.book._expiries) < 100
    assert village.community.due_ms > START_MS + 10**12


def test_everyone_at_one_price_is_served_in_the_order_of_arrival(village: Village) -> None:
    fund(village, anna=50 * KWH, ben=50 * KWH)
    for number in range(40):
        order(village, ("anna", "ben")[number % 2], "sell", "1", "0.2")
    taken = order(village, "cleo", "buy", "39.5", "0.2")
    assert [trade.maker for trade in taken.trades] == list(range(1, 41))
    assert [left.remaining_uwh for left in village.community.book.orders.values()] == [KWH // 2]


def test_a_giant_eats_the_book_and_the_rest_of_it_rests(village: Village) -> None:
    fund(village, anna=50 * KWH, ben=50 * KWH)
    for number in range(20):
        order(village, ("anna", "ben")[number % 2], "sell", "0.001", f"0.{200 + number}")
    taken = order(village, "cleo", "buy", "1000", "0.3")
    assert (taken.status, len(taken.trades)) == ("partly_filled", 20)
    assert taken.remaining_uwh == 1000 * KWH - 20 * KWH // 1000


def test_dust_pays_its_fee_and_still_brings_something(village: Village) -> None:
    fund(village, anna=KWH)
    order(village, "anna", "sell", "0.001", "0.002")
    (trade,) = order(village, "cleo", "buy", "0.001", "0.002").trades
    assert (trade.gross_ugrx, trade.fee_ugrx, trade.net_ugrx) == (2, 1, 1)


@pytest.mark.parametrize("tif", ["GTC", "IOC", "FOK"])
def test_what_would_cost_more_than_there_can_be_is_refused(tif: str) -> None:
    """Beyond 2^63-1 µGRX an order is a shortage, and changes nothing."""
    market = {
        "highest_price_grx_per_kwh": "9223372036854",
        "largest_order_kwh": "9223372036",
        "tick_grx_per_kwh": "1",
    }
    village = Village(market=market)
    wallet = village.cleo.wallet
    left = MAX_AMOUNT + village.community.ledger.posted(issuer(GRX), GRX)
    assert (
        village.community.ledger.post(
            [Movement(asset=GRX, debit=issuer(GRX), credit=wallet, amount=left)]
        )
        is None
    )
    before = village.community.snapshot()
    for kwh, price in (("9223372036", "9223372036854"), ("1000", "9223372036")):
        refused = order(village, "cleo", "buy", kwh, price, tif=tif)
        assert isinstance(refused, OrderRefused)
        assert refused.reason is OrderRefusal.INSUFFICIENT_BALANCE
    assert village.community.snapshot() == before
    assert isinstance(order(village, "cleo", "buy", "9", "922337203685", tif=tif), OrderAccepted)


def test_a_members_own_best_offer_hides_nobody_elses(village: Village) -> None:
    fund(village, anna=50 * KWH, ben=50 * KWH)
    order(village, "anna", "sell", "9", "0.1")
    order(village, "ben", "sell", "9", "0.2")
    taken = order(village, "anna", "buy", "9", "0.2", tif="FOK")
    assert [(trade.seller, trade.quantity_uwh) for trade in taken.trades] == [
        (village.ben.wallet, 9 * KWH)
    ]


def test_a_wallet_has_a_bound_of_open_orders(village: Village) -> None:
    village.configure(market={"most_open_orders": 2})
    assert [order(village, "cleo", "buy", "1", "0.2").number for _ in range(2)] == [1, 2]
    refused = order(village, "cleo", "buy", "1", "0.2")
    assert refused.reason is OrderRefusal.BUSY
    assert order(village, "ben", "buy", "1", "0.2").number == 3
    assert order(village, "cleo", "buy", "1", "0.2", tif="IOC").status == "cancelled"


def test_a_buyer_without_the_money_for_a_market_order_is_told_what_it_costs(
    village: Village,
) -> None:
    fund(village, anna=50 * KWH)
    order(village, "anna", "sell", "2", "600")
    refused = order(village, "cleo", "buy", "2", "", type="market", tif="IOC")
    assert refused.detail == "expected 1200.000000 GRX available, got 1000.000000"
    assert order(village, "cleo", "buy", "1", "", type="market", tif="FOK").status == "filled"


def test_a_halt_is_in_the_journal_and_ends_when_the_operator_says_so(village: Village) -> None:
    fund(village, anna=50 * KWH)
    order(village, "anna", "sell", "2", "0.2")
    village.apply(market_input(MarketCommand(action="halt", reason="a fault on the feeder")))
    refused = order(village, "cleo", "buy", "1", "0.2")
    assert refused.reason is OrderRefusal.ZONE_CLOSED
    assert "a fault on the feeder" in refused.detail
    cancel = village.tell(village.anna.cancel("c", "whatever"))
    assert isinstance(cancel, OrderRefused)
    village.apply(market_input(MarketCommand(action="resume", reason="mended")))
    assert order(village, "cleo", "buy", "1", "0.2").status == "filled"


def test_a_halt_of_no_zone_is_refused(village: Village) -> None:
    refused = village.apply(
        market_input(MarketCommand(action="halt", reason="why", zone="nowhere"))
    )
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.UNKNOWN_ZONE


def test_a_post_only_order_trips_no_breaker_for_nothing() -> None:
    zone = {"name": "main", "breaker_bps": 1000, "breaker_pause_s": 300}
    village = Village(zone=[zone])
    fund(village, anna=5 * KWH)
    order(village, "anna", "sell", "1", "0.1")
    order(village, "ben", "buy", "1", "0.1")
    order(village, "anna", "sell", "1", "0.5")
    refused = order(village, "cleo", "buy", "1", "0.6", post_only=True)
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.WOULD_TRADE
    assert "breaker of main" in refused.detail
    assert order(village, "cleo", "buy", "1", "0.2").status == "resting"


def test_what_expires_is_found_without_a_look_at_all_that_will() -> None:
    village = Village()
    fund(village, anna=500 * KWH)
    for number in range(500):
        order(village, "anna", "sell", "1", "0.2", tif="GTT", expires_ms=START_MS + 1 + number)
    book = village.community.book
    for left in range(499, -1, -1):
        village.at_ms += 1
        village.apply(TickInput(DUE))
        assert len(book.orders) == len(book._expiries) == left
