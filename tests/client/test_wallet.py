"""Wallets: keys and the instructions they sign."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridtokenx_client.answers import Health
from gridtokenx_client.problem import Mistake
from gridtokenx_client.wallet import Wallet, check_amounts, new_id
from gridtokenx_wire.order import Cancel, Order, Standing, open_instruction

AT = Health(
    status="ok", community="sonnenweg", time_ms=1_782_036_000_000, journal_seq=7, oracle="running"
)


def test_a_wallet_is_the_same_after_it_was_loaded(tmp_path: Path) -> None:
    made = Wallet.create(tmp_path / "anna.key")
    assert Wallet.load(tmp_path / "anna.key").address == made.address


def test_an_order_says_what_was_asked_for(wallet: Wallet) -> None:
    order = open_instruction(wallet.order(AT, "buy", "0.75", "0.31", ioc=True, id_="b-1").encode())
    assert order == Order(
        v=1,
        community="sonnenweg",
        wallet=wallet.address,
        id="b-1",
        issued_ms=AT.time_ms,
        side="buy",
        quantity_kwh="0.75",
        price_grx_per_kwh="0.31",
        tif="IOC",
    )


def test_an_order_rests_unless_it_is_ioc(wallet: Wallet) -> None:
    order = open_instruction(wallet.order(AT, "sell", "1", "1", ioc=False, id_="s").encode())
    assert isinstance(order, Order)
    assert (order.tif, order.segment) == ("GTC", "realtime")


def test_a_cancellation_names_the_order(wallet: Wallet) -> None:
    cancel = open_instruction(wallet.cancel(AT, "b-1", id_="c-1").encode())
    assert cancel == Cancel(
        v=1,
        community="sonnenweg",
        wallet=wallet.address,
        id="c-1",
        issued_ms=AT.time_ms,
        order="b-1",
    )


def test_a_standing_order_says_what_to_keep(wallet: Wallet) -> None:
    jws = wallet.standing(AT, "sell", "0.2", "1.5", active=True, id_="s-1")
    standing = open_instruction(jws.encode())
    assert isinstance(standing, Standing)
    assert (standing.price_ugrx, standing.keep_uwh, standing.active) == (
        200_000,
        1_500_000_000,
        True,
    )


@pytest.mark.parametrize(
    ("amounts", "said"),
    [
        (("0", "1"), "quantity in kWh: expected more than 0, got '0'"),
        (("-1", "1"), "quantity in kWh: expected more than 0, got '-1'"),
        (("1.0000000001", "1"), "quantity in kWh: expected at most 9 decimals"),
        (("1", "0"), "price in GRX for each kWh: expected more than 0, got '0'"),
        (("1", "0.0000001"), "price in GRX for each kWh: expected at most 6 decimals"),
        (("1", "0,25"), "price in GRX for each kWh: expected a decimal number such as 1.5"),
        (("1", "1", "-2"), "kWh to keep: expected 0 or more, got '-2'"),
        (("9999999999", "1"), "quantity in kWh: expected an amount below 2^63"),
        (("1e3", "1"), "quantity in kWh: expected a decimal number"),
    ],
    ids=str,
)
def test_an_amount_that_no_community_takes_is_named(amounts: tuple[str, ...], said: str) -> None:
    with pytest.raises(Mistake) as caught:
        check_amounts(*amounts)
    assert str(caught.value).startswith(said)


def test_nothing_is_signed_with_such_an_amount(wallet: Wallet) -> None:
    with pytest.raises(Mistake, match="quantity"):
        wallet.order(AT, "sell", "0", "1", ioc=False, id_="x")
    with pytest.raises(Mistake, match="keep"):
        wallet.standing(AT, "sell", "1", "-1", active=True, id_="x")


@pytest.mark.parametrize("id_", ["", "a b", 65 * "x", "ä"])
def test_an_id_that_no_community_takes_is_not_signed(wallet: Wallet, id_: str) -> None:
    with pytest.raises(Mistake, match="expected an id of 1 to 64"):
        wallet.cancel(AT, "b-1", id_=id_)


def test_a_new_id_is_another_each_time() -> None:
    assert len({new_id() for _ in range(100)}) == 100
