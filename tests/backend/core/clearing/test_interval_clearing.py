"""The interval market in the core: escrow, timetable, clearing, settlement, and its replay."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.interval_village import FIRST_MS, GRACE_MS, NAMES, IntervalVillage
from tests.backend.village import KWH, NAME, START_MS

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import (
    MarketCommand,
    clearing_input,
    market_input,
    parse,
)
from gridtokenx_backend.core.messages.outcomes import (
    IntervalCleared,
    NotDue,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderRefused,
)
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import CONGESTION, FEES, GRID, GRX, LOSSES, WHEELING
from gridtokenx_backend.core.model.zones import INTERVAL_MS
from gridtokenx_backend.core.orders.standing_orders import OrderRequest
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import Amend, CancelAll

GRX_1 = 10**6
DUE_MS = FIRST_MS + INTERVAL_MS + GRACE_MS
NORTH_SOUTH = {
    "from": "north",
    "to": "south",
    "capacity_kwh": "4",
    "wheeling_grx_per_kwh": "0.02",
    "loss_bps": 100,
    "loss_price_grx_per_kwh": "1",
}


def test_an_order_waits_with_its_cover_in_escrow_until_the_auction() -> None:
    village = IntervalVillage()
    sell = village.accept(village.order("anna sells 5 at 0.2"))
    buy = village.accept(village.order("ben buys 5 at 0.3"))
    assert (sell.status, sell.trades, buy.status, buy.trades) == ("resting", [], "resting", [])
    assert village.grid(village.people["anna"]) == (1000 * KWH, 5 * KWH)
    assert village.grx(village.people["ben"]) == (1000 * GRX_1, 1_500_000)
    village.assert_balanced()


def test_all_who_trade_in_a_zone_trade_at_one_price() -> None:
    village = IntervalVillage(market={"fee_bps": 100})
    village.place("anna sells 5 at 0.2", "ben buys 5 at 0.3")
    cleared = village.clear()
    (trade,) = cleared.trades
    assert (trade.price_ugrx, trade.quantity_uwh) == (250_000, 5 * KWH)
    assert (trade.gross_ugrx, trade.fee_ugrx, trade.net_ugrx) == (1_250_000, 12_500, 1_237_500)
    assert (trade.segment, trade.buyer_zone, trade.seller_zone) == ("interval", "north", "north")
    assert village.change("anna") == (-5 * KWH, 1_237_500)
    assert village.change("ben") == (5 * KWH, -1_250_000)
    assert village.balance(FEES, GRX) == (12_500, 0)
    assert village.community.interval.book.orders == {}
    assert village.community.counters.trades == 1
    village.assert_verified(cleared)
    village.assert_balanced()


def test_what_is_left_of_an_order_waits_for_the_next_interval() -> None:
    village = IntervalVillage()
    village.place("anna sells 5 at 0.2", "ben buys 2 at 0.3")
    assert sum(trade.quantity_uwh for trade in village.clear().trades) == 2 * KWH
    village.place("ben buys 2 at 0.3")
    second = village.clear()
    assert second.interval_ms == FIRST_MS + INTERVAL_MS
    assert [trade.quantity_uwh for trade in second.trades] == [2 * KWH]
    (left,) = village.community.interval.book.orders.values()
    assert left.remaining_uwh == KWH
    village.assert_balanced()


def test_a_buyers_fee_is_part_of_the_escrow_and_what_is_too_much_comes_back() -> None:
    village = IntervalVillage(market={"fee_bps": 100, "fee_payer": "buyer"})
    village.place("anna sells 5 at 0.2", "ben buys 5 at 0.3")
    assert village.grx(village.people["ben"]) == (1000 * GRX_1, 1_515_000)
    (trade,) = village.clear().trades
    assert (trade.gross_ugrx, trade.net_ugrx, trade.fee_ugrx) == (1_262_500, 1_250_000, 12_500)
    assert village.grx(village.people["ben"]) == (1000 * GRX_1 - 1_262_500, 0)
    village.assert_balanced()


def test_the_coupling_pays_seller_network_and_the_full_links_rent_to_the_microgrx() -> None:
    village = IntervalVillage([NORTH_SOUTH], market={"fee_bps": 50})
    village.place("anna sells 9 at 0.1", "cleo buys 9 at 0.5")
    cleared = village.clear()
    (trade,) = cleared.trades
    assert (trade.quantity_uwh, trade.price_ugrx) == (4 * KWH, 100_000)
    assert (trade.wheeling_ugrx, trade.loss_ugrx, trade.rent_ugrx) == (80_000, 40_000, 1_480_000)
    assert trade.gross_ugrx == trade.net_ugrx + trade.fee_ugrx + 80_000 + 40_000
    assert trade.gross_ugrx + trade.rent_ugrx == 4 * 500_000
    assert village.change("cleo") == (4 * KWH, -2_000_000)
    assert village.change("anna") == (-4 * KWH, 400_000 - 2_000)
    paid = [village.balance(account, GRX)[0] for account in (WHEELING, LOSSES, CONGESTION)]
    assert paid == [80_000, 40_000, 1_480_000]
    (link,) = cleared.links
    assert (link.flow_uwh, link.rent_ugrx_per_kwh, link.rent_ugrx) == (4 * KWH, 370_000, 1_480_000)
    assert [zone.coupling_price_ugrx for zone in cleared.zones] == [100_000, 500_000, None]
    village.assert_verified(cleared)
    village.assert_balanced()


def test_where_sellers_pay_the_network_the_same_money_reaches_the_same_accounts() -> None:
    villages = []
    for payer in ("buyer", "seller"):
        village = IntervalVillage([NORTH_SOUTH], market={"network_payer": payer})
        village.place("anna sells 4 at 0.1", "cleo buys 4 at 0.5")
        village.clear()
        villages.append({name: village.change(name) for name in NAMES})
    assert villages[0] == villages[1]


def test_realtime_trades_leave_less_of_a_link_to_the_coupling() -> None:
    village = IntervalVillage([NORTH_SOUTH])
    village.accept(village.order("anna sells 3 at 0.1", segment="realtime"))
    bought = village.accept(village.order("cleo buys 3 at 0.5", segment="realtime"))
    assert bought.status == "filled"
    village.place("anna sells 9 at 0.1", "cleo buys 9 at 0.5")
    village.at_ms = FIRST_MS + INTERVAL_MS + 1
    village.accept(village.order("anna sells 2 at 0.1", segment="realtime"))
    village.accept(village.order("cleo buys 2 at 0.5", segment="realtime"))
    first, second = village.clear(), village.clear()
    assert [first.links[0].capacity_uwh, first.links[0].flow_uwh] == [KWH, KWH]
    assert [second.links[0].capacity_uwh, second.links[0].flow_uwh] == [2 * KWH, 2 * KWH]


def test_without_coupling_zones_keep_to_themselves() -> None:
    village = IntervalVillage([NORTH_SOUTH], interval={"coupling": False})
    village.place("anna sells 9 at 0.1", "cleo buys 9 at 0.5")
    cleared = village.clear()
    assert (cleared.trades, cleared.links) == ([], [])


# --- what is refused ----------------------------------------------------------------------------

WRONG: list[tuple[str, dict[str, Any], OrderRefusal]] = [
    ("anna sells 1 at 0.2", {"tif": "IOC"}, OrderRefusal.CONTRADICTORY),
    ("anna sells 1 at 0.2", {"tif": "FOK"}, OrderRefusal.CONTRADICTORY),
    ("anna sells 1 at 0.2", {"post_only": True}, OrderRefusal.CONTRADICTORY),
    ("anna sells 1 at 0.2", {"min_quantity_kwh": "0.5"}, OrderRefusal.CONTRADICTORY),
    ("anna sells 0.0000001 at 0.2", {}, OrderRefusal.BAD_QUANTITY),
    ("anna sells 1 at 0.20001", {}, OrderRefusal.BAD_PRICE),
    ("anna sells 1001 at 0.2", {}, OrderRefusal.INSUFFICIENT_BALANCE),
    ("anna buys 5001 at 0.2", {}, OrderRefusal.INSUFFICIENT_BALANCE),
    ("anna sells 1 at 0.2", {"tif": "GTT", "expires_ms": 5}, OrderRefusal.BAD_EXPIRY),
]


@pytest.mark.parametrize(("text", "other", "reason"), WRONG)
def test_what_makes_no_sense_in_an_auction_is_refused(
    text: str, other: dict[str, Any], reason: OrderRefusal
) -> None:
    village = IntervalVillage()
    refused = village.tell(village.order(text, **other))
    assert isinstance(refused, OrderRefused)
    assert refused.reason is reason
    village.assert_balanced()


def test_a_community_without_clearings_takes_no_orders_for_them() -> None:
    village = IntervalVillage(interval={"enabled": False})
    refused = village.tell(village.order("anna sells 1 at 0.2"))
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.SEGMENT_CLOSED
    assert isinstance(village.apply(clearing_input(FIRST_MS), DUE_MS), NotDue)


def test_a_market_order_takes_any_price_in_the_zones_band() -> None:
    village = IntervalVillage(
        zone=[{"name": "north", "ceiling_grx_per_kwh": "0.6"}, {"name": "south"}, {"name": "west"}]
    )
    village.place("anna sells 5 at 0.2", "ben buys 5")
    assert village.grx(village.people["ben"])[1] == 5 * 600_000
    assert village.clear().trades[0].price_ugrx == 400_000


# --- changed orders -----------------------------------------------------------------------------


def head(village: IntervalVillage, name: str, client_id: str) -> dict[str, Any]:
    wallet = village.people[name].wallet
    return {
        "v": 1,
        "community": NAME,
        "wallet": wallet,
        "id": client_id,
        "issued_ms": village.at_ms,
    }


def test_an_order_can_be_made_smaller_dearer_and_withdrawn() -> None:
    village = IntervalVillage()
    village.accept(village.order("anna sells 5 at 0.2", "first"))
    village.accept(village.order("ben sells 5 at 0.2", "second"))
    less = village.tell(Amend(**head(village, "anna", "x"), order="first", quantity_kwh="3"))
    assert isinstance(less, OrderAmended)
    assert less.number == less.former
    assert village.grid(village.people["anna"]) == (1000 * KWH, 3 * KWH)
    dearer = village.tell(
        Amend(**head(village, "anna", "y"), order="first", price_grx_per_kwh="0.3")
    )
    assert isinstance(dearer, OrderAmended)
    assert dearer.number > less.number
    assert village.clear().trades == []
    village.assert_balanced()
    gone = village.tell(village.people["anna"].cancel("z", "first", issued_ms=village.at_ms))
    assert isinstance(gone, OrderCancelled)
    village.tell(CancelAll(**head(village, "ben", "w"), segment="interval"))
    assert village.community.interval.book.orders == {}
    village.assert_balanced()


def test_cancel_all_of_one_segment_leaves_the_other() -> None:
    village = IntervalVillage()
    village.accept(village.order("anna sells 5 at 0.2"))
    village.accept(village.order("anna sells 5 at 0.2", segment="realtime"))
    village.tell(CancelAll(**head(village, "anna", "x"), segment="realtime"))
    assert len(village.community.book.orders) == 0
    assert len(village.community.interval.book.orders) == 1


def test_a_client_id_is_of_one_order_in_both_segments() -> None:
    village = IntervalVillage()
    village.accept(village.order("anna sells 5 at 0.2", "same"))
    again = village.tell(village.order("anna sells 5 at 0.2", "same", segment="realtime"))
    assert isinstance(again, OrderRefused)
    assert again.reason is OrderRefusal.ID_REUSED


def test_an_order_with_a_time_is_gone_at_that_time() -> None:
    village = IntervalVillage()
    expires_ms = START_MS + 5_000
    village.accept(village.order("anna sells 5 at 0.2", tif="GTT", expires_ms=expires_ms))
    assert village.community.due_ms == expires_ms
    village.tick(expires_ms)
    assert village.community.interval.book.orders == {}
    village.assert_balanced()


def test_new_lots_cancel_what_waits() -> None:
    village = IntervalVillage()
    village.place("anna sells 5 at 0.2")
    village.configure(market={"lot_kwh": "0.01"})
    assert village.community.interval.book.orders == {}
    village.assert_balanced()


# --- the timetable ------------------------------------------------------------------------------


def test_an_interval_is_cleared_when_its_grace_is_over_and_once() -> None:
    village = IntervalVillage()
    assert village.community.clear_due_ms == DUE_MS
    early = village.apply(clearing_input(FIRST_MS), DUE_MS - 1)
    assert early == NotDue(interval_ms=FIRST_MS, due_ms=DUE_MS)
    assert isinstance(village.apply(clearing_input(FIRST_MS), DUE_MS), IntervalCleared)
    again = village.apply(clearing_input(FIRST_MS), DUE_MS)
    assert again == NotDue(interval_ms=FIRST_MS + INTERVAL_MS, due_ms=DUE_MS + INTERVAL_MS)


def test_after_an_outage_the_missed_intervals_are_cleared_in_order() -> None:
    village = IntervalVillage()
    village.place("anna sells 5 at 0.2", "ben buys 5 at 0.3")
    village.at_ms = DUE_MS + 3 * INTERVAL_MS
    cleared = [village.clear(village.at_ms) for _ in range(4)]
    assert [each.interval_ms for each in cleared] == [
        FIRST_MS + number * INTERVAL_MS for number in range(4)
    ]
    assert [len(each.trades) for each in cleared] == [1, 0, 0, 0]
    assert village.community.clear_due_ms == DUE_MS + 4 * INTERVAL_MS


def test_ex_ante_an_interval_is_cleared_at_its_gate() -> None:
    village = IntervalVillage(interval={"mode": "ex_ante", "gate_s": 600})
    next_ms = FIRST_MS + INTERVAL_MS
    if next_ms - 600_000 < START_MS:
        next_ms += INTERVAL_MS
    assert village.community.cleared_ms == next_ms
    assert village.community.clear_due_ms == next_ms - 600_000
    assert village.clear().interval_ms == next_ms


def test_clearings_that_begin_late_begin_with_the_interval_that_is_running() -> None:
    village = IntervalVillage(interval={"enabled": False})
    village.at_ms = FIRST_MS + 10 * INTERVAL_MS + 5
    village.configure(interval={})
    assert village.community.cleared_ms == FIRST_MS + 10 * INTERVAL_MS


def test_a_halted_zone_is_left_out_and_its_orders_wait() -> None:
    village = IntervalVillage([NORTH_SOUTH])
    village.place("anna sells 5 at 0.2", "ben buys 5 at 0.3", "cleo sells 1 at 0.2")
    village.apply(market_input(MarketCommand(action="halt", reason="a test", zone="north")))
    cleared = village.clear()
    assert [zone.zone for zone in cleared.zones] == ["south", "west"]
    assert (cleared.trades, cleared.links) == ([], [])
    village.apply(market_input(MarketCommand(action="resume", reason="", zone="north")))
    assert len(village.clear().trades) == 1


def test_what_standing_orders_ask_is_for_their_clearing_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    village = IntervalVillage()
    anna, ben = village.people["anna"].wallet, village.people["ben"].wallet
    wishes = [
        OrderRequest(wallet=anna, side="sell", price_ugrx=200_000, quantity_uwh=5 * KWH),
        OrderRequest(wallet=ben, side="buy", price_ugrx=300_000, quantity_uwh=2 * KWH),
        OrderRequest(
            wallet=ben, side="buy", price_ugrx=300_000, quantity_uwh=9999 * KWH
        ),  # more than ben can pay
    ]
    monkeypatch.setattr(
        "gridtokenx_backend.core.orders.standing_orders.orders_for_interval", lambda *_: wishes
    )
    cleared = village.clear()
    assert [order.key for order in cleared.orders] == [
        f"{wallet}:standing-{number}" for number, wallet in ((1, anna), (2, ben))
    ]
    assert [trade.quantity_uwh for trade in cleared.trades] == [2 * KWH]
    assert cleared.cancelled == [1]
    assert village.community.interval.book.orders == {}
    village.assert_verified(cleared)
    village.assert_balanced()


def test_a_clearing_is_read_again_from_its_journaled_bytes() -> None:
    given_input = clearing_input(FIRST_MS)
    assert given_input.raw == b'{"interval_ms":%d}' % FIRST_MS
    assert parse("clear", given_input.raw) == given_input


def test_nothing_to_clear_before_terms_are_in_force() -> None:
    community = Community()
    assert isinstance(machine.apply(community, clearing_input(0), START_MS), NotDue)


def test_minted_energy_only_moves_in_a_clearing() -> None:
    village = IntervalVillage()
    village.place("anna sells 5 at 0.2", "ben buys 5 at 0.3")
    before = village.community.ledger.posted("issuer:" + GRID, GRID)
    village.clear()
    assert village.community.ledger.posted("issuer:" + GRID, GRID) == before


def test_orders_are_accepted_up_to_the_bound_of_a_wallet() -> None:
    village = IntervalVillage(market={"most_open_orders": 2})
    village.place("anna sells 1 at 0.2", "anna sells 1 at 0.2")
    refused = village.tell(village.order("anna sells 1 at 0.2"))
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.BUSY
    assert isinstance(village.tell(village.order("ben sells 1 at 0.2")), OrderAccepted)
