"""Every expected reason for which an input changes nothing, in order of precedence."""

from __future__ import annotations

from enum import Enum


class FrameRefusal(Enum):
    """Why a frame was dropped: it is not stored and not acked as stored. Checked in this order.

    The first group is found before the core sees the frame.
    """

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNKNOWN_DEVICE = "unknown_device"
    OVER_BUDGET = "over_budget"
    """The gateway has sent more than its budget: it is told when to send again."""
    BAD_SIGNATURE = "bad_signature"
    WRONG_DEVICE = "wrong_device"
    """One device signed it, and another sent it."""
    CLOCK_IN_DOUBT = "clock_in_doubt"
    """Nobody knows whether the server's clock or the gateway's is wrong: it is to come again."""
    HISTORY_LOST = "history_lost"
    """The journal lacks what was acked once: nothing is taken before the operator decides."""

    PENDING_DEVICE = "pending_device"
    REVOKED_DEVICE = "revoked_device"
    HELD_DEVICE = "held_device"
    """Two frames of one number came under its key. The operator releases or revokes it."""
    ORACLE_PAUSED = "oracle_paused"
    WRONG_CHAIN = "wrong_chain"
    FORKED = "forked"
    """Its number is that of a stored frame, and it is another one: the device is held."""
    DUPLICATE = "duplicate"
    """It is stored already, so it is acked again."""
    OLD_NUMBER = "old_number"
    """Its number is below those whose frames the core can tell apart: the journal is asked."""
    GAP = "gap"
    """Its number is above the expected one: the gateway is asked to go back."""
    BROKEN_CHAIN = "broken_chain"
    """Its number is right, but `prev` is not the hash of the frame before it: the device is held.

    If it is the first frame of its chain, it is only dropped.
    """


class OrderRefusal(Enum):
    """Why an instruction changed nothing. Checked in this order."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    WRONG_COMMUNITY = "wrong_community"
    UNKNOWN_WALLET = "unknown_wallet"
    ID_REUSED = "id_reused"
    """The id was used with other content."""
    OUTSIDE_WINDOW = "outside_window"
    """Signed too long ago, or in the future."""
    SEGMENT_CLOSED = "segment_closed"
    """The community does not trade in that segment."""
    UNKNOWN_ORDER = "unknown_order"
    """No open order has that id."""
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    """The wallet has no certificate of that serial number, or it is retired."""
    UNKNOWN_ZONE = "unknown_zone"
    CONTRADICTORY = "contradictory"
    """Its type, its time in force and its other wishes contradict each other."""
    BAD_EXPIRY = "bad_expiry"
    ZONE_CLOSED = "zone_closed"
    """The zone is halted, cancel-only, or paused by its circuit breaker."""
    BAD_QUANTITY = "bad_quantity"
    BAD_PRICE = "bad_price"
    BAD_AMOUNT = "bad_amount"
    REFERENCE_USED = "reference_used"
    NOT_SETTLEABLE = "not_settleable"
    """The fee of its smallest fill would take all that the fill brings."""
    INSUFFICIENT_BALANCE = "insufficient_balance"
    WOULD_TRADE = "would_trade"
    """A post-only order that would not rest."""
    BUSY = "busy"
    """A bound of the book or of the remembered ids is reached. A later try can succeed."""


class EnrolmentRefusal(Enum):
    """Why a gateway was not let in, or an operator's command had no effect. Checked in this order.

    The first two are found before the core sees the input.
    """

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    TOKEN_USED = "token_used"  # noqa: S105
    """Another key used it. The key that used it is answered as before."""
    TOKEN_WITHDRAWN = "token_withdrawn"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    UNKNOWN_DEVICE = "unknown_device"
    DEVICE_REVOKED = "device_revoked"
    """A key that was revoked stays revoked."""
    DEVICE_HELD = "device_held"
    """Two frames of one number came under its key: it may not choose its follower."""
    NOT_HELD = "not_held"
    """The device is not held, so there is nothing to release."""
    DEVICE_PENDING = "device_pending"
    DEVICE_ACTIVE = "device_active"
    """The device is active already, so there is nothing to approve."""
    DEVICE_ELSEWHERE = "device_elsewhere"
    """The key belongs to another site, or to a device that followed another one."""
    ALREADY_FOLLOWED = "already_followed"
    """Another key follows this one already."""
    TOO_MANY_TOKENS = "too_many_tokens"
