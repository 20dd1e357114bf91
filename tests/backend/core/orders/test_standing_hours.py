"""Standing orders whose price follows the hour, that pause, or that ask the interval's auction."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.settling import NOON_MS, QUARTER_MS, Settling, why
from tests.backend.village import HOUR_MS, KWH, Resident, assert_sound, convert_terms

from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.market.book import BUY, SELL
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import Result, StandingAccepted, Ticked
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.orders import standing_orders
from gridtokenx_backend.core.orders.standing_orders import OrderRequest
from gridtokenx_backend.core.settlement import retirement
from gridtokenx_wire.order import Standing

CURVE = [(13, "0.3"), (14, "0.2")]


@pytest.fixture(name="village")
def _village() -> Settling:
    return Settling()


def stand(village: Settling, who: Resident, side: str, price: str, **more: Any) -> Result:
    head = who._head(f"s{village.community.entries}", village.at_ms, "lane")
    return village.tell(Standing(**head, side=side, price_grx_per_kwh=price, **more))


def accepted(village: Settling, who: Resident, side: str, price: str, **more: Any) -> list[int]:
    outcome = stand(village, who, side, price, **more)
    assert isinstance(outcome, StandingAccepted), outcome
    return outcome.cancelled


def tick(village: Settling, hours: int = 0) -> Ticked:
    outcome = village.tick(village.at_ms + hours * HOUR_MS)
    assert isinstance(outcome, Ticked)
    assert_sound(village.community)
    return outcome


def resting(village: Settling) -> list[tuple[str, int, int]]:
    return [
        (order.side, order.price_ugrx, order.remaining_uwh * 1000 // KWH)
        for order in village.community.book.orders.values()
    ]


def test_what_rests_follows_the_price_of_the_hour(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    accepted(village, village.anna, "sell", "0.1", curve=CURVE)
    tick(village)
    assert resting(village) == [("sell", 100_000, 2000)]
    (first,) = village.community.book.orders
    assert tick(village).withdrawn == []  # the same hour
    assert tick(village, hours=1).withdrawn == [first]
    assert resting(village) == [("sell", 300_000, 2000)]
    tick(village, hours=1)
    assert resting(village) == [("sell", 200_000, 2000)]
    tick(village, hours=10)  # after midnight
    assert resting(village) == [("sell", 100_000, 2000)]


def test_a_buyers_rest_is_ordered_again_at_the_hours_price(village: Settling) -> None:
    accepted(village, village.ben, "buy", "0.1", curve=CURVE)
    village.read("ABB-2", import_uwh=2 * KWH, quarters=1)
    tick(village)
    assert resting(village) == [("buy", 100_000, 2000)]
    village.read("ABB-1", export_uwh=KWH)
    order = village.anna.order("x", "sell", "0.5", "0.1", issued_ms=village.at_ms)
    village.accept(order)
    tick(village, hours=1)
    assert resting(village) == [("buy", 300_000, 1500)]


def test_hours_are_those_of_the_community(village: Settling) -> None:
    village.document["community"] = {"name": "lane", "time_zone": "Asia/Tokyo"}
    zone = look_up("Asia/Tokyo")
    village.apply(inputs.configuration_input(convert_terms(village.document), b"", zone))
    village.read("ABB-1", export_uwh=KWH, quarters=1)
    accepted(village, village.anna, "sell", "0.1", curve=[(20, "0.7"), (22, "0.9")])
    tick(village)  # 12:15 UTC is 21:15
    assert resting(village) == [("sell", 700_000, 1000)]


def test_a_pause_withdraws_and_is_not_made_up_for(village: Settling) -> None:
    accepted(village, village.ben, "buy", "0.1")
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    tick(village)
    (first,) = village.community.book.orders
    assert accepted(village, village.ben, "buy", "0.1", paused=True) == [first]
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    tick(village)
    assert resting(village) == []
    accepted(village, village.ben, "buy", "0.1")
    village.read("ABB-2", import_uwh=KWH // 2, quarters=1)
    tick(village)
    assert resting(village) == [("buy", 100_000, 500)]


def test_what_was_bought_is_not_offered(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    village.trade(village.anna, village.ben, "1")
    accepted(village, village.ben, "sell", "0.1")
    tick(village)
    assert resting(village) == []
    village.read("ABB-2", export_uwh=KWH // 2)
    tick(village)
    assert resting(village) == [("sell", 100_000, 500)]


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ([(0, "0.1"), (23, "0.2")], None),
        ([(hour, "0.1") for hour in range(24)], None),
        ([(24, "0.1")], "bad_price"),
        ([(-1, "0.1")], "bad_price"),
        ([(2, "0.1"), (1, "0.2")], "bad_price"),
        ([(1, "0.1"), (1, "0.2")], "bad_price"),
        ([(1, "0")], "bad_price"),
        ([(1, "0.0001")], "bad_price"),
        ([(1, "cheap")], "bad_price"),
        ([(1, "9999")], "bad_price"),
    ],
)
def test_a_curve_has_limits(
    village: Settling, curve: list[tuple[int, str]], reason: str | None
) -> None:
    before = village.community.snapshot()
    outcome = stand(village, village.anna, "sell", "0.1", curve=curve)
    if reason is None:
        assert isinstance(outcome, StandingAccepted)
        return
    assert why(outcome) == reason
    assert village.community.snapshot() == before


def test_without_an_auction_no_standing_order_asks_it(village: Settling) -> None:
    outcome = stand(village, village.anna, "sell", "0.1", segment="interval")
    assert why(outcome) == "segment_closed"


# --- the interval's orders ----------------------------------------------------------------------


@pytest.fixture(name="auction")
def _auction() -> Settling:
    """With an interval auction; anna sells and ben buys there."""
    village = Settling(interval={"enabled": True})
    village.read("ABB-1", export_uwh=KWH, quarters=4)
    village.read("ABB-2", import_uwh=KWH)
    accepted(village, village.anna, "sell", "0.1", segment="interval", keep_kwh="0.75")
    accepted(village, village.ben, "buy", "0.4", segment="interval", curve=[(13, "0.5")])
    return village


def wishes(village: Settling) -> list[OrderRequest]:
    """What a clearing of all that is closed by now is given."""
    community = village.community
    retirement.book_energy(community, intervals.take(community.meters.values(), village.at_ms))
    return standing_orders.orders_for_interval(community, village.at_ms - QUARTER_MS)


def test_a_clearing_is_given_what_the_meters_moved_once(auction: Settling) -> None:
    wishes(auction)
    auction.read("ABB-1", export_uwh=KWH // 2, quarters=1)
    auction.read("ABB-2", import_uwh=KWH // 4)
    anna, ben = auction.anna.wallet, auction.ben.wallet
    assert wishes(auction) == [
        OrderRequest(wallet=anna, side=SELL, price_ugrx=100_000, quantity_uwh=KWH // 2),
        OrderRequest(wallet=ben, side=BUY, price_ugrx=500_000, quantity_uwh=KWH // 4),
    ]
    assert wishes(auction) == []


def test_what_is_kept_is_not_offered(auction: Settling) -> None:
    offered = [wish for wish in wishes(auction) if wish.side == SELL]
    assert offered == [
        OrderRequest(
            wallet=auction.anna.wallet, side=SELL, price_ugrx=100_000, quantity_uwh=KWH // 4
        )
    ]  # 1 less 0.75


def test_a_silent_meters_energy_is_in_the_clearing_after_it_spoke(auction: Settling) -> None:
    wishes(auction)
    auction.read("ABB-1", export_uwh=KWH // 2, quarters=1)
    assert [wish.wallet for wish in wishes(auction)] == [auction.anna.wallet]
    auction.read("ABB-2", import_uwh=KWH, quarters=3)
    (late,) = wishes(auction)
    assert (late.wallet, late.quantity_uwh) == (auction.ben.wallet, KWH)


def test_less_than_a_lot_waits(auction: Settling) -> None:
    wishes(auction)
    auction.read("ABB-2", import_uwh=KWH // 1000 - 1, quarters=1)
    assert wishes(auction) == []
    auction.read("ABB-2", import_uwh=1, quarters=1)
    (wish,) = wishes(auction)
    assert wish.quantity_uwh == KWH // 1000


def test_what_was_bought_elsewhere_is_not_bought_again(auction: Settling) -> None:
    auction.trade(auction.anna, auction.ben, "0.4")
    assert [wish.quantity_uwh for wish in wishes(auction) if wish.side == BUY] == [6 * KWH // 10]


def test_a_buyer_asks_for_what_is_affordable(auction: Settling) -> None:
    auction.configure(market={"highest_price_grx_per_kwh": "10000"})
    accepted(auction, auction.ben, "buy", "4000", segment="interval")
    found = [wish for wish in wishes(auction) if wish.side == BUY]
    assert [wish.quantity_uwh for wish in found] == [KWH // 4]


def test_the_wishes_trade_in_the_clearing_and_are_retired_in_it(auction: Settling) -> None:
    """From the meters to covered import in one entry."""
    community = auction.community
    auction.at_ms = NOON_MS + 5 * QUARTER_MS + HOUR_MS
    found = []
    while community.clear_due_ms <= auction.at_ms:
        found.append(auction.apply(inputs.clearing_input(community.cleared_ms)))
        assert_sound(community)
    trades = [trade for outcome in found for trade in getattr(outcome, "trades", [])]
    assert [(trade.buyer, trade.seller, trade.quantity_uwh) for trade in trades] == [
        (auction.ben.wallet, auction.anna.wallet, KWH // 4)
    ]
    gone = [each for outcome in found for each in getattr(outcome, "retirements", [])]
    assert sum(each.amount_uwh for each in gone) == KWH // 4
    assert {each.wallet for each in gone} == {auction.ben.wallet}
    assert community.members[auction.ben.wallet].bought_uwh == 0
