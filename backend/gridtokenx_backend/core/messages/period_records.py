"""The steps of a billing period: the operator's command, and what came of it."""

from __future__ import annotations

from enum import Enum

import msgspec

from gridtokenx_backend.core.model.billing_periods import PeriodStatus
from gridtokenx_backend.core.model.ledger import Movement


class PeriodRefusal(Enum):
    """Why a period stayed as it was. Checked in this order."""

    BAD_PERIOD = "bad_period"
    NOT_ENDED = "not_ended"
    WRONG_STATUS = "wrong_status"
    WRONG_REVISION = "wrong_revision"
    """Another document of this period was journaled meanwhile."""
    OUT_OF_ORDER = "out_of_order"
    """Periods become final one after the other: surplus goes oldest first."""
    UNKNOWN_WALLET = "unknown_wallet"
    STALE = "stale"
    """Surplus was sold, or minted, since the documents were made."""


class FeedIn(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """What of a wallet's surplus goes to the utility, as the documents have it.

    `minted_uwh` is what was ever minted to it by the period's end, `given_later_uwh` what of the
    rest went to members by the community's key, for intervals after it.
    """

    wallet: str
    minted_uwh: int
    fed_in_uwh: int
    given_later_uwh: int = 0


class ChangePeriod(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's step. `documents` are [wallet, SHA-256 in hex] of the members' statements.

    `report` is the hash of the community's report. `feed_in` is for `final` only.
    """

    month: str
    status: PeriodStatus
    revision: int
    from_ms: int
    to_ms: int
    documents: list[tuple[str, str]]
    report: str = ""
    feed_in: list[FeedIn] = []


class PeriodChanged(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="period", gc=False
):
    """`cancelled` are the numbers of sell orders whose escrow the feed-in needed."""

    month: str
    status: PeriodStatus
    revision: int
    movements: list[Movement]
    cancelled: list[int]


class PeriodRefused(msgspec.Struct, frozen=True, gc=False):
    """A step that was not taken, and is not journaled. `detail` says what was expected."""

    reason: PeriodRefusal
    detail: str
