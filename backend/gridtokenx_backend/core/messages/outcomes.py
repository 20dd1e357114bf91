"""The outcomes of inputs. The journal stores them beside their input; a replay compares them."""

from __future__ import annotations

from typing import Literal, TypeGuard, get_args

import msgspec

from gridtokenx_backend.core.messages.clearing_records import LinkClearing, ZoneClearing
from gridtokenx_backend.core.messages.clock_records import ClockConfirmed
from gridtokenx_backend.core.messages.device_outcomes import (
    DeviceApproved,
    DeviceEnrolled,
    DeviceHeld,
    DeviceReleased,
    DeviceRevoked,
    DeviceRotated,
    TokenChanged,
)
from gridtokenx_backend.core.messages.held_outcomes import HeldDecided, HeldSurplus
from gridtokenx_backend.core.messages.loss_records import LossAccepted
from gridtokenx_backend.core.messages.period_records import PeriodChanged, PeriodRefused
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal, FrameRefusal, OrderRefusal
from gridtokenx_backend.core.messages.refused_frames import RefusedFrameStored
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
from gridtokenx_wire.order import Segment, Side

OrderStatus = Literal["resting", "partly_filled", "filled", "cancelled"]
"""What became of an order: partly_filled rests with its remainder, cancelled has lost it."""
ZoneStatus = Literal["open", "halted", "cancel_only"]


