"""Bought GRID against metered import: oldest with oldest, and never more than either."""

from __future__ import annotations

import pytest
from tests.backend.settling import NOON_MS, QUARTER_MS, Settling
from tests.backend.village import HOUR_MS, KWH, Resident, assert_sound

from gridtokenx_backend.core.messages.outcomes import Ticked, movements_of
from gridtokenx_backend.core.messages.settlement_outcomes import Retirement
from gridtokenx_backend.core.model.ledger import FEES, GRID, GRX, RETIRED, Movement, issuer


@pytest.fixture(name="village")
def _village() -> Settling:
    return Settling()


def tick(village: Settling) -> Ticked:
    outcome = village.tick()
    assert isinstance(outcome, Ticked)
    assert_sound(village.community)
    return outcome


def retired(village: Settling) -> list[tuple[str, int, int, int]]:
    """(who, quarters after noon, entry bought in, Wh) of what a tick retires."""
    names = {member.wallet: member.name for member in village.community.members.values()}
    return [
        (
            names[each.wallet],
            (each.interval_ms - NOON_MS) // QUARTER_MS,
            each.bought_entry,
            each.amount_uwh * 1000 // KWH,
        )
        for each in tick(village).retirements
    ]


def bought(village: Settling, who: Resident) -> int:
    return village.community.members[who.wallet].bought_uwh


