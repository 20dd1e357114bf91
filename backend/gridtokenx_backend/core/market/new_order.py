"""An order that was read and is not in a book yet."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.market.matching import SKIP
from gridtokenx_wire.order import SelfTradePrevention, Side


class NewOrder(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """An order that asks for a place in a book. `zone` is the zone of its owner.

    An order that `rests` (GTC, GTT) waits in the book with what does not trade at once; IOC and
    FOK do not. If less than `min_quantity_uwh` can trade at once, nothing of it trades; a FOK order
    asks for its whole quantity. `price_ugrx` of a market order is the worst price that the zone
    allows. `expires_ms` of 0 means that it does not expire.
    """

    number: int
    key: str
    wallet: str
    side: Side
    price_ugrx: int
    quantity_uwh: int
    rests: bool
    standing: bool = False
    zone: str = ""
    is_market: bool = False
    expires_ms: int = 0
    post_only: bool = False
    min_quantity_uwh: int = 0
    stp: SelfTradePrevention = SKIP
