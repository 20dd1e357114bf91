"""The steps of a billing period: the operator's command and its outcome."""

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
    """Periods become final one after the other, because the oldest surplus goes first."""
    UNKNOWN_WALLET = "unknown_wallet"
    STALE = "stale"
    """Surplus was sold or minted after the documents were made."""


class FeedIn(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The part of a wallet's surplus that goes to the utility, as the documents have it.

    `minted_uwh` is all that was minted to the wallet by the period's end. `given_later_uwh` is what
    it gave to members by the community's key for intervals after that.
    """

    wallet: str
    minted_uwh: int
    fed_in_uwh: int
    given_later_uwh: int = 0


class PeriodCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's command to take a step.

    `documents` has [wallet, SHA-256 in hex] of the members' statements, `report` is the hash of the
    community's report. `feed_in` is for `final` only.
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
    """A step that was taken.

    `cancelled` has the numbers of the sell orders whose escrow the feed-in needed.
    """

    month: str
    status: PeriodStatus
    revision: int
    movements: list[Movement]
    cancelled: list[int]


class PeriodRefused(msgspec.Struct, frozen=True, gc=False):
    """A step that was not taken, and is not journaled. `detail` says what was expected."""

    reason: PeriodRefusal
    detail: str
