"""What came of an input. Outcomes are stored beside their input and compared when replayed."""

from __future__ import annotations

from typing import Literal, TypeGuard, get_args

import msgspec

from gridtokenx_backend.core.messages.clearing_records import LinkClearing, ZoneClearing
from gridtokenx_backend.core.messages.period_records import PeriodChanged, PeriodRefused
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal as EnrolmentRefusal  # noqa: PLC0414
from gridtokenx_backend.core.messages.refusals import FrameRefusal as FrameRefusal  # noqa: PLC0414
from gridtokenx_backend.core.messages.refusals import OrderRefusal as OrderRefusal  # noqa: PLC0414
from gridtokenx_backend.core.messages.settlement_outcomes import (
    MeterCorrected,
    Moving,
    NothingIssued,
    Retirement,
    SettlementOutcome,
    SettlementRefused,
)
from gridtokenx_backend.core.messages.sharing_outcomes import (
    Allocation,
    GridDataImported,
    GridDataRefused,
)
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import Movement
from gridtokenx_backend.core.model.registry import DeviceStatus, TokenStatus
from gridtokenx_wire.order import Segment, Side

OrderStatus = Literal["resting", "partly_filled", "filled", "cancelled"]
"""What became of an order: partly_filled rests with its remainder, cancelled has lost it."""
ZoneStatus = Literal["open", "halted", "cancel_only"]


class FrameRefused(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A frame that changed nothing and is not journaled.

    `next_seq` is what the backend expects of the device's chain. For a duplicate, `verdicts` are
    those of stored frames from its seq on, as (seq, index, reason), in case their ack was lost.
    """

    reason: FrameRefusal
    device: bytes
    chain: bytes = b""
    next_seq: int = 0
    verdicts: list[tuple[int, int, int]] = []


class OrderRefused(msgspec.Struct, frozen=True, gc=False):
    """An instruction that changed nothing and is not journaled. `detail` says what was expected."""

    reason: OrderRefusal
    detail: str = ""


class EnrolmentRefused(msgspec.Struct, frozen=True, gc=False):
    """An enrolment or a command that changed nothing and is not journaled."""

    reason: EnrolmentRefusal
    detail: str = ""


class AlreadyEnrolled(msgspec.Struct, frozen=True, gc=False):
    """The same key asks again for what it has: it is answered as before. Not journaled."""

    device: bytes


class Trade(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A fill and its charges: `gross_ugrx == net_ugrx + fee_ugrx + wheeling_ugrx + loss_ugrx`.

    gross is all that the buyer pays, net all that the seller gets. The price is the seller's, or
    the landed one where sellers pay the network.
    """

    maker: int
    taker: int
    buyer: str
    seller: str
    price_ugrx: int
    quantity_uwh: int
    gross_ugrx: int
    fee_ugrx: int
    net_ugrx: int
    wheeling_ugrx: int = 0
    loss_ugrx: int = 0
    buyer_zone: str = ""
    seller_zone: str = ""
    segment: Segment = "realtime"
    rent_ugrx: int = 0
    """What the buyer pays beside `gross_ugrx` for links that are full, in the coupling only."""


class FrameAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="frame", gc=False
):
    """`verdicts` are [index, reason] of the readings that were not simply accepted.

    `previous` is the journal's number of the device's frame before this one, 0 for the first.
    `intervals` are those that its readings closed or revised, by meter, in that order.
    """

    previous: int
    device: bytes
    chain: bytes
    seq: int
    readings: int
    verdicts: list[tuple[int, int]]
    movements: list[Movement]
    intervals: list[tuple[str, list[IntervalEnergy]]] = []


class OrderAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="order", gc=False
):
    """`status` is resting, filled, partly_filled (it rests) or cancelled (the remainder is gone).

    `cancelled` are the wallet's own orders that stood in its way, `paused` the zones whose breaker
    it tripped.
    """

    number: int
    key: str
    status: OrderStatus
    filled_uwh: int
    remaining_uwh: int
    trades: list[Trade]
    movements: list[Movement]
    cancelled: list[int] = []
    paused: list[str] = []


class OrderAmended(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="amend", gc=False
):
    """`former` is the order's number before; if `number` is another, it lost its priority.

    `filled_uwh` is what the order has traded in all, of a `quantity_uwh` at `price_ugrx`.
    """

    number: int
    key: str
    former: int
    status: OrderStatus
    quantity_uwh: int
    price_ugrx: int
    filled_uwh: int
    remaining_uwh: int
    trades: list[Trade]
    movements: list[Movement]
    paused: list[str]


class AllCancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancel_all", gc=False):
    """The numbers of the orders that a wallet withdrew."""

    wallet: str
    cancelled: list[int]


class MarketSwitched(msgspec.Struct, frozen=True, array_like=True, tag="market", gc=False):
    """The operator set zones to open, halted or cancel_only."""

    zones: list[str]
    status: ZoneStatus


class OrderCancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancel", gc=False):
    number: int
    key: str
    remaining_uwh: int


class StandingAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="standing", gc=False
):
    """`cancelled` are the numbers of the orders that the former standing order had resting."""

    wallet: str
    side: Side
    active: bool
    cancelled: list[int]


