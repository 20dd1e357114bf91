"""An independent check of what a trade was charged, against the terms in force.

The fee is computed again from the trade's price and quantity: `fee_bps` of the energy's value at
the seller's price, rounded up, and at least the minimum. A trade within a zone has no charges of
the network. A trade of the realtime market between two zones has those of the link between them.

That price × quantity, the charges and the two sides' amounts agree is checked by the statement
itself, over all trades of the month.

Not noticed are: a wrong price or quantity; wrong wheeling, losses or rent of a trade that an
auction made between zones, because the journal does not name the links of its way; and a wrong
price of losses, which `loss_per_kwh_ugrx` of the core computes here too.
"""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_backend.core.messages.outcomes import Trade
from gridtokenx_backend.core.model.terms import CommunityTerms, LinkTerms
from gridtokenx_backend.core.model.zones import loss_per_kwh_ugrx
from gridtokenx_backend.statements.fold.findings import Finding
from gridtokenx_backend.statements.fold.trade_lines import payer_of
from gridtokenx_wire.units import UWH_PER_KWH, format_grx


def wrong_charges(trade: Trade, terms: CommunityTerms, entry: int) -> Iterator[Finding]:
    """Yield a finding for each charge of the trade that is not what the terms ask for."""
    market = terms.market
    fee_ugrx = _fee_ugrx(trade, terms)
    if trade.fee_ugrx != fee_ugrx:
        yield Finding(
            wallet=payer_of(trade, market.fee_payer),
            entry=entry,
            text="market fee of a trade = the fee by the terms",
            found=format_grx(trade.fee_ugrx),
            expected=format_grx(fee_ugrx),
        )
    expected = _network_ugrx(trade, terms)
    if expected is None:
        return
    wheeling_ugrx, loss_ugrx = expected
    payer = payer_of(trade, market.network_payer)
    for wallet, name, found_ugrx, expected_ugrx in (
        (payer, "wheeling", trade.wheeling_ugrx, wheeling_ugrx),
        (payer, "losses", trade.loss_ugrx, loss_ugrx),
        (trade.buyer, "congestion rent", trade.rent_ugrx, 0),
    ):
        if found_ugrx != expected_ugrx:
            yield Finding(
                wallet=wallet,
                entry=entry,
                text=f"{name} of a trade = {name} by the terms",
                found=format_grx(found_ugrx),
                expected=format_grx(expected_ugrx),
            )


def _fee_ugrx(trade: Trade, terms: CommunityTerms) -> int:
    """Return the fee on the energy's value at the seller's price.

    Where sellers pay the network, the trade's price is the landed one.
    """
    market = terms.market
    value_ugrx = trade.price_ugrx * trade.quantity_uwh // UWH_PER_KWH
    if market.network_payer == "seller":
        value_ugrx -= trade.wheeling_ugrx + trade.loss_ugrx
    whole, remainder = divmod(value_ugrx * market.fee_bps, 10_000)
    return max(whole + (remainder > 0), int(market.min_fee_grx))


def _network_ugrx(trade: Trade, terms: CommunityTerms) -> tuple[int, int] | None:
    """Return wheeling and losses by the terms; None where the way of the energy is not known."""
    if trade.buyer_zone == trade.seller_zone:
        return 0, 0
    if trade.segment != "realtime":
        return None
    link = _link(trade, terms)
    if link is None:
        return 0, 0
    loss_price_ugrx = loss_per_kwh_ugrx(
        link.loss_bps, int(link.loss_price_grx_per_kwh), int(terms.market.tick_grx_per_kwh)
    )
    wheeling_ugrx = int(link.wheeling_grx_per_kwh) * trade.quantity_uwh // UWH_PER_KWH
    return wheeling_ugrx, loss_price_ugrx * trade.quantity_uwh // UWH_PER_KWH


def _link(trade: Trade, terms: CommunityTerms) -> LinkTerms | None:
    for link in terms.link:
        if (link.from_zone, link.to_zone) == (trade.seller_zone, trade.buyer_zone):
            return link
    return None
