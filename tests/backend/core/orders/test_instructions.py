"""Orders, cancellations: what is refused and why, once and again, and what changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import pytest
from tests.backend.village import HOUR_MS, KWH, START_MS, Resident, Village, assert_sound

from gridtokenx_backend.core.messages.outcomes import (
    OrderAccepted,
    OrderCancelled,
    OrderRefused,
    Repeated,
    Result,
)
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.state.community import restore
from gridtokenx_wire.order import Instruction, Order

WINDOW_MS = 3_600_000
TOLERANCE_MS = 60_000


@pytest.fixture(name="market")
def _market(village: Village) -> Village:
    """Anna has 20 GRID, and offers 5 of them."""
    village.give_grid(village.north, "ABB-1", 20 * KWH)
    village.accept(village.anna.order("offer", "sell", "5", "0.2"))
    return village


def reason_of(outcome: Result) -> OrderRefusal | None:
    return outcome.reason if isinstance(outcome, OrderRefused) else None


def refuse(village: Village, instruction: Instruction) -> OrderRefusal | None:
    """The reason why it is refused, after a look that nothing has changed."""
    before = village.community.snapshot()
    reason = reason_of(village.tell(instruction))
    if reason is not None:
        assert village.community.snapshot() == before
    return reason


# --- precedence ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Said:
    """An order at fault in everything that the core looks at."""

    who: Resident
    client_id: str = "standing-1"
    kwh: str = "-1"
    price: str = "0"
    issued_ms: int = START_MS + TOLERANCE_MS + 1
    community: str = "elsewhere"

    def order(self) -> Order:
        return self.who.order(
            self.client_id,
            "sell",
            self.kwh,
            self.price,
            issued_ms=self.issued_ms,
            community=self.community,
        )


def test_every_refusal_hides_those_after_it(market: Village) -> None:
    said = _Said(Resident("stranger"))
    assert refuse(market, said.order()) is OrderRefusal.MALFORMED
    said = replace(said, client_id="offer")
    assert refuse(market, said.order()) is OrderRefusal.WRONG_COMMUNITY
    said = replace(said, community="lane")
    assert refuse(market, said.order()) is OrderRefusal.UNKNOWN_WALLET
    said = replace(said, who=market.anna)
    assert refuse(market, said.order()) is OrderRefusal.ID_REUSED
    said = replace(said, client_id="new")
    assert refuse(market, said.order()) is OrderRefusal.OUTSIDE_WINDOW
    said = replace(said, issued_ms=START_MS)
    assert refuse(market, said.order()) is OrderRefusal.BAD_QUANTITY
    said = replace(said, kwh="15.001")
    assert refuse(market, said.order()) is OrderRefusal.BAD_PRICE
    said = replace(said, price="0.2")
    assert refuse(market, said.order()) is OrderRefusal.INSUFFICIENT_BALANCE
    said = replace(said, kwh="15")
    assert refuse(market, said.order()) is None


@pytest.mark.parametrize(
    ("kwh", "price", "reason"),
    [
        ("0.001", "0.002", None),
        ("0.0010", "0.0020", None),
        ("0.0011", "0.001", OrderRefusal.BAD_QUANTITY),
        ("0.0000000001", "0.001", OrderRefusal.BAD_QUANTITY),
        ("0", "0.001", OrderRefusal.BAD_QUANTITY),
        ("-0.001", "0.001", OrderRefusal.BAD_QUANTITY),
        ("1e3", "0.001", OrderRefusal.BAD_QUANTITY),
        ("1,5", "0.001", OrderRefusal.BAD_QUANTITY),
        ("", "0.001", OrderRefusal.BAD_QUANTITY),
        ("٣", "0.001", OrderRefusal.BAD_QUANTITY),
        ("9223372036.854775808", "0.001", OrderRefusal.BAD_QUANTITY),
        ("1000000.001", "0.001", OrderRefusal.BAD_QUANTITY),
        ("1", "0.001", OrderRefusal.NOT_SETTLEABLE),
        ("1", "0.0001", OrderRefusal.BAD_PRICE),
        ("1", "0.0000001", OrderRefusal.BAD_PRICE),
        ("1", "0", OrderRefusal.BAD_PRICE),
        ("1", "-1", OrderRefusal.BAD_PRICE),
        ("1", "NaN", OrderRefusal.BAD_PRICE),
        ("1", "1000", None),
        ("1", "1000.001", OrderRefusal.BAD_PRICE),
        ("1", "9223372036854.775808", OrderRefusal.BAD_PRICE),
        ("nothing", "nothing", OrderRefusal.BAD_QUANTITY),
    ],
)
def test_amounts_are_whole_lots_and_ticks_in_plain_decimals(
    market: Village, kwh: str, price: str, reason: OrderRefusal | None
) -> None:
    assert refuse(market, market.anna.order("new", "sell", kwh, price)) is reason
    assert_sound(market.community)


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issued_ms", "reason"),
    [
        (START_MS - WINDOW_MS - 1, OrderRefusal.OUTSIDE_WINDOW),
        (START_MS - WINDOW_MS, None),
        (START_MS, None),
        (START_MS + TOLERANCE_MS, None),
        (START_MS + TOLERANCE_MS + 1, OrderRefusal.OUTSIDE_WINDOW),
        (0, OrderRefusal.OUTSIDE_WINDOW),
        (2**63 - 1, OrderRefusal.OUTSIDE_WINDOW),
    ],
)
def test_an_order_is_taken_within_its_window(
    market: Village, issued_ms: int, reason: OrderRefusal | None
) -> None:
    order = market.anna.order("new", "sell", "1", "0.2", issued_ms=issued_ms)
    assert refuse(market, order) is reason


def test_an_id_is_remembered_as_long_as_its_order_could_come_again(village: Village) -> None:
    latest_ms = START_MS + TOLERANCE_MS
    order = village.anna.order("a", "buy", "1", "0.2", issued_ms=latest_ms)
    village.accept(order)
    for at_ms in (START_MS, latest_ms, latest_ms + WINDOW_MS):
        village.tick(at_ms)
        assert isinstance(village.tell(order, at_ms), Repeated)
    village.tick(latest_ms + WINDOW_MS + 1)
    assert village.community.completed_instructions == {}
    assert reason_of(village.tell(order)) is OrderRefusal.OUTSIDE_WINDOW


def test_ids_are_forgotten_one_by_one(village: Village) -> None:
    for second in range(3):
        village.at_ms = START_MS + second * 1000
        village.accept(village.anna.order(f"a{second}", "buy", "1", "0.2"))
    village.tick(START_MS + WINDOW_MS + TOLERANCE_MS + 1001)
    assert [key.partition(":")[2] for key in village.community.completed_instructions] == ["a2"]


def test_a_longer_window_does_not_bring_forgotten_orders_back(village: Village) -> None:
    order = village.anna.order("a", "buy", "1", "0.2", "IOC")
    village.accept(order)
    village.tick(START_MS + 2 * WINDOW_MS)
    village.configure(market={"order_window_s": 24 * 3600})
    assert not isinstance(village.tell(order), OrderAccepted)


# --- ids ----------------------------------------------------------------------------------------


def test_the_id_of_an_open_order_is_taken_however_old_it_is(village: Village) -> None:
    village.accept(village.anna.order("a", "buy", "1", "0.2"))
    village.tick(START_MS + 2 * WINDOW_MS)
    assert village.community.completed_instructions == {}
    village.at_ms = START_MS + 2 * WINDOW_MS
    late = village.at_ms
    assert refuse(village, village.anna.order("a", "buy", "1", "0.3", issued_ms=late)) is (
        OrderRefusal.ID_REUSED
    )
    village.tell(village.anna.cancel("c", "a", issued_ms=late))
    village.accept(village.anna.order("a", "buy", "1", "0.3", issued_ms=late))


def test_the_same_instruction_again_is_answered_by_the_entry_that_carried_it_out(
    market: Village,
) -> None:
    entry = market.community.entries
    before = market.community.snapshot()
    assert market.tell(market.anna.order("offer", "sell", "5", "0.2")) == Repeated(entry)
    assert market.community.snapshot() == before


@pytest.mark.parametrize(
    "changed",
    [
        {"side": "buy"},
        {"quantity_kwh": "6"},
        {"quantity_kwh": "5.0"},
        {"price_grx_per_kwh": "0.3"},
        {"tif": "IOC"},
        {"issued_ms": START_MS - 1},
    ],
)
def test_an_id_is_good_for_one_content(market: Village, changed: dict[str, object]) -> None:
    order = market.anna.order("offer", "sell", "5", "0.2")
    other = msgspec.structs.replace(order, **changed)
    assert refuse(market, other) is OrderRefusal.ID_REUSED


def test_an_id_is_not_shared_between_kinds(market: Village) -> None:
    assert refuse(market, market.anna.cancel("offer", "offer")) is OrderRefusal.ID_REUSED
    again = market.anna.standing("offer", "sell", "0.2")
    assert refuse(market, again) is OrderRefusal.ID_REUSED


def test_wallets_do_not_share_ids(market: Village) -> None:
    assert refuse(market, market.ben.order("offer", "buy", "5", "0.1")) is None


def test_a_refused_id_may_be_used_again(market: Village) -> None:
    assert refuse(market, market.ben.order("b", "buy", "5", "999")) is (
        OrderRefusal.INSUFFICIENT_BALANCE
    )
    assert refuse(market, market.ben.order("b", "buy", "5", "0.2")) is None


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [
        ("standing-", OrderRefusal.MALFORMED),
        ("standing-1", OrderRefusal.MALFORMED),
        ("standing", None),
        ("Standing-1", None),
        ("my-standing-1", None),
    ],
)
def test_ids_of_standing_orders_are_reserved(
    market: Village, client_id: str, reason: OrderRefusal | None
) -> None:
    assert refuse(market, market.anna.order(client_id, "sell", "1", "0.2")) is reason


def test_too_many_remembered_ids_make_the_core_busy(
    market: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtokenx_backend.core.orders.instructions.MAX_REMEMBERED", 2)
    assert refuse(market, market.anna.order("b", "sell", "1", "0.2")) is None
    assert refuse(market, market.anna.order("c", "sell", "1", "0.2")) is OrderRefusal.BUSY
    again = market.tell(market.anna.order("b", "sell", "1", "0.2"))
    assert isinstance(again, Repeated)


# --- cancel -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("offer", None),
        ("Offer", OrderRefusal.UNKNOWN_ORDER),
        ("", OrderRefusal.UNKNOWN_ORDER),
        ("x" * 2000, OrderRefusal.UNKNOWN_ORDER),
    ],
)
def test_an_open_order_is_cancelled_by_its_id(
    market: Village, order: str, reason: OrderRefusal | None
) -> None:
    assert refuse(market, market.anna.cancel("c", order)) is reason


def test_a_cancel_gives_back_what_was_left(market: Village) -> None:
    market.accept(market.ben.order("b", "buy", "2", "0.2"))
    outcome = market.tell(market.anna.cancel("c", "offer"))
    assert isinstance(outcome, OrderCancelled)
    assert outcome.remaining_uwh == 3 * KWH
    assert market.grid(market.anna) == (18 * KWH, 0)
    assert_sound(market.community)


def test_nobody_cancels_for_another(market: Village) -> None:
    assert refuse(market, market.ben.cancel("c", "offer")) is OrderRefusal.UNKNOWN_ORDER


@pytest.mark.parametrize("how", ["filled", "cancelled", "never rested"])
def test_what_does_not_rest_is_not_cancelled(market: Village, how: str) -> None:
    match how:
        case "filled":
            market.accept(market.ben.order("b", "buy", "5", "0.2"))
            again = market.anna.cancel("c", "offer")
        case "cancelled":
            market.tell(market.anna.cancel("c1", "offer"))
            again = market.anna.cancel("c2", "offer")
        case _:
            market.accept(market.anna.order("ioc", "sell", "1", "9", "IOC"))
            again = market.anna.cancel("c", "ioc")
    assert refuse(market, again) is OrderRefusal.UNKNOWN_ORDER


def test_a_cancel_again_is_answered_as_before(market: Village) -> None:
    cancel = market.anna.cancel("c", "offer")
    assert isinstance(market.tell(cancel), OrderCancelled)
    assert market.tell(cancel) == Repeated(market.community.entries)


def test_a_members_own_id_is_free_again_for_nothing_but_its_order(market: Village) -> None:
    """A cancelled order's id stays used: a late copy of it must not come alive."""
    offer = market.anna.order("offer", "sell", "5", "0.2")
    market.tell(market.anna.cancel("c", "offer"))
    assert isinstance(market.tell(offer), Repeated)
    assert market.community.book.orders == {}


def test_one_wallet_cannot_fill_what_is_remembered_of_all(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtokenx_backend.core.orders.instructions.MOST_OF_A_WALLET", 2)
    for name in ("1", "2"):
        village.accept(village.cleo.order(name, "buy", "1", "0.2"))
    refused = village.tell(village.cleo.order("3", "buy", "1", "0.2"))
    assert isinstance(refused, OrderRefused)
    assert refused.reason is OrderRefusal.BUSY
    village.accept(village.ben.order("1", "buy", "1", "0.2"))
    assert (
        restore(village.community.snapshot()).completed_by_wallet
        == village.community.completed_by_wallet
    )
    village.tick(START_MS + 2 * HOUR_MS)
    assert village.community.completed_by_wallet == {}
    village.accept(village.cleo.order("4", "buy", "1", "0.2", issued_ms=village.at_ms))