class FrameRefused(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A frame that changed nothing and is not journaled.

    `next_seq` is the number that the backend expects next in the device's chain, and `head` is what
    that frame has to name as `prev`. For a duplicate, `verdicts` has the verdicts of the stored
    frames from its number on, as (seq, index, reason), in case their ack was lost.
    """

    reason: FrameRefusal
    device: bytes
    chain: bytes = b""
    next_seq: int = 0
    verdicts: list[tuple[int, int, int]] = []
    head: bytes = b""


class OrderRefused(msgspec.Struct, frozen=True, gc=False):
    """An instruction that changed nothing and is not journaled. `detail` says what was expected."""

    reason: OrderRefusal
    detail: str = ""


class EnrolmentRefused(msgspec.Struct, frozen=True, gc=False):
    """An enrolment or a command that changed nothing and is not journaled."""

    reason: EnrolmentRefusal
    detail: str = ""


class AlreadyEnrolled(msgspec.Struct, frozen=True, gc=False):
    """A key asked again for what it has. It is answered as before, and nothing is journaled."""

    device: bytes


class Trade(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A fill and its charges: `gross_ugrx == net_ugrx + fee_ugrx + wheeling_ugrx + loss_ugrx`.

    `gross_ugrx` is all that the buyer pays, `net_ugrx` all that the seller gets. The price is the
    seller's, or the landed price where sellers pay for the network.
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
    """What the buyer of a coupled pair pays for full links, in addition to `gross_ugrx`."""


class FrameAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="frame", gc=False
):
    """A frame that was stored, and what its readings brought about.

    `verdicts` has [index, reason] of the readings that were not simply accepted. `previous` is the
    journal's number of the device's frame before this one, 0 for the first. `intervals` are the
    intervals that its readings closed or revised, by meter, in that order.
    """

    previous: int
    device: bytes
    chain: bytes
    seq: int
    readings: int
    verdicts: list[tuple[int, int]]
    movements: list[Movement]
    intervals: list[tuple[str, list[IntervalEnergy]]] = []


class FrameHeld(
    FrameAccepted, kw_only=True, frozen=True, array_like=True, tag="frame_held", gc=False
):
    """A frame of which some surplus was not minted but held, see `model.held_energy`."""

    held: list[HeldSurplus] = []


class OrderAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="order", gc=False
):
    """An order that was placed, with what it traded at once.

    `cancelled` are the numbers of the wallet's own orders that stood in its way, `paused` the zones
    whose breaker it tripped.
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
    """An order that was changed. It lost its priority if `number` is another than `former`.

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
    """A wallet withdrew its open orders; their numbers are in `cancelled`."""

    wallet: str
    cancelled: list[int]


class MarketSwitched(msgspec.Struct, frozen=True, array_like=True, tag="market", gc=False):
    """The operator set the status of zones."""

    zones: list[str]
    status: ZoneStatus


class OrderCancelled(msgspec.Struct, frozen=True, array_like=True, tag="cancel", gc=False):
    """An order that was withdrawn with `remaining_uwh` left."""

    number: int
    key: str
    remaining_uwh: int


class StandingAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="standing", gc=False
):
    """A standing order was set, or withdrawn if it is not `active`.

    `cancelled` are the numbers of the orders that the former standing order had resting.
    """

    wallet: str
    side: Side
    active: bool
    cancelled: list[int]


class Ticked(msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="tick", gc=False):
    """What a tick brought about.

    First the orders `expired` were cancelled and the zones `resumed` opened again after a pause.
    Then standing orders placed `orders` and withdrew the numbers `withdrawn`. `retirements` say
    what bought energy covered. `movements` come in addition to the movements of the orders.
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
    """A tick at which the time of `devices` ended, which others have followed: they are revoked."""

    orders: list[OrderAccepted]
    devices: list[bytes]
    withdrawn: list[int] = []
    retirements: list[Retirement] = []
    movements: list[Movement] = []
    expired: list[int] = []
    resumed: list[str] = []


class Configured(msgspec.Struct, frozen=True, array_like=True, tag="configure", gc=False):
    """New terms are active, and the opening balances of new members were credited."""

    movements: list[Movement]


class OracleSwitched(msgspec.Struct, frozen=True, array_like=True, tag="oracle", gc=False):
    """The oracle was paused or resumed."""

    paused: bool


class IntervalCleared(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="clear", gc=False
):
    """The clearing of the 15-minute interval that starts at `interval_ms`.

    `orders` are the orders that standing orders placed for it; `cancelled` has the numbers of those
    that were not filled. In `trades` the maker is the buyer's order and the taker the seller's.
    `retirements` say what bought energy covered. `shared` has what the community's key allocated,
    in place of auctions: this interval, and earlier ones of which something changed.
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


Outcome = (
    FrameAccepted
    | DeviceHeld
    | FrameHeld
    | RefusedFrameStored
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
    | DeviceReleased
    | DeviceRevoked
    | SettlementOutcome
    | IntervalCleared
    | PeriodChanged
    | GridDataImported
    | ClockConfirmed
    | LossAccepted
)


class Repeated(msgspec.Struct, frozen=True):
    """An instruction that was carried out before, by the journal's entry `entry`."""

    entry: int


class NotDue(msgspec.Struct, kw_only=True, frozen=True):
    """Nothing was cleared: the next clearing is that of `interval_ms`, from `due_ms` on."""

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
    """Return whether an input became an entry. It is asked of each: isinstance would be slower."""
    return type(result) not in _CHANGED_NOTHING


def movements_of(outcome: Outcome) -> list[Movement]:
    """Return every token movement of an outcome, in order."""
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
    """Return every trade of an outcome, in order."""
    match outcome:
        case OrderAccepted() | OrderAmended():
            return outcome.trades
        case IntervalCleared():
            return outcome.trades
        case Ticked() | DevicesRetired():
            return [trade for order in outcome.orders for trade in order.trades]
    return []


def intervals_of(outcome: Outcome) -> list[tuple[str, list[IntervalEnergy]]]:
    """Return the intervals that an outcome closed or changed, by meter, in order."""
    match outcome:
        case FrameAccepted():
            return outcome.intervals
        case MeterCorrected() | HeldDecided():
            return [(outcome.meter, outcome.rows)]
    return []


def reading_counts(outcome: Outcome) -> tuple[int, int]:
    """Return how many readings of an outcome's frame were accepted, and how many were not."""
    match outcome:
        case FrameAccepted():
            return outcome.readings - len(outcome.verdicts), len(outcome.verdicts)
        case RefusedFrameStored():
            return 0, outcome.readings
    return 0, 0
