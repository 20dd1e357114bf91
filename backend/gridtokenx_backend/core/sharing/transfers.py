"""The transfers on the ledger that follow from an allocation.

What was moved for an interval is compared with what is allocated now, wallet by wallet. A wallet
that gives more than before, or takes less, is a source. A wallet that takes more, or gives less, is
a sink. Both sides add up to the same, and sources are matched with sinks in the order of their
wallets. So a first allocation, a correction in either direction and a rest that had to wait are all
the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from gridtokenx_backend.core.model.ledger import GRID, GRX, RETIRED, Movement


class Transfers(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The movements to post, and what has moved for the interval after them, by wallet.

    `waiting_uwh` could not move, because the sources did not have it.
    """

    movements: list[Movement]
    gave: dict[str, int]
    took: dict[str, int]
    waiting_uwh: int


class _End(NamedTuple):
    """One side of a transfer. If `is_retired`, its energy was or will be retired for the wallet."""

    wallet: str
    amount: int
    is_retired: bool


def energy(
    gives: Mapping[str, int],
    takes: Mapping[str, int],
    gave: Mapping[str, int],
    took: Mapping[str, int],
    available: Callable[[str], int],
) -> Transfers:
    """Return the movements of GRID from givers to takers, for whom it is retired at once.

    `gives` and `takes` say what is allocated, `gave` and `took` what was moved for it before. A
    source can only give what is `available` in its wallet, because the mint can be later than the
    interval.
    """
    more_given = _differences(gives, gave)
    more_taken = _differences(takes, took)
    sources = [_End(wallet, -more, True) for wallet, more in more_taken if more < 0]
    wanting_uwh = 0
    for wallet, more in more_given:
        if more > 0:
            covered_uwh = min(more, max(0, available(wallet)))
            wanting_uwh += more - covered_uwh
            sources.append(_End(wallet, covered_uwh, False))
    sinks = [_End(wallet, -more, False) for wallet, more in more_given if more < 0]
    sinks += [_End(wallet, more, True) for wallet, more in more_taken if more > 0]
    now_gave, now_took = dict(gave), dict(took)
    movements: list[Movement] = []
    for source, sink, amount_uwh in _matched(sources, sinks):
        movements += _moved(source, sink, amount_uwh)
        if source.is_retired:  # this wallet takes less than before
            now_took[source.wallet] -= amount_uwh
        else:
            now_gave[source.wallet] = now_gave.get(source.wallet, 0) + amount_uwh
        if sink.is_retired:
            now_took[sink.wallet] = now_took.get(sink.wallet, 0) + amount_uwh
        else:  # this wallet gives less than before
            now_gave[sink.wallet] -= amount_uwh
    return Transfers(
        movements=_merged(movements),
        gave=_kept(now_gave),
        took=_kept(now_took),
        waiting_uwh=wanting_uwh,
    )


def _differences(wanted: Mapping[str, int], done: Mapping[str, int]) -> list[tuple[str, int]]:
    wallets = sorted({*wanted, *done})
    return [(wallet, wanted.get(wallet, 0) - done.get(wallet, 0)) for wallet in wallets]


def _matched(sources: list[_End], sinks: list[_End]) -> list[tuple[_End, _End, int]]:
    """Return pairs of a source and a sink with the amount between them, until a side is used up."""
    matched = []
    last = len(sinks) - 1
    index, open_amount = 0, sinks[0].amount if sinks else 0
    for source in sources:
        left = source.amount
        while left:
            if not open_amount:
                index += 1
                assert index <= last, "sources were bounded by what the sinks want"
                open_amount = sinks[index].amount
            amount = min(left, open_amount)
            matched.append((source, sinks[index], amount))
            left -= amount
            open_amount -= amount
    return matched


def _moved(source: _End, sink: _End, amount_uwh: int) -> list[Movement]:
    movements = []
    if source.is_retired:
        movements.append(
            Movement(asset=GRID, debit=RETIRED, credit=source.wallet, amount=amount_uwh)
        )
    if source.wallet != sink.wallet:
        movements.append(
            Movement(asset=GRID, debit=source.wallet, credit=sink.wallet, amount=amount_uwh)
        )
    if sink.is_retired:
        movements.append(Movement(asset=GRID, debit=sink.wallet, credit=RETIRED, amount=amount_uwh))
    return movements


def money(
    owed_ugrx: Mapping[str, int], paid_ugrx: Mapping[str, int], available: Callable[[str], int]
) -> tuple[list[Movement], dict[str, int]]:
    """Return the movements of GRX from wallets that owe to wallets that earn, and what is paid now.

    `owed_ugrx` is what each wallet owes for the interval in all (below zero: earns), `paid_ugrx`
    what it has paid before. Both add up to zero over all wallets. A wallet pays as far as it has
    cover; what it cannot pay stays a line of its statement.
    """
    differences = _differences(owed_ugrx, paid_ugrx)
    payers = [
        _End(wallet, min(more, max(0, available(wallet))), False)
        for wallet, more in differences
        if more > 0
    ]
    earners = [_End(wallet, -more, False) for wallet, more in differences if more < 0]
    now_paid = dict(paid_ugrx)
    movements = []
    for payer, earner, amount_ugrx in _matched(payers, earners):
        movements.append(
            Movement(asset=GRX, debit=payer.wallet, credit=earner.wallet, amount=amount_ugrx)
        )
        now_paid[payer.wallet] = now_paid.get(payer.wallet, 0) + amount_ugrx
        now_paid[earner.wallet] = now_paid.get(earner.wallet, 0) - amount_ugrx
    return movements, _kept(now_paid)


def _kept(amounts: dict[str, int]) -> dict[str, int]:
    return {wallet: amount for wallet, amount in amounts.items() if amount}


def _merged(movements: list[Movement]) -> list[Movement]:
    """Return the movements with one retirement for each wallet, not one for each source."""
    retired: dict[str, int] = {}
    others = []
    for movement in movements:
        if movement.credit == RETIRED:
            retired[movement.debit] = retired.get(movement.debit, 0) + movement.amount
        else:
            others.append(movement)
    return others + [
        Movement(asset=GRID, debit=wallet, credit=RETIRED, amount=amount)
        for wallet, amount in retired.items()
    ]
