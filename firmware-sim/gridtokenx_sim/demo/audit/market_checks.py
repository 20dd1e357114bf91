"""The checks that every trade is exact, is between two members, and was settled where it
was made.
"""

from __future__ import annotations

from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.records import (
    AmendOutcome,
    ClearOutcome,
    Entry,
    Movement,
    OrderOutcome,
    Trade,
    TradeRow,
)

_FEES = "community:fees"
_RETIRED = "community:retired"
_UWH_PER_KWH = 10**9
_BPS = 10_000


def trades_are_exact(evidence: Evidence) -> str:
    """gross = price × quantity without rounding, gross = net + fee, and buyer is not seller.

    The demo's community has one zone, so nothing is wheeled or lost.
    """
    fee_bps = evidence.terms.market.fee_bps
    count = 0
    for entry in evidence.entries:
        for trade in entry.trades:
            if trade.buyer == trade.seller:
                raise Violation(f"entry {entry.seq}: a wallet trades with itself")
            if trade.price_ugrx <= 0 or trade.quantity_uwh <= 0:
                raise Violation(f"entry {entry.seq}: expected a price and a quantity above zero")
            if trade.price_ugrx * trade.quantity_uwh != trade.gross_ugrx * _UWH_PER_KWH:
                raise Violation(f"entry {entry.seq}: price × quantity is not {trade.gross_ugrx}")
            if trade.fee_ugrx != -(-trade.gross_ugrx * fee_bps // _BPS):
                raise Violation(
                    f"entry {entry.seq}: {trade.fee_ugrx} is not {fee_bps} bps of gross"
                )
            if trade.gross_ugrx != trade.net_ugrx + trade.fee_ugrx:
                raise Violation(f"entry {entry.seq}: gross is not net and fee")
            if trade.wheeling_ugrx or trade.loss_ugrx or trade.rent_ugrx:
                raise Violation(f"entry {entry.seq}: a charge for a link, and there is none")
            count += 1
    return f"{count} trades"


def settlement_is_delivery_versus_payment(evidence: Evidence) -> str:
    """Each trade's payment, fee and delivery are in its own entry, and nothing else is."""
    count = 0
    for entry in evidence.entries:
        if isinstance(entry.outcome, ClearOutcome):
            _check_clearing(entry, entry.outcome)
        elif isinstance(entry.outcome, AmendOutcome):
            _check_settled(entry, entry.outcome.trades, entry.outcome.movements)
        else:
            for order in entry.orders:
                _check_order(entry, order)
        count += len(entry.trades)
    return f"{count} settlements"


def history_is_the_journal(evidence: Evidence) -> str:
    """The market's history has the journal's trades, all of them, in order."""
    expected = [
        TradeRow(
            seq=entry.seq,
            n=n,
            at_ms=entry.at_ms,
            price_ugrx=trade.price_ugrx,
            quantity_uwh=trade.quantity_uwh,
            gross_ugrx=trade.gross_ugrx,
            fee_ugrx=trade.fee_ugrx,
            buyer=trade.buyer,
            seller=trade.seller,
        )
        for entry in evidence.entries
        for n, trade in enumerate(entry.trades)
    ]
    if evidence.trade_table != expected:
        raise Violation("the market's history differs from the journal's trades")
    return f"{len(expected)} rows"


def _check_order(entry: Entry, order: OrderOutcome) -> None:
    _check_settled(entry, order.trades, order.movements)
    if order.filled_uwh != sum(trade.quantity_uwh for trade in order.trades):
        raise Violation(f"entry {entry.seq}: its trades do not add up to what was filled")
    if any(order.number != trade.taker for trade in order.trades):
        raise Violation(f"entry {entry.seq}: a trade of another order")


def _check_clearing(entry: Entry, clearing: ClearOutcome) -> None:
    """Check an auction's movements: its settlements come first, and then what bought energy
    covered.
    """
    count = sum(len(_settlement(trade)) for trade in clearing.trades)
    _check_settled(entry, clearing.trades, clearing.movements[:count])
    after = clearing.movements[count:]
    if any((movement.asset, movement.credit) != ("GRID", _RETIRED) for movement in after):
        raise Violation(f"entry {entry.seq}: expected energy to be retired, found {after}")
    if any(order.trades or order.movements for order in clearing.orders):
        raise Violation(f"entry {entry.seq}: an order for an auction traded before it")


def _check_settled(entry: Entry, trades: list[Trade], movements: list[Movement]) -> None:
    settled = [movement for trade in trades for movement in _settlement(trade)]
    if movements != settled:
        raise Violation(f"entry {entry.seq}: expected {settled}, found {movements}")


def _settlement(trade: Trade) -> list[Movement]:
    """Return the movements of a trade: money one way and energy the other."""
    movements = [
        Movement(asset="GRX", debit=trade.buyer, credit=trade.seller, amount=trade.net_ugrx),
        Movement(asset="GRX", debit=trade.buyer, credit=_FEES, amount=trade.fee_ugrx),
        Movement(asset="GRID", debit=trade.seller, credit=trade.buyer, amount=trade.quantity_uwh),
    ]
    return [movement for movement in movements if movement.amount]
