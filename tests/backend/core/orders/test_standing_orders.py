"""Standing orders: what they order at a tick, and what a change of them keeps."""

from __future__ import annotations

import pytest
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, assert_sound, reading

from gridtokenx_backend.core.messages.outcomes import (
    OrderCancelled,
    OrderRefused,
    StandingAccepted,
    Ticked,
)
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.model.ledger import GRID, RETIRED
from gridtokenx_backend.core.model.registry import StandingOrder


def placed(village: Village) -> list[tuple[str, int, int, str]]:
    """(wallet's owner, kWh in thousandths, µGRX a kWh, status) of what a tick orders.

    The price is 0 for an order that no longer rests when the tick is over.
    """
    outcome = village.tick()
    assert isinstance(outcome, Ticked)
    assert_sound(village.community)
    names = {member.wallet: member.name for member in village.community.members.values()}
    found = []
    for order in outcome.orders:
        resting = village.community.book.orders.get(order.number)
        price = resting.price_ugrx if resting else 0
        quantity_uwh = order.filled_uwh + order.remaining_uwh
        wallet = order.key.partition(":")[0]
        found.append((names[wallet], quantity_uwh // (KWH // 1000), price, order.status))
    return found


def sell(village: Village, price: str = "0.2", keep: str = "0") -> StandingAccepted:
    return _stand(village, "sell", price, keep)


def buy(village: Village, price: str = "0.2") -> StandingAccepted:
    return _stand(village, "buy", price, "0")


def _stand(village: Village, side: str, price: str, keep: str) -> StandingAccepted:
    """Anna's standing order, under an id of its own."""
    standing_id = f"standing.{village.community.entries}"
    outcome = village.tell(village.anna.standing(standing_id, side, price, keep))
    assert isinstance(outcome, StandingAccepted), outcome
    return outcome


def export(village: Village, amount_uwh: int) -> None:
    village.give_grid(village.north, "ABB-1", amount_uwh)


def consume(village: Village, *registers_uwh: int) -> None:
    """Lets anna's meter read these, an hour apart; the first is the baseline."""
    for number, import_uwh in enumerate(registers_uwh):
        time_ms = START_MS - (len(registers_uwh) - number) * HOUR_MS
        village.send(village.north, reading("ABB-1", time_ms, 0, import_uwh))


@pytest.mark.parametrize(
    ("free_uwh", "keep", "milli_kwh"),
    [
        pytest.param(5 * KWH, "0", 5000, id="all of it"),
        pytest.param(5 * KWH, "2", 3000, id="above what is kept"),
        pytest.param(5 * KWH, "5", 0, id="all is kept"),
        pytest.param(5 * KWH, "9", 0, id="more is kept than there is"),
        pytest.param(KWH // 1000, "0", 1, id="a lot"),
        pytest.param(KWH // 1000 - 1, "0", 0, id="less than a lot"),
        pytest.param(5 * KWH // 1000 + 1, "0.001", 4, id="down to whole lots"),
        pytest.param(5 * KWH, "0.000000001", 4999, id="a millionth of a lot is kept"),
    ],
)
def test_a_seller_offers_what_is_free_in_whole_lots(
    village: Village, free_uwh: int, keep: str, milli_kwh: int
) -> None:
    export(village, free_uwh)
    sell(village, keep=keep)
    expected = [("anna", milli_kwh, 200_000, "resting")] if milli_kwh else []
    assert placed(village) == expected
    assert placed(village) == []  # what rests is not ordered again


@pytest.mark.parametrize(
    ("price", "imported_uwh", "milli_kwh"),
    [
        pytest.param("0.2", 5 * KWH, 5000, id="what was imported"),
        pytest.param("0.2", KWH // 1000, 1, id="a lot"),
        pytest.param("0.2", KWH // 1000 - 1, 0, id="less than a lot"),
        pytest.param("1000", 5 * KWH, 1000, id="what 1000 GRX pay for"),
        pytest.param("300", 5 * KWH, 3333, id="in whole lots"),
        pytest.param("0.2", 0, 0, id="nothing"),
    ],
)
def test_a_buyer_orders_what_was_imported_since_and_is_affordable(
    village: Village, price: str, imported_uwh: int, milli_kwh: int
) -> None:
    consume(village, 7 * KWH, 9 * KWH)  # before the standing order: it does not count
    buy(village, price)
    village.send(village.north, reading("ABB-1", START_MS, 0, 9 * KWH + imported_uwh))
    expected = [("anna", milli_kwh, round(float(price) * 10**6), "resting")] if milli_kwh else []
    assert placed(village) == expected
    assert placed(village) == []


def test_what_was_not_affordable_is_ordered_when_it_is(village: Village) -> None:
    village.configure(settlement={"cover_hours": 0})  # what is bought can be sold again
    consume(village, 0)
    buy(village, "500")
    village.send(village.north, reading("ABB-1", START_MS, 0, 5 * KWH))
    assert placed(village) == [("anna", 2000, 500_000_000, "resting")]
    village.give_grid(village.south, "ABB-2", 2 * KWH)
    village.accept(village.ben.order("b", "sell", "2", "100"))  # at 500, into anna's bid
    assert placed(village) == []
    village.tell(village.anna.order("out", "sell", "2", "500"))
    village.accept(village.cleo.order("c", "buy", "2", "500"))
    # 995 GRX came back for the 2 kWh, less the fee: enough for 1.99 of the 3 that are due.
    assert placed(village) == [("anna", 1990, 500_000_000, "resting")]


def test_the_largest_order_bounds_a_tick(village: Village) -> None:
    village.configure(market={"largest_order_kwh": "2"})
    export(village, 5 * KWH)
    sell(village)
    assert [placed(village) for _ in range(4)] == [
        [("anna", 2000, 200_000, "resting")],
        [("anna", 2000, 200_000, "resting")],
        [("anna", 1000, 200_000, "resting")],
        [],
    ]


def test_members_are_served_in_the_order_in_which_they_joined(village: Village) -> None:
    village.give_grid(village.south, "ABB-2", KWH)
    village.tell(village.ben.standing("b", "sell", "0.3"))
    export(village, KWH)
    sell(village, "0.2")
    assert [who for who, *_ in placed(village)] == ["anna", "ben"]


def test_two_standing_orders_trade_at_a_tick(village: Village) -> None:
    consume(village, 0)
    buy(village, "0.3")
    village.send(village.north, reading("ABB-1", START_MS, 0, 3 * KWH))
    village.give_grid(village.south, "ABB-2", 5 * KWH)
    village.tell(village.ben.standing("b", "sell", "0.2"))
    assert placed(village) == [
        ("anna", 3000, 0, "resting"),
        ("ben", 5000, 200_000, "partly_filled"),
    ]
    assert village.community.counters.trades == 1
    free_uwh, held_uwh = village.grid(village.anna)
    assert free_uwh + village.balance(RETIRED, GRID)[0] == 3 * KWH
    assert held_uwh == 0


def test_a_new_price_reorders_what_was_not_bought(village: Village) -> None:
    consume(village, 0)
    buy(village, "0.2")
    village.send(village.north, reading("ABB-1", START_MS, 0, 5 * KWH))
    placed(village)
    village.give_grid(village.south, "ABB-2", 2 * KWH)
    village.accept(village.ben.order("b", "sell", "2", "0.2"))
    (resting,) = village.community.book.orders
    assert buy(village, "0.3").cancelled == [resting]
    assert placed(village) == [("anna", 3000, 300_000, "resting")]


def test_a_new_price_reoffers_what_was_not_sold(village: Village) -> None:
    export(village, 5 * KWH)
    sell(village, "0.2")
    placed(village)
    village.accept(village.ben.order("b", "buy", "2", "0.2"))
    assert len(sell(village, "0.3").cancelled) == 1
    assert placed(village) == [("anna", 3000, 300_000, "resting")]


def test_a_change_leaves_the_other_side_and_ones_own_orders_alone(village: Village) -> None:
    export(village, 5 * KWH)
    village.accept(village.anna.order("own", "sell", "1", "0.2"))
    village.tell(village.anna.standing("s", "sell", "0.25"))
    village.tell(village.anna.standing("b", "buy", "0.1"))
    placed(village)
    cancelled = sell(village, "0.3").cancelled
    assert len(cancelled) == 1
    assert f"{village.anna.wallet}:own" in village.community.book.by_key
    member = village.community.members[village.anna.wallet]
    assert member.buy is not None
    assert member.buy.price_ugrx == 100_000


def test_an_ended_standing_order_takes_its_offers_out(village: Village) -> None:
    export(village, 5 * KWH)
    sell(village)
    placed(village)
    outcome = village.tell(village.anna.standing("end", "sell", "0.2", active=False))
    assert isinstance(outcome, StandingAccepted)
    assert (outcome.active, len(outcome.cancelled)) == (False, 1)
    assert village.grid(village.anna) == (5 * KWH, 0)
    assert placed(village) == []


def test_a_buyer_who_begins_again_begins_from_there(village: Village) -> None:
    consume(village, 0)
    buy(village)
    village.tell(village.anna.standing("end", "buy", "0.2", active=False))
    village.send(village.north, reading("ABB-1", START_MS - 1000, 0, KWH))
    buy(village)
    village.send(village.north, reading("ABB-1", START_MS, 0, KWH + KWH // 1000))
    assert placed(village) == [("anna", 1, 200_000, "resting")]


def test_a_placed_order_is_cancelled_by_the_id_that_the_book_shows(village: Village) -> None:
    export(village, KWH)
    sell(village)
    placed(village)
    (order,) = village.community.book.orders.values()
    shown = order.key.partition(":")[2]
    outcome = village.tell(village.anna.cancel("c", shown))
    assert isinstance(outcome, OrderCancelled)
    assert placed(village) == [("anna", 1000, 200_000, "resting")]  # it stands, after all


@pytest.mark.parametrize(
    ("price", "keep", "reason"),
    [
        ("0.001", "0", None),
        ("1000", "0", None),
        ("0", "0", OrderRefusal.BAD_PRICE),
        ("-1", "0", OrderRefusal.BAD_PRICE),
        ("1000.001", "0", OrderRefusal.BAD_PRICE),
        ("0.0001", "0", OrderRefusal.BAD_PRICE),
        ("cheap", "0", OrderRefusal.BAD_PRICE),
        ("0.2", "0.000000001", None),
        ("0.2", "-0.000000001", OrderRefusal.BAD_QUANTITY),
        ("0.2", "0.0000000001", OrderRefusal.BAD_QUANTITY),
        ("0.2", "some", OrderRefusal.BAD_QUANTITY),
        ("cheap", "some", OrderRefusal.BAD_QUANTITY),
    ],
)
def test_a_standing_order_has_limits(
    village: Village, price: str, keep: str, reason: OrderRefusal | None
) -> None:
    before = village.community.snapshot()
    outcome = village.tell(village.anna.standing("s", "sell", price, keep))
    if reason is None:
        assert isinstance(outcome, StandingAccepted)
    else:
        assert isinstance(outcome, OrderRefused)
        assert outcome.reason is reason
        assert village.community.snapshot() == before


def test_what_was_not_bought_when_lots_change_is_ordered_again(village: Village) -> None:
    consume(village, 0)
    buy(village, "0.2")
    village.send(village.north, reading("ABB-1", START_MS, 0, 5 * KWH))
    placed(village)
    village.configure(market={"lot_kwh": "0.01"})
    assert village.community.book.orders == {}
    assert placed(village) == [("anna", 5000, 200_000, "resting")]


def test_an_order_of_a_members_own_is_not_taken_for_a_standing_one(village: Village) -> None:
    village.accept(village.anna.order("own", "buy", "5", "0.2"))
    consume(village, 0)
    buy(village)
    village.configure(market={"lot_kwh": "0.01"})
    member = village.community.members[village.anna.wallet]
    assert member.buy == StandingOrder(price_ugrx=200_000, keep_uwh=0, covered_uwh=0)
    assert placed(village) == []
