"""The journal's entries as an auditor reads them: public leaf, input, outcome.

Nothing is decoded before a check asks for it; what cannot be decoded raises EvidenceError there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from gridtokenx_sim.demo.audit.refused_frames import (
    RefusedFrame,
    RefusedOutcome,
    read_refused_frame,
)
from gridtokenx_sim.demo.audit.signed_messages import EvidenceError, Frame, read_frame

T = TypeVar("T")


class Movement(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A transfer of `amount` base units of `asset` from the account `debit` to `credit`."""

    asset: str
    debit: str
    credit: str
    amount: int


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """The public part of an entry."""

    v: int
    seq: int
    at_ms: int
    kind: str
    movements: list[Movement]
    commitment: str


class Trade(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A trade. The buyer pays gross and rent, the seller gets net, and charges are the rest."""

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
    segment: str = "realtime"
    rent_ugrx: int = 0


class FrameOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="frame"):
    """The outcome of a frame.

    `verdicts` are (index, reason) of the readings that were not accepted.
    """

    previous: int
    device: bytes
    chain: bytes
    seq: int
    readings: int
    verdicts: list[tuple[int, int]]
    movements: list[Movement]


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="order"):
    """The outcome of an order."""

    number: int
    key: str
    status: str
    filled_uwh: int
    remaining_uwh: int
    trades: list[Trade]
    movements: list[Movement]


class AmendOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="amend"):
    """The outcome of a changed order."""

    number: int
    key: str
    former: int
    status: str
    quantity_uwh: int
    price_ugrx: int
    filled_uwh: int
    remaining_uwh: int
    trades: list[Trade]
    movements: list[Movement]


class TickOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="tick"):
    """The outcome of a tick.

    `movements` are beside those of the orders: what bought energy covered is retired.
    """

    orders: list[OrderOutcome]
    withdrawn: list[int] = []
    retirements: list[Any] = []
    movements: list[Movement] = []


class AuctionOrder(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An order as it stood in the book that was cleared."""

    number: int
    wallet: str
    side: str
    price_ugrx: int
    quantity_uwh: int


class ZoneClearing(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A zone's auction: its book and its result. A value is None where nothing trades."""

    zone: str
    book: list[AuctionOrder]
    digest: str
    low_ugrx: int | None
    high_ugrx: int | None
    price_ugrx: int | None
    volume_uwh: int
    welfare_ugrx: int


class ClearOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="clear"):
    """The outcome of an interval's auctions.

    `orders` are those that standing orders placed; they trade with all that waited.
    """

    interval_ms: int
    tick_ugrx: int
    zones: list[ZoneClearing]
    links: list[Any]
    orders: list[OrderOutcome]
    trades: list[Trade]
    movements: list[Movement]
    cancelled: list[int]
    retirements: list[Any] = []


class ConfigureOutcome(msgspec.Struct, frozen=True, array_like=True, tag="configure"):
    movements: list[Movement]


class StandingOutcome(msgspec.Struct, frozen=True, array_like=True, tag="standing"):
    wallet: str


class CancelOutcome(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    number: int


class CancelAllOutcome(msgspec.Struct, frozen=True, array_like=True, tag="cancel_all"):
    wallet: str


class MarketOutcome(msgspec.Struct, frozen=True, array_like=True, tag="market"):
    zones: list[str]


class OracleOutcome(msgspec.Struct, frozen=True, array_like=True, tag="oracle"):
    paused: bool


class DepositOutcome(msgspec.Struct, frozen=True, array_like=True, tag="deposit"):
    wallet: str
    amount_ugrx: int
    movements: list[Movement]


class AskedOutcome(msgspec.Struct, frozen=True, array_like=True, tag="withdraw"):
    number: int


class PaidOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="paid"):
    number: int
    wallet: str
    amount_ugrx: int
    movements: list[Movement]


class UnpaidOutcome(msgspec.Struct, frozen=True, array_like=True, tag="unpaid"):
    number: int


class CorrectOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="correct"):
    """The outcome of a correction.

    `owed_uwh` is what the owner's next mints pay back, after this.
    """

    meter: str
    owner: str
    from_ms: int
    to_ms: int
    import_uwh: int
    export_uwh: int
    surplus_uwh: int
    owed_uwh: int
    reason: str
    rows: list[Any]
    movements: list[Movement]


class CertificatesOutcome(msgspec.Struct, frozen=True, array_like=True, tag="rec_issue"):
    month: int
    certificates: list[Any]
    movements: list[Movement]


class CertificateMovedOutcome(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="rec_transfer"
):
    serial: str
    wallet: str
    to: str
    movements: list[Movement]


