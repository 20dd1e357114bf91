"""The checks that every trade is exact, was settled where it was made, and is what the auction's
rules give.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from bench.rig.month_audit import Auction, Month, Movement, Trade
from gridtokenx_sim.demo.audit.finding import Violation

_KWH = 10**9
_SLOT_MS = 900_000
_RULES = "gridtokenx-auction/1"
_FEE_BPS = 50


def assets_sum_to_zero(month: Month) -> str:
    """Every movement is a transfer above zero, so each asset sums to zero over all accounts."""
    for movement in month.movements():
        if movement.amount <= 0 or movement.debit == movement.credit:
            raise Violation(f"expected a transfer: {movement}")
    for asset in ("GRID", "GRX", "REC"):
        if total := sum(value for (_, kind), value in month.balances.items() if kind == asset):
            raise Violation(f"{asset} sums to {total}")
    return "3 assets"


def no_account_goes_below_zero(month: Month) -> str:
    """No account but an issuer's is below zero after any movement."""
    balances: Counter[tuple[str, str]] = Counter()
    for entry in month.entries:
        for movement in entry.movements:
            balances[movement.debit, movement.asset] -= movement.amount
            balances[movement.credit, movement.asset] += movement.amount
            is_issuer = movement.debit == f"issuer:{movement.asset}"
            if balances[movement.debit, movement.asset] < 0 and not is_issuer:
                raise Violation(f"entry {entry.seq}: {movement.debit} falls below zero")
    return f"{len(balances)} balances"


