"""The backend's statement of the community's state, as integers."""

from __future__ import annotations

import msgspec


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the community began, after the journal's entry `journal_seq`."""

    readings_accepted: int
    readings_rejected: int
    readings_quarantined: int
    minted_uwh: int
    orders: int
    trades: int
    settlements: int
    frames: int
    journal_seq: int


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet's tokens; the held part of them is in escrow."""

    grid_uwh: int
    grid_held_uwh: int
    grx_ugrx: int
    grx_held_ugrx: int


class Statement(msgspec.Struct, frozen=True):
    """Totals and every member's balance (by wallet) after one and the same entry."""

    summary: Summary
    balances: dict[str, Balance]