class CertificateRetiredOutcome(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="rec_retire"
):
    serial: str
    wallet: str
    beneficiary: str
    movements: list[Movement]


class PeriodOutcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="period"):
    month: str
    status: str
    revision: int
    movements: list[Movement]


class GridDataOutcome(msgspec.Struct, frozen=True, array_like=True, tag="grid_data"):
    """The outcome of a file of the grid operator's. It moves nothing."""


Outcome = (
    FrameOutcome
    | RefusedOutcome
    | OrderOutcome
    | AmendOutcome
    | TickOutcome
    | ClearOutcome
    | ConfigureOutcome
    | StandingOutcome
    | CancelOutcome
    | CancelAllOutcome
    | MarketOutcome
    | OracleOutcome
    | DepositOutcome
    | AskedOutcome
    | PaidOutcome
    | UnpaidOutcome
    | CorrectOutcome
    | CertificatesOutcome
    | CertificateMovedOutcome
    | CertificateRetiredOutcome
    | PeriodOutcome
    | GridDataOutcome
)

_LEAVES = msgspec.json.Decoder(Leaf)
_OUTCOMES: msgspec.msgpack.Decoder[Outcome] = msgspec.msgpack.Decoder(Outcome)


@dataclass(eq=False, kw_only=True)
class Entry:
    """A row of the journal, decoded as far as it is asked for."""

    seq: int
    at_ms: int
    kind: str
    previous: int
    raw_leaf: bytes
    leaf_hash: bytes
    salt: bytes
    input: bytes
    raw_outcome: bytes

    @cached_property
    def leaf(self) -> Leaf:
        return self._decoded(_LEAVES, self.raw_leaf, "leaf")

    @cached_property
    def outcome(self) -> Outcome:
        return self._decoded(_OUTCOMES, self.raw_outcome, "outcome")

    @cached_property
    def frame(self) -> Frame:
        """The frame of an entry of kind `frame`."""
        try:
            return read_frame(self.input)
        except EvidenceError as error:
            raise EvidenceError(f"entry {self.seq}: {error}") from None

    @cached_property
    def refused_frame(self) -> RefusedFrame:
        """What an entry of kind `refused` has of its frame."""
        try:
            return read_refused_frame(self.input)
        except EvidenceError as error:
            raise EvidenceError(f"entry {self.seq}: {error}") from None

    @property
    def is_frame(self) -> bool:
        """Whether it stands for a frame, which it has whole or by its hash."""
        return self.kind in ("frame", "refused")

    @property
    def any_frame(self) -> Frame | RefusedFrame:
        """The frame that it stands for, as far as it has it."""
        return self.refused_frame if self.kind == "refused" else self.frame

    @property
    def frame_hash(self) -> bytes:
        """The SHA-256 of the frame that it stands for."""
        kept = self.refused_frame.frame_hash if self.kind == "refused" else b""
        return kept or hashlib.sha256(self.input).digest()

    @property
    def orders(self) -> list[OrderOutcome]:
        """The orders that it placed."""
        match self.outcome:
            case OrderOutcome() as order:
                return [order]
            case TickOutcome(orders=orders) | ClearOutcome(orders=orders):
                return orders
        return []

    @property
    def trades(self) -> list[Trade]:
        """The trades of its orders, or of its auctions."""
        if isinstance(self.outcome, ClearOutcome | AmendOutcome):
            return self.outcome.trades
        return [trade for order in self.orders for trade in order.trades]

    @property
    def movements(self) -> list[Movement]:
        """The outcome's movements, which the leaf repeats."""
        match self.outcome:
            case (
                FrameOutcome(movements=movements)
                | ConfigureOutcome(movements=movements)
                | AmendOutcome(movements=movements)
                | ClearOutcome(movements=movements)
                | DepositOutcome(movements=movements)
                | PaidOutcome(movements=movements)
                | CorrectOutcome(movements=movements)
                | CertificatesOutcome(movements=movements)
                | CertificateMovedOutcome(movements=movements)
                | CertificateRetiredOutcome(movements=movements)
                | PeriodOutcome(movements=movements)
            ):
                return movements
        of_orders = [movement for order in self.orders for movement in order.movements]
        beside = self.outcome.movements if isinstance(self.outcome, TickOutcome) else []
        return [*of_orders, *beside]

    def _decoded(
        self, decoder: msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T], raw: bytes, what: str
    ) -> T:
        try:
            return decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise EvidenceError(f"entry {self.seq}: its {what} cannot be read: {error}") from None


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the market's history: the entry's number, the trade's place in it, the trade."""

    seq: int
    n: int
    at_ms: int
    price_ugrx: int
    quantity_uwh: int
    gross_ugrx: int
    fee_ugrx: int
    buyer: str
    seller: str
