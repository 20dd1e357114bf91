"""The rationing at the clearing price: who gets what, by price and then by time.

The quantities that one side's members can trade at a price are bounded by the other side's total
and, for each member, by what the others have there. Sets so bounded are polymatroids: serving
order after order, each as far as the bounds allow, reaches the largest volume. And what each side
so gets can always be traded together (Mendelsohn and Dulmage).
"""

from __future__ import annotations

from collections.abc import Sequence

from gridtokenx_backend.core.auction.orders import AuctionOrder

Fill = tuple[AuctionOrder, int]
"""An order and the quantity, in µWh, that it trades; above 0."""


def ration(first_served: Sequence[AuctionOrder], others: Sequence[AuctionOrder]) -> list[Fill]:
    """Return what each order of one side trades with `others`, all within the clearing price."""
    left_uwh = sum(order.quantity_uwh for order in others)
    of_others: dict[str, int] = {}
    total_uwh = left_uwh
    own_uwh: dict[str, int] = {}
    for order in others:
        own_uwh[order.wallet] = own_uwh.get(order.wallet, 0) + order.quantity_uwh
    fills = []
    for order in first_served:
        if left_uwh == 0:
            break
        wallet = order.wallet
        if wallet in own_uwh:
            within = of_others.get(wallet, total_uwh - own_uwh[wallet])
            quantity_uwh = min(order.quantity_uwh, left_uwh, within)
            of_others[wallet] = within - quantity_uwh
        else:
            quantity_uwh = min(order.quantity_uwh, left_uwh)
        if quantity_uwh:
            left_uwh -= quantity_uwh
            fills.append((order, quantity_uwh))
    return fills
