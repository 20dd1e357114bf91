"""The pairs of an auction: who delivers to whom, and nobody to itself.

All pay and get one price, so any pairing is as good as another. Buyers and sellers are laid along
two circles as long as the volume, both in the order of their wallets, and the sellers' circle is
turned until no member faces itself. Turning by the largest end of a buyer's arc over the start of
the same member's seller's arc does it, whenever no member trades more than the volume in all:

    max over m of (B(m) + b(m) - A(m)) <= turn <= V + min over m of (B(m) - A(m) - a(m))

where B, A are the arcs' starts and b, a their lengths. For members i before j the difference of
the two sides is V - (sum of a over i..j) + (sum of b strictly between), for j before i it is V -
(sum of b over j..i) + (sum of a strictly between), and for i = j it is V - a - b: never below 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.auction.rationing import Fill


class MatchedPair(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The order `buyer` buys `quantity_uwh` from the order `seller`; both by number."""

    buyer: int
    seller: int
    quantity_uwh: int


def pair(bids: Sequence[Fill], asks: Sequence[Fill]) -> list[MatchedPair]:
    """Return the pairs for all that both sides trade; at most one more than there are fills."""
    bids, asks = sorted(bids, key=_by_wallet), sorted(asks, key=_by_wallet)
    turn_uwh = _turn(_arcs(bids), _arcs(asks))
    return join(bids, _turned(asks, turn_uwh))


def join(bids: Sequence[Fill], asks: Sequence[Fill]) -> list[MatchedPair]:
    """Return the pairs of two sides as they lie side by side."""
    pairs = []
    sellers = iter(asks)
    seller, offered_uwh = next(sellers, (None, 0))
    for buyer, wanted_uwh in bids:
        left_uwh = wanted_uwh
        while left_uwh:
            if offered_uwh == 0:
                seller, offered_uwh = next(sellers)
            assert seller is not None
            assert seller.wallet != buyer.wallet
            quantity_uwh = min(left_uwh, offered_uwh)
            pairs.append(
                MatchedPair(buyer=buyer.number, seller=seller.number, quantity_uwh=quantity_uwh)
            )
            left_uwh -= quantity_uwh
            offered_uwh -= quantity_uwh
    return pairs


def _by_wallet(fill: Fill) -> tuple[str, int]:
    return fill[0].wallet, fill[0].number


def _arcs(fills: Sequence[Fill]) -> dict[str, tuple[int, int]]:
    """Return (start, end) of each wallet along the side."""
    arcs: dict[str, tuple[int, int]] = {}
    position = 0
    for order, quantity_uwh in fills:
        start, _ = arcs.get(order.wallet, (position, 0))
        position += quantity_uwh
        arcs[order.wallet] = start, position
    return arcs


def _turn(buyers: dict[str, tuple[int, int]], sellers: dict[str, tuple[int, int]]) -> int:
    """Return how far the sellers are moved on, seen from where the buyers lie."""
    both = [wallet for wallet in buyers if wallet in sellers]
    return max((buyers[wallet][1] - sellers[wallet][0] for wallet in both), default=0)


def _turned(fills: Sequence[Fill], turn_uwh: int) -> list[Fill]:
    """Return the fills of a circle, from the one that comes to lie at its origin."""
    volume_uwh = sum(quantity_uwh for _, quantity_uwh in fills)
    if volume_uwh == 0:
        return []
    origin = -turn_uwh % volume_uwh
    behind: list[Fill] = []
    ahead: list[Fill] = []
    position = 0
    for order, quantity_uwh in fills:
        before = min(quantity_uwh, max(0, origin - position))
        if before:
            behind.append((order, before))
        if quantity_uwh > before:
            ahead.append((order, quantity_uwh - before))
        position += quantity_uwh
    return ahead + behind