def test_bought_energy_covers_import_and_cannot_be_sold_again(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=4)
    village.read("ABB-2", import_uwh=KWH, quarters=4)
    village.trade(village.anna, village.ben, "1.5")
    entry = village.community.entries
    outcome = tick(village)
    # The meter moved 1 kWh in eight quarters.
    assert outcome.retirements == [
        Retirement(
            wallet=village.ben.wallet,
            interval_ms=NOON_MS + quarter * QUARTER_MS,
            bought_entry=entry,
            amount_uwh=KWH // 8,
        )
        for quarter in range(8)
    ]
    assert outcome.movements == [
        Movement(asset=GRID, debit=village.ben.wallet, credit=RETIRED, amount=KWH)
    ]
    assert movements_of(outcome) == outcome.movements
    assert village.grid(village.ben) == (KWH // 2, 0)
    assert bought(village, village.ben) == KWH // 2
    assert retired(village) == []


def test_the_oldest_import_is_covered_first_with_the_oldest_purchase(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    village.trade(village.anna, village.ben, "0.3")
    first = village.community.entries
    village.trade(village.anna, village.ben, "0.4")
    second = village.community.entries
    village.read("ABB-2", import_uwh=KWH // 2, quarters=1)  # spread over the two quarters
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    assert retired(village) == [
        ("ben", 0, first, 250),
        ("ben", 1, first, 50),
        ("ben", 1, second, 200),
        ("ben", 2, second, 200),
    ]


def test_what_is_bought_later_covers_what_was_left_open(village: Settling) -> None:
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    assert retired(village) == []
    village.read("ABB-1", export_uwh=KWH, quarters=3)
    village.trade(village.anna, village.ben, "0.6")
    assert retired(village) == [("ben", 0, village.community.entries - 1, 600)]


@pytest.mark.parametrize(("hours", "expected"), [(71, 1000), (73, 0)])
def test_import_can_be_covered_for_as_long_as_the_terms_say(
    village: Settling, hours: int, expected: int
) -> None:
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    village.read("ABB-1", export_uwh=KWH, quarters=4 * hours - 1)
    village.trade(village.anna, village.ben, "1")
    assert sum(row[3] for row in retired(village)) == expected


def test_own_production_that_is_used_on_site_is_never_a_token(village: Settling) -> None:
    """The roof makes 5 kWh, the house uses 3 of them at once: only 2 reach a register."""
    village.read("ABB-1", export_uwh=2 * KWH, import_uwh=0, quarters=4)
    tick(village)
    assert village.grid(village.anna) == (2 * KWH, 0)
    assert village.balance(issuer(GRID), GRID)[0] == -2 * KWH
    assert village.balance(RETIRED, GRID)[0] == 0


def test_minted_energy_is_not_retired_against_ones_own_import(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    village.read("ABB-1", import_uwh=KWH, quarters=1)
    assert retired(village) == []
    assert village.grid(village.anna) == (2 * KWH, 0)


def test_a_sale_takes_what_was_minted_first(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    village.read("ABB-2", export_uwh=KWH)
    village.trade(village.anna, village.ben, "1")
    village.trade(village.ben, village.cleo, "0.75")
    assert bought(village, village.ben) == KWH
    village.trade(village.ben, village.cleo, "0.75")
    assert bought(village, village.ben) == KWH // 2
    assert bought(village, village.cleo) == 3 * KWH // 2


def test_of_what_is_sold_again_the_oldest_purchase_goes_first(village: Settling) -> None:
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    village.trade(village.anna, village.ben, "0.5")
    village.trade(village.anna, village.ben, "0.5")
    second = village.community.entries
    village.trade(village.ben, village.cleo, "0.5")
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    assert {row[2] for row in retired(village)} == {second}


def test_what_is_offered_for_sale_is_not_retired(village: Settling) -> None:
    village.read("ABB-1", export_uwh=KWH, quarters=1)
    village.trade(village.anna, village.ben, "1")
    village.accept(village.ben.order("x", "sell", "0.7", "0.9", issued_ms=village.at_ms))
    village.read("ABB-2", import_uwh=KWH, quarters=1)
    assert sum(row[3] for row in retired(village)) == 300
    village.tell(village.ben.cancel("y", "x", issued_ms=village.at_ms))
    assert sum(row[3] for row in retired(village)) == 700


def test_a_net_meter_uses_its_own_production_first(village: Settling) -> None:
    document = [dict(meter) for meter in village.document["meter"]]
    document[1]["policy"] = "net"
    village.configure(meter=document)
    village.read("ABB-1", export_uwh=4 * KWH, quarters=4)
    village.trade(village.anna, village.ben, "3")
    village.read("ABB-2")
    village.read("ABB-2", import_uwh=2 * KWH, export_uwh=KWH, quarters=1)
    assert sum(row[3] for row in retired(village)) == 1000


def test_many_purchases_are_kept_in_bounded_memory(village: Settling) -> None:
    village.configure(market={"lot_kwh": "0.000001", "tick_grx_per_kwh": "1", "fee_bps": 0})
    village.read("ABB-1", export_uwh=KWH, quarters=1)
    village.accept(village.anna.order("s", "sell", "0.9", "1", issued_ms=village.at_ms))
    for number in range(4200):
        buy = village.cleo.order(f"b{number}", "buy", "0.000001", "1", issued_ms=village.at_ms)
        village.accept(buy)
    member = village.community.members[village.cleo.wallet]
    assert member.bought_uwh == 4200 * KWH // 10**6
    assert len(member.purchases) <= 1 << 16


def test_a_month_in_numbers_stays_whole(village: Settling) -> None:
    """Minted = wallets + retired, and money only changed hands."""
    for _ in range(20):
        village.read("ABB-1", export_uwh=KWH, import_uwh=KWH // 4, quarters=1)
        village.read("ABB-2", import_uwh=KWH // 2)
        village.trade(village.anna, village.ben, "0.4")
        tick(village)
    wallets = sum(village.grid(who)[0] for who in (village.anna, village.ben, village.cleo))
    gone = village.balance(RETIRED, GRID)[0]
    assert gone == 8 * KWH
    assert -village.balance(issuer(GRID), GRID)[0] == wallets + gone == 20 * KWH
    money = sum(village.grx(who)[0] for who in (village.anna, village.ben, village.cleo))
    assert money + village.balance(FEES, GRX)[0] == 3000 * 10**6
    assert village.at_ms == NOON_MS + 5 * HOUR_MS
