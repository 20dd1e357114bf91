"""The checks that every auction is what its published book gives. Each price is tried, slowly."""

from __future__ import annotations

import hashlib
from collections import Counter

from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.records import AuctionOrder, ClearOutcome, ZoneClearing
from gridtokenx_wire.units import format_grx, format_kwh

_RULES = "gridtokenx-auction/1"


def intervals_are_cleared_in_order(evidence: Evidence) -> str:
    """Each interval of 15 minutes is cleared once, in order, and only after it ended."""
    last_ms = -1
    count = 0
    for entry in evidence.entries:
        if not isinstance(entry.outcome, ClearOutcome):
            continue
        interval_ms = entry.outcome.interval_ms
        if interval_ms % 900_000 or (last_ms >= 0 and interval_ms != last_ms + 900_000):
            raise Violation(f"entry {entry.seq}: expected the interval after {last_ms}")
        if entry.at_ms < interval_ms + 900_000:
            raise Violation(f"entry {entry.seq}: its interval had not ended")
        last_ms = interval_ms
        count += 1
    return f"{count} clearings"


def books_have_their_hashes(evidence: Evidence) -> str:
    """Each published book has the hash that stands beside it."""
    count = 0
    for entry in evidence.entries:
        if isinstance(entry.outcome, ClearOutcome):
            for zone in entry.outcome.zones:
                if zone.digest != _digest(zone, entry.outcome.interval_ms):
                    raise Violation(f"entry {entry.seq}: the book of {zone.zone} has another hash")
                count += 1
    return f"{count} books"


def auctions_move_the_most(evidence: Evidence) -> str:
    """Each auction trades the most that different members can at one price, and at that
    price.
    """
    traded = []
    for entry in evidence.entries:
        if isinstance(entry.outcome, ClearOutcome):
            for zone in entry.outcome.zones:
                _check_zone(entry.seq, entry.outcome, zone)
                if zone.volume_uwh:
                    traded.append(zone)
    return f"{len(traded)} auctions with a price{_last(traded)}"


def _last(traded: list[ZoneClearing]) -> str:
    if not traded:
        return ""
    price_ugrx, volume_uwh = traded[-1].price_ugrx, traded[-1].volume_uwh
    return f"; the last {format_kwh(volume_uwh)} kWh at {format_grx(price_ugrx or 0)} GRX/kWh"


def _digest(zone: ZoneClearing, interval_ms: int) -> str:
    lines = [_RULES, f"zone {zone.zone}", f"interval {interval_ms}"]
    lines += [
        f"{order.number} {order.wallet} {order.side} {order.price_ugrx} {order.quantity_uwh}"
        for order in sorted(zone.book, key=lambda order: order.number)
    ]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _check_zone(seq: int, clearing: ClearOutcome, zone: ZoneClearing) -> None:
    most_uwh = max((_volume(zone.book, o.price_ugrx) for o in zone.book), default=0)
    if zone.volume_uwh != most_uwh:
        raise Violation(f"entry {seq}: {zone.zone} trades {zone.volume_uwh} µWh of {most_uwh}")
    if not most_uwh:
        return
    price, low, high = zone.price_ugrx, zone.low_ugrx, zone.high_ugrx
    if price is None or low is None or high is None or not low <= price <= high:
        raise Violation(f"entry {seq}: the price of {zone.zone} is outside of its interval")
    if _volume(zone.book, price) != most_uwh:
        raise Violation(f"entry {seq}: at the price of {zone.zone} less would trade")
    trades = [
        trade for trade in clearing.trades if trade.buyer_zone == trade.seller_zone == zone.zone
    ]
    if sum(trade.quantity_uwh for trade in trades) != most_uwh:
        raise Violation(f"entry {seq}: the trades of {zone.zone} are not its volume")
    if any(trade.price_ugrx != price for trade in trades):
        raise Violation(f"entry {seq}: a trade of {zone.zone} at another price")


def _volume(book: list[AuctionOrder], price_ugrx: int) -> int:
    """Return the most that can trade at a price when nobody trades with itself: a minimum cut."""
    wanted: Counter[str] = Counter()
    offered: Counter[str] = Counter()
    for order in book:
        if order.side == "buy" and order.price_ugrx >= price_ugrx:
            wanted[order.wallet] += order.quantity_uwh
        if order.side == "sell" and order.price_ugrx <= price_ugrx:
            offered[order.wallet] += order.quantity_uwh
    demand, supply = wanted.total(), offered.total()
    others = [
        demand - wanted[wallet] + supply - offered[wallet] for wallet in wanted.keys() & offered
    ]
    return min(demand, supply, *others)
