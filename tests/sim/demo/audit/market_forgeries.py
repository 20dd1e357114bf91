"""Ways to falsify the trades and auctions that a demo stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sim.demo.audit.forger import MOVEMENTS, Forger, minting

from gridtokenx_sim.demo.files.folder import Folder


def _trading(forger: Forger) -> int:
    return forger.seqs("tick")[-1]


def _first_trading_order(outcome: Any) -> Any:
    return next(order for order in outcome[1] if order[6])


def forge_an_overdraft(forger: Forger, _: Folder) -> None:
    def overdraw(outcome: Any) -> None:
        _first_trading_order(outcome)[MOVEMENTS][0][3] = 10**12

    forger.change(_trading(forger), overdraw)


def forge_a_frame_that_takes_back(forger: Forger, _: Folder) -> None:
    """As if its owner owed energy since a correction, of which there was none."""

    def take_back(outcome: Any) -> None:
        asset, issuer, owner, _amount = outcome[MOVEMENTS][0]
        outcome[MOVEMENTS].append([asset, owner, issuer, 1])

    forger.change(minting(forger), take_back)


def forge_a_payment_out_of_a_tick(forger: Forger, _: Folder) -> None:
    movement = ["GRX", "somebody", "issuer:GRX", 1]
    forger.append("tick", ["tick", [], [], [], [movement]], [movement])


def forge_fresh_money(forger: Forger, _: Folder) -> None:
    def issue(outcome: Any) -> None:
        _first_trading_order(outcome)[MOVEMENTS][0][1] = "issuer:GRX"

    forger.change(_trading(forger), issue)


def _forge_trade(forger: Forger, change: Callable[[Any], None]) -> None:
    def apply(outcome: Any) -> None:
        change(_first_trading_order(outcome)[6][0])

    forger.change(_trading(forger), apply)


def forge_a_gross(forger: Forger, _: Folder) -> None:
    def more(trade: Any) -> None:
        trade[6] += 1

    _forge_trade(forger, more)


def forge_a_fee(forger: Forger, _: Folder) -> None:
    def more(trade: Any) -> None:
        trade[7] += 1

    _forge_trade(forger, more)


def forge_a_self_trade(forger: Forger, _: Folder) -> None:
    def same(trade: Any) -> None:
        trade[2] = trade[3]

    _forge_trade(forger, same)


def forge_a_payment_without_delivery(forger: Forger, _: Folder) -> None:
    def keep(outcome: Any) -> None:
        _first_trading_order(outcome)[MOVEMENTS].pop()

    forger.change(_trading(forger), keep)


def forge_a_fill(forger: Forger, _: Folder) -> None:
    def fill(outcome: Any) -> None:
        _first_trading_order(outcome)[4] += 1

    forger.change(_trading(forger), fill)


def forge_the_history(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE trade SET price_ugrx = price_ugrx + 1000")


def forge_a_shorter_history(forger: Forger, _: Folder) -> None:
    forger.execute("DELETE FROM trade WHERE seq = (SELECT max(seq) FROM trade)")


def _clearing(forger: Forger) -> int:
    """Return the number of the newest clearing in which something traded."""
    return next(
        seq for seq in reversed(forger.seqs("clear")) if _first_auction(forger.outcome(seq))
    )


def _first_auction(outcome: Any) -> Any:
    """Return the first zone's auction if something traded in it: its volume is above zero."""
    return next((zone for zone in outcome[3] if zone[6]), None)


def forge_another_interval(forger: Forger, _: Folder) -> None:
    def delay(outcome: Any) -> None:
        outcome[1] += 900_000

    forger.change(_clearing(forger), delay)


def forge_a_book(forger: Forger, _: Folder) -> None:
    def sweeten(outcome: Any) -> None:
        _first_auction(outcome)[1][0][3] += 1000

    forger.change(_clearing(forger), sweeten)


def forge_a_volume(forger: Forger, _: Folder) -> None:
    def shrink(outcome: Any) -> None:
        _first_auction(outcome)[6] -= 1_000_000

    forger.change(_clearing(forger), shrink)


def forge_a_clearing_price(forger: Forger, _: Folder) -> None:
    def raise_price(outcome: Any) -> None:
        _first_auction(outcome)[5] += 10_000_000

    forger.change(_clearing(forger), raise_price)
