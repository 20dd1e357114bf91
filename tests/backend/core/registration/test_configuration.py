"""Terms that come, change and go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.village import (
    CHAIN,
    HOUR_MS,
    KWH,
    START_MS,
    Gateway,
    Resident,
    Village,
    assert_sound,
    device_terms,
    member_terms,
    meter_terms,
    reading,
)

from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.model.ledger import GRX, Movement, issuer
from gridtokenx_wire.units import MAX_AMOUNT, format_grx
from gridtokenx_wire.verdict import Reason

GRX_1000 = 1_000_000_000


def verdicts(village: Village, gateway: Gateway, *readings: Any) -> list[int]:
    """The reason for each reading of the gateway's next frame."""
    outcome = village.send(gateway, *readings)
    assert isinstance(outcome, FrameAccepted), outcome
    refused = dict(outcome.verdicts)
    return [refused.get(index, Reason.ACCEPTED) for index in range(outcome.readings)]


# --- members ------------------------------------------------------------------------------------


def test_a_new_member_gets_the_opening_balance_once(village: Village) -> None:
    dora = Resident("dora")
    joined = [*village.document["member"], member_terms(dora, "0.000001")]
    outcome = village.configure(member=joined)
    assert outcome.movements == [
        Movement(asset=GRX, debit=issuer(GRX), credit=dora.wallet, amount=1)
    ]
    assert village.grx(dora) == (1, 0)
    assert village.configure(member=joined).movements == []
    assert village.configure(member=joined[:-1]).movements == []
    more = [*village.document["member"], member_terms(dora, "5000")]
    assert village.configure(member=more).movements == []  # she had joined before
    assert village.grx(dora) == (1, 0)
    assert_sound(village.community)


def test_a_member_may_open_with_nothing(village: Village) -> None:
    dora = Resident("dora")
    village.configure(member=[*village.document["member"], member_terms(dora)])
    assert village.grx(dora) == (0, 0)
    assert dora.wallet in village.community.members


def test_money_is_issued_up_to_64_bits_and_no_further(village: Village) -> None:
    issued = 3 * GRX_1000
    rich, late = Resident("rich"), Resident("late")
    joined = [
        *village.document["member"],
        member_terms(rich, format_grx(MAX_AMOUNT - issued)),
        member_terms(late, "0.000001"),
    ]
    outcome = village.configure(member=joined)
    assert [movement.credit for movement in outcome.movements] == [rich.wallet]
    assert village.grx(late) == (0, 0)
    assert_sound(village.community)


def test_a_member_who_is_no_longer_named_keeps_tokens_and_orders(village: Village) -> None:
    village.accept(village.cleo.order("c", "buy", "1", "0.2"))
    village.configure(member=village.document["member"][:2])
    assert village.grx(village.cleo) == (GRX_1000, 200_000)
    village.give_grid(village.north, "ABB-1", KWH)
    assert village.accept(village.anna.order("a", "sell", "1", "0.2")).status == "filled"
    assert village.grid(village.cleo) == (KWH, 0)


def test_a_member_may_change_the_name(village: Village) -> None:
    renamed = [member_terms(village.anna) | {"name": "annabel"}, *village.document["member"][1:]]
    meters = [
        meter_terms("ABB-1", village.north, village.anna, owner="annabel"),
        village.document["meter"][1],
    ]
    village.configure(member=renamed, meter=meters)
    assert village.community.members[village.anna.wallet].name == "annabel"
    village.give_grid(village.north, "ABB-1", KWH)
    assert village.grid(village.anna) == (KWH, 0)


# --- devices ------------------------------------------------------------------------------------


def test_a_device_that_is_no_longer_named_is_revoked_until_it_is_again(village: Village) -> None:
    devices = village.document["device"]
    village.send(village.north, reading("ABB-1", START_MS - HOUR_MS))
    village.configure(device=devices[1:], meter=village.document["meter"][1:])
    message = village.north.seal([reading("ABB-1", START_MS)])
    assert message
    outcome = village.send(village.north, reading("ABB-1", START_MS))
    assert isinstance(outcome, FrameRefused)
    assert outcome.reason is FrameRefusal.REVOKED_DEVICE
    village.configure(device=devices)
    village.north.seq = 1  # it goes back to what was not acked
    village.north.prev = village.community.devices[village.north.device].prev
    assert verdicts(village, village.north, reading("ABB-1", START_MS)) == [Reason.INACTIVE_METER]