def charges_add_up(month: Month) -> str:
    """gross = price × quantity = net + fee to the µGRX; the fee is rounded up. No zone, no link."""
    count = 0
    for trade in _trades(month):
        if trade.gross_ugrx * _KWH != trade.price_ugrx * trade.quantity_uwh:
            raise Violation(f"price × quantity is not gross: {trade}")
        if trade.gross_ugrx != trade.net_ugrx + trade.fee_ugrx:
            raise Violation(f"gross is not net and fee: {trade}")
        if trade.fee_ugrx != -(-trade.gross_ugrx * _FEE_BPS // 10_000):
            raise Violation(f"another fee than {_FEE_BPS} bps: {trade}")
        if trade.wheeling_ugrx or trade.loss_ugrx or trade.rent_ugrx:
            raise Violation(f"a charge for a link: {trade}")
        count += 1
    return f"{count} trades"


def settlement_is_delivery_versus_payment(month: Month) -> str:
    """Each trade's payment, fee and delivery are in its own entry, and pay for nothing else."""
    count = 0
    for entry in month.entries:
        due = Counter(each for trade in entry.trades for each in _settlement(trade))
        paid = Counter(
            each
            for each in entry.movements
            if each.debit in month.owners.values() and each.credit not in _SINKS
        )
        if due != paid:
            raise Violation(f"entry {entry.seq}: what moved is not what was traded")
        count += len(entry.trades)
    return f"{count} settlements"


_SINKS = {"community:retired", "community:fed-in"}


def nobody_trades_with_itself(month: Month) -> str:
    """Buyer and seller of every trade differ."""
    count = 0
    for trade in _trades(month):
        if trade.buyer == trade.seller:
            raise Violation(f"a wallet trades with itself: {trade}")
        count += 1
    return f"{count} trades"


def realtime_keeps_limits(month: Month) -> str:
    """No realtime trade is dearer than its buyer or cheaper than its seller signed."""
    limits: dict[int, tuple[str, int]] = {}
    count = 0
    for entry in month.entries:
        if entry.kind != "order" or entry.tag != "order":
            continue
        signed = msgspec.json.decode(_payload(entry.input))
        price = int(Decimal(signed["price_grx_per_kwh"]) * 10**6)
        limits[entry.outcome[1]] = signed["side"], price
        for trade in entry.trades:
            for number in (trade.maker, trade.taker):
                side, limit = limits[number]
                if trade.price_ugrx > limit if side == "buy" else trade.price_ugrx < limit:
                    raise Violation(f"entry {entry.seq}: order {number} traded beyond its limit")
            count += 1
    return f"{count} trades"


def intervals_are_cleared_once_in_order(month: Month) -> str:
    """Each quarter hour is cleared once, in order, a day after its end at the earliest."""
    expected = month.histories[0].days[0][0].time_ms
    for entry, clearing in month.clearings:
        if clearing.interval_ms != expected or entry.at_ms < expected + _SLOT_MS + 86_400_000:
            raise Violation(f"entry {entry.seq}: expected the interval {expected}")
        expected += _SLOT_MS
    return f"{len(month.clearings)} clearings"


def books_have_their_hashes(month: Month) -> str:
    """Each published book has the hash beside it."""
    for entry, clearing in month.clearings:
        for auction in clearing.auctions:
            lines = [_RULES, f"zone {auction.zone}", f"interval {clearing.interval_ms}"]
            lines += [" ".join(map(str, order)) for order in sorted(auction.book)]
            text = "".join(f"{line}\n" for line in lines)
            if hashlib.sha256(text.encode()).hexdigest() != auction.digest:
                raise Violation(f"entry {entry.seq}: the book has another hash")
    return f"{len(month.clearings)} books"


def volumes_are_the_most(month: Month) -> str:
    """Each auction's volume is the most that different members can trade at one price."""
    total = 0
    for entry, clearing in month.clearings:
        for auction in clearing.auctions:
            prices = {order[3] for order in auction.book}
            most = max((_volume(auction, price) for price in prices), default=0)
            traded = sum(trade.quantity_uwh for trade in clearing.trades)
            if not most == auction.volume_uwh == traded:
                raise Violation(f"entry {entry.seq}: {traded} µWh traded of {most}")
            total += traded
    return f"{total} µWh"


def prices_are_in_their_intervals(month: Month) -> str:
    """At each clearing price all are content: who bid more is served, who asked less has sold."""
    count = 0
    for entry, clearing in month.clearings:
        for auction in clearing.auctions:
            price = auction.price_ugrx
            if price is None:
                continue
            low, high = auction.low_ugrx, auction.high_ugrx
            if low is None or high is None or not low <= price <= high:
                raise Violation(f"entry {entry.seq}: the price is outside of its interval")
            if any(trade.price_ugrx != price for trade in clearing.trades):
                raise Violation(f"entry {entry.seq}: a trade at another price")
            _check_content(entry.seq, auction, clearing.trades, price)
            count += 1
    return f"{count} prices"


def _trades(month: Month) -> Iterable[Trade]:
    return (trade for entry in month.entries for trade in entry.trades)


def _settlement(trade: Trade) -> list[Movement]:
    movements = [
        Movement(asset="GRX", debit=trade.buyer, credit=trade.seller, amount=trade.net_ugrx),
        Movement(asset="GRX", debit=trade.buyer, credit="community:fees", amount=trade.fee_ugrx),
        Movement(asset="GRID", debit=trade.seller, credit=trade.buyer, amount=trade.quantity_uwh),
    ]
    return [movement for movement in movements if movement.amount]


def _payload(jws: bytes) -> bytes:
    import base64  # noqa: PLC0415

    part = jws.split(b".")[1]
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _volume(auction: Auction, price_ugrx: int) -> int:
    """Return the most at a price when nobody trades with itself: a minimum cut."""
    wanted: Counter[str] = Counter()
    offered: Counter[str] = Counter()
    for _, wallet, side, limit, quantity in auction.book:
        if side == "buy" and limit >= price_ugrx:
            wanted[wallet] += quantity
        if side == "sell" and limit <= price_ugrx:
            offered[wallet] += quantity
    demand, supply = wanted.total(), offered.total()
    both = wanted.keys() & offered.keys()
    return min(demand, supply, *(demand - wanted[who] + supply - offered[who] for who in both))


def _check_content(seq: int, auction: Auction, trades: list[Trade], price_ugrx: int) -> None:
    """Who bid above the price is filled, and who asked below it, but for their own orders."""
    filled: Counter[int] = Counter()
    for trade in trades:
        filled[trade.maker] += trade.quantity_uwh
        filled[trade.taker] += trade.quantity_uwh
    sides = defaultdict(set)
    for _, wallet, side, _, _ in auction.book:
        sides[wallet].add(side)
    for number, wallet, side, limit, quantity in auction.book:
        better = limit > price_ugrx if side == "buy" else limit < price_ugrx
        if better and filled[number] < quantity and len(sides[wallet]) == 1:
            raise Violation(f"entry {seq}: order {number} was left out at a better price")
        worse = limit < price_ugrx if side == "buy" else limit > price_ugrx
        if worse and filled[number]:
            raise Violation(f"entry {seq}: order {number} traded beyond its limit")