class Ticked(msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="tick", gc=False):
    """The orders that standing orders placed, and the numbers of those that they withdrew.

    What bought energy covered is in `retirements`; `movements` are beside those of the orders.
    Before them, the orders `expired` went and the zones `resumed` opened again after a pause.
    """

    orders: list[OrderAccepted]
    withdrawn: list[int] = []
    retirements: list[Retirement] = []
    movements: list[Movement] = []
    expired: list[int] = []
    resumed: list[str] = []


class DevicesRetired(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="retire", gc=False
):
    """A tick at which the overlap of `devices` ended: they are revoked."""

    orders: list[OrderAccepted]
    devices: list[bytes]
    withdrawn: list[int] = []
    retirements: list[Retirement] = []
    movements: list[Movement] = []
    expired: list[int] = []
    resumed: list[str] = []


class Configured(msgspec.Struct, frozen=True, array_like=True, tag="configure", gc=False):
    """New terms are in force; opening balances of new members were credited."""

    movements: list[Movement]


class OracleSwitched(msgspec.Struct, frozen=True, array_like=True, tag="oracle", gc=False):
    paused: bool


class IntervalCleared(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="clear", gc=False
):
    """What came of the interval that starts at `interval_ms`, of 15 minutes.

    `orders` are those that standing orders placed for it, `cancelled` the numbers of those of them
    that had something left. In `trades` the maker is the buyer's order, the taker the seller's.
    `retirements` are what bought energy covered. `shared` is what was allocated by the community's
    key, in place of auctions: this interval, and earlier ones of which something changed.
    """

    interval_ms: int
    tick_ugrx: int
    zones: list[ZoneClearing]
    links: list[LinkClearing]
    orders: list[OrderAccepted]
    trades: list[Trade]
    movements: list[Movement]
    cancelled: list[int]
    retirements: list[Retirement] = []
    shared: list[Allocation] = []


class TokenChanged(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="token", gc=False
):
    """`status` is open or withdrawn."""

    token: str
    site: str
    status: TokenStatus


class DeviceEnrolled(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="enrol", gc=False
):
    """`status` is active, or pending if the site has a gateway already."""

    device: bytes
    site: str
    status: DeviceStatus


class DeviceRotated(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="rotate", gc=False
):
    device: bytes
    former: bytes


class DeviceApproved(msgspec.Struct, frozen=True, array_like=True, tag="approve", gc=False):
    """`replaced` are the devices that are revoked for it."""

    device: bytes
    replaced: list[bytes]


class DeviceRevoked(msgspec.Struct, frozen=True, array_like=True, tag="revoke", gc=False):
    device: bytes


Outcome = (
    FrameAccepted
    | OrderAccepted
    | OrderCancelled
    | OrderAmended
    | AllCancelled
    | MarketSwitched
    | StandingAccepted
    | Ticked
    | DevicesRetired
    | Configured
    | OracleSwitched
    | TokenChanged
    | DeviceEnrolled
    | DeviceRotated
    | DeviceApproved
    | DeviceRevoked
    | SettlementOutcome
    | IntervalCleared
    | PeriodChanged
    | GridDataImported
)


class Repeated(msgspec.Struct, frozen=True):
    """An instruction that was carried out before, by the journal's entry `entry`."""

    entry: int


class NotDue(msgspec.Struct, kw_only=True, frozen=True):
    """No clearing: the next is that of `interval_ms`, and not before `due_ms`."""

    interval_ms: int
    due_ms: int


NotJournaled = (
    FrameRefused
    | OrderRefused
    | Repeated
    | EnrolmentRefused
    | AlreadyEnrolled
    | SettlementRefused
    | NothingIssued
    | NotDue
    | PeriodRefused
    | GridDataRefused
)
Result = Outcome | NotJournaled
_CHANGED_NOTHING = frozenset(get_args(NotJournaled))


def is_journaled(result: Result) -> TypeGuard[Outcome]:
    """Whether an input became an entry. Asked of each, and much faster than isinstance."""
    return type(result) not in _CHANGED_NOTHING


def movements_of(outcome: Outcome) -> list[Movement]:
    """Every token movement of an outcome, in order."""
    match outcome:
        case FrameAccepted() | OrderAccepted() | Configured() | OrderAmended():
            return outcome.movements
        case IntervalCleared() | PeriodChanged():
            return outcome.movements
        case Ticked() | DevicesRetired():
            placed = [movement for order in outcome.orders for movement in order.movements]
            return placed + outcome.movements
    return outcome.movements if isinstance(outcome, Moving) else []


def trades_of(outcome: Outcome) -> list[Trade]:
    """Every trade of an outcome, in order."""
    match outcome:
        case OrderAccepted() | OrderAmended():
            return outcome.trades
        case IntervalCleared():
            return outcome.trades
        case Ticked() | DevicesRetired():
            return [trade for order in outcome.orders for trade in order.trades]
    return []


def intervals_of(outcome: Outcome) -> list[tuple[str, list[IntervalEnergy]]]:
    """The intervals that an outcome closed, revised or corrected, by meter, in order."""
    match outcome:
        case FrameAccepted():
            return outcome.intervals
        case MeterCorrected():
            return [(outcome.meter, outcome.rows)]
    return []
