"""Minting of GRID for surplus, and claw-back. A mint first pays what its owner's wallet owes."""

from __future__ import annotations

from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.settlement import certificates
from gridtokenx_backend.core.settlement.retirement import note_spent
from gridtokenx_backend.core.state.community import Community

_GRID_ISSUER = issuer(GRID)


def mint(
    community: Community, meter: Meter, owner: str, minted_uwh: int, at_ms: int
) -> list[Movement] | None:
    """Mint a meter's surplus to its owner of then, and return the transfers.

    What the owner has owed since a correction is taken back at once. Return None if 64 bits are
    full.
    """
    minted = Movement(asset=GRID, debit=_GRID_ISSUER, credit=owner, amount=minted_uwh)
    if community.ledger.post([minted]) is not None:
        return None
    community.counters.minted_uwh += minted_uwh
    if meter.rules.renewable:
        certificates.note_minted(community, meter, owner, minted_uwh, at_ms)
    member = community.members[owner]
    member.minted_uwh += minted_uwh
    if not member.owed_uwh:
        return [minted]
    back = Movement(
        asset=GRID, debit=owner, credit=_GRID_ISSUER, amount=min(member.owed_uwh, minted_uwh)
    )
    refusal = community.ledger.post([back])
    assert refusal is None
    member.owed_uwh -= back.amount
    community.counters.minted_uwh -= back.amount
    return [minted, back]


def claw_back(
    community: Community, meter: Meter, owner: str, amount_uwh: int, at_ms: int
) -> list[Movement]:
    """Take minted GRID back from a meter's owner of then, and return the transfers.

    What the owner does not have free now is owed.
    """
    if meter.certified is not None:
        certificates.note_minted(community, meter, owner, -amount_uwh, at_ms)
    member = community.members[owner]
    taken_uwh = min(amount_uwh, community.ledger.available(owner, GRID))
    member.owed_uwh += amount_uwh - taken_uwh
    if not taken_uwh:
        return []
    back = Movement(asset=GRID, debit=owner, credit=_GRID_ISSUER, amount=taken_uwh)
    refusal = community.ledger.post([back])
    assert refusal is None
    community.counters.minted_uwh -= taken_uwh
    note_spent(community, member)
    return [back]