@pytest.mark.parametrize(
    ("chain", "expected", "next_seq"),
    [
        pytest.param("", CHAIN, 1, id="none is named"),
        pytest.param(CHAIN.hex(), CHAIN, 1, id="the one that it has"),
        pytest.param(b"chain-02".hex(), b"chain-02", 0, id="another"),
    ],
)
def test_a_chain_begins_anew_only_when_another_is_named(
    village: Village, chain: str, expected: bytes, next_seq: int
) -> None:
    village.send(village.north, reading("ABB-9", START_MS))
    village.configure(
        device=[device_terms(village.north, chain=chain), device_terms(village.south)]
    )
    device = village.community.devices[village.north.device]
    assert (device.chain, device.next_seq) == (expected, next_seq)
    assert bool(device.verdicts) is (next_seq == 1)


def test_a_new_chain_goes_on_with_the_meters_where_they_were(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", KWH)
    renewed = Gateway("north", chain=b"chain-02")
    devices = [device_terms(renewed, chain=b"chain-02".hex()), device_terms(village.south)]
    village.configure(device=devices)
    old = reading("ABB-1", START_MS, KWH)
    new = reading("ABB-1", START_MS + 1000, KWH + 1)
    assert verdicts(village, renewed, old, new) == [Reason.NOT_AFTER_LAST, Reason.ACCEPTED]
    assert village.grid(village.anna) == (KWH + 1, 0)


# --- meters -------------------------------------------------------------------------------------


def test_a_moved_meter_is_heard_from_its_new_device_alone(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", KWH)
    moved = meter_terms("ABB-1", village.south, village.anna)
    village.configure(meter=[moved, village.document["meter"][1]])
    later = reading("ABB-1", START_MS + 1000, KWH + 1)
    assert verdicts(village, village.north, later) == [Reason.UNBOUND_METER]
    assert verdicts(village, village.south, later) == [Reason.ACCEPTED]
    assert village.grid(village.anna) == (KWH + 1, 0)


def test_a_sold_meter_mints_for_its_new_owner_from_there_on(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", KWH)
    sold = meter_terms("ABB-1", village.north, village.cleo)
    village.configure(meter=[sold, village.document["meter"][1]])
    village.send(village.north, reading("ABB-1", START_MS + 1000, KWH + 7))
    assert (village.grid(village.anna)[0], village.grid(village.cleo)[0]) == (KWH, 7)


@pytest.mark.parametrize("how", ["no longer named", "switched off"])
def test_a_meter_that_is_off_is_not_taken(village: Village, how: str) -> None:
    meters = village.document["meter"]
    off = {
        "no longer named": meters[1:],
        "switched off": [meters[0] | {"active": False}, meters[1]],
    }[how]
    village.send(village.north, reading("ABB-1", START_MS - HOUR_MS))
    village.configure(meter=off)
    when_off = reading("ABB-1", START_MS, KWH)
    assert verdicts(village, village.north, when_off) == [Reason.INACTIVE_METER]
    village.configure(meter=meters)
    assert verdicts(village, village.north, when_off) == [Reason.ACCEPTED]
    assert village.grid(village.anna) == (KWH, 0)  # the register counted meanwhile


@pytest.mark.parametrize("registers", [(0, 0), (3 * KWH, 900 * KWH)])
def test_a_new_epoch_is_a_new_baseline_and_mints_nothing(
    village: Village, registers: tuple[int, int]
) -> None:
    village.give_grid(village.north, "ABB-1", 2 * KWH)
    export_uwh, import_uwh = registers
    reset = meter_terms("ABB-1", village.north, village.anna, epoch=1)
    village.configure(meter=[reset, village.document["meter"][1]])
    first = reading("ABB-1", START_MS + 1000, export_uwh, import_uwh)
    assert verdicts(village, village.north, first) == [Reason.ACCEPTED]
    assert village.grid(village.anna) == (2 * KWH, 0)
    assert village.community.members[village.anna.wallet].imported_uwh == 0
    second = reading("ABB-1", START_MS + 2000, export_uwh + 1, import_uwh + 1)
    village.send(village.north, second)
    assert village.grid(village.anna) == (2 * KWH + 1, 0)
    assert village.community.members[village.anna.wallet].imported_uwh == 1


def test_readings_of_before_a_reset_are_no_baseline_and_mint_nothing_again(
    village: Village,
) -> None:
    village.give_grid(village.north, "ABB-1", 2 * KWH)
    reset = meter_terms("ABB-1", village.north, village.anna, epoch=1)
    village.configure(meter=[reset, village.document["meter"][1]])
    again = [
        reading("ABB-1", START_MS - HOUR_MS, 0, 0),
        reading("ABB-1", START_MS, 2 * KWH, 0),
        reading("ABB-1", START_MS + 1000, 7, 0),
    ]
    assert verdicts(village, village.north, *again) == [
        Reason.NOT_AFTER_LAST,
        Reason.NOT_AFTER_LAST,
        Reason.ACCEPTED,
    ]
    assert village.grid(village.anna) == (2 * KWH, 0)


def test_the_same_epoch_again_is_no_new_baseline(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", 2 * KWH)
    village.configure()
    lower = reading("ABB-1", START_MS + 1000, KWH)
    assert verdicts(village, village.north, lower) == [Reason.REGISTER_ROLLBACK]


@pytest.mark.parametrize(
    ("former", "later"), [("net", "export"), ("export", "net"), ("export", "export")]
)
def test_a_change_of_policy_mints_nothing_of_the_past(
    village: Village, former: str, later: str
) -> None:
    def policy(name: str) -> None:
        terms = meter_terms("ABB-1", village.north, village.anna, policy=name)
        village.configure(meter=[terms, village.document["meter"][1]])

    policy(former)
    village.send(village.north, reading("ABB-1", START_MS - HOUR_MS, 4000 * KWH, 9000 * KWH))
    policy(later)
    village.send(village.north, reading("ABB-1", START_MS, 4000 * KWH, 9000 * KWH))
    assert village.grid(village.anna) == (0, 0)
    village.send(village.north, reading("ABB-1", START_MS + 1000, 4000 * KWH + 5, 9000 * KWH))
    assert village.grid(village.anna) == (5, 0)


def test_rules_of_a_meter_hold_from_the_change_on(village: Village) -> None:
    village.send(village.north, reading("ABB-1", START_MS - HOUR_MS))
    weaker = meter_terms("ABB-1", village.north, village.anna, max_power_kw="1.5")
    village.configure(meter=[weaker, village.document["meter"][1]])
    step = KWH // 10
    jump = reading("ABB-1", START_MS, 3 * KWH // 2 + step + 1)
    most = reading("ABB-1", START_MS, 3 * KWH // 2 + step)
    assert verdicts(village, village.north, jump, most) == [
        Reason.IMPLAUSIBLE_JUMP,
        Reason.ACCEPTED,
    ]


# --- market and oracle --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "left"),
    [
        pytest.param({"lot_kwh": "0.01"}, 0, id="another lot"),
        pytest.param({"tick_grx_per_kwh": "0.01"}, 0, id="another tick"),
        pytest.param({"fee_bps": 0}, 2, id="another fee"),
        pytest.param({"highest_price_grx_per_kwh": "0.1"}, 0, id="a lower ceiling"),
        pytest.param({"largest_order_kwh": "0.5"}, 2, id="a smaller largest order"),
        pytest.param({}, 2, id="nothing"),
    ],
)
def test_open_orders_stay_unless_new_terms_have_no_place_for_them(
    village: Village, market: dict[str, Any], left: int
) -> None:
    village.give_grid(village.north, "ABB-1", 5 * KWH)
    village.accept(village.anna.order("a", "sell", "5", "0.3"))
    village.accept(village.ben.order("b", "buy", "5", "0.2"))
    village.configure(market=market)
    assert len(village.community.book.orders) == left
    assert (village.grid(village.anna)[1], village.grx(village.ben)[1]) == (
        (5 * KWH, 1_000_000) if left else (0, 0)
    )
    assert_sound(village.community)


def test_the_fee_of_a_trade_is_that_of_its_time(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", 5 * KWH)
    village.accept(village.anna.order("a", "sell", "5", "0.2"))
    village.configure(market={"fee_bps": 9_000})
    (trade,) = village.accept(village.ben.order("b", "buy", "5", "0.2")).trades
    assert (trade.fee_ugrx, trade.net_ugrx) == (900_000, 100_000)
    assert village.grx(village.anna) == (GRX_1000 + 100_000, 0)
    assert_sound(village.community)


def test_the_oracles_limits_hold_from_the_change_on(village: Village) -> None:
    village.configure(oracle={"future_tolerance_s": 0, "oldest_reading_s": 10})
    readings = [
        reading("ABB-1", START_MS - 10_001),
        reading("ABB-1", START_MS - 10_000),
        reading("ABB-1", START_MS + 1),
        reading("ABB-1", START_MS),
    ]
    assert verdicts(village, village.north, *readings) == [
        Reason.STALE_TIME,
        Reason.ACCEPTED,
        Reason.FUTURE_TIME,
        Reason.ACCEPTED,
    ]
