"""The answers of the API. Amounts are decimal strings, times are Unix milliseconds of the
community.

Members that a newer API adds are ignored. Field by field this is what OpenAPI describes at
`/schema/openapi.json`.
"""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the server. `status` is ok or degraded; `oracle` running or paused.

    `degraded` names the parts that are out of order, and `detail` says why. By `time_zone` the
    community counts days and months; an older server does not tell it.
    """

    status: str
    community: str
    time_ms: int
    journal_seq: int
    oracle: str
    detail: str = ""
    degraded: list[str] = []
    time_zone: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Totals since the community began."""

    time_ms: int
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
    """What a wallet owns; `_held` is the part of it that its open orders hold."""

    wallet: str
    grid: str
    grid_held: str
    grx: str
    grx_held: str
    rec: str
    grid_bought: str = "0"
    grid_owed: str = "0"
    grid_pending: str = "0"


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade: the buyer pays `gross_grx`, and `fee_grx` of it is the community's."""

    journal_seq: int
    time_ms: int
    price_grx_per_kwh: str
    quantity_kwh: str
    gross_grx: str
    fee_grx: str
    buyer: str
    seller: str


class Trades(msgspec.Struct, frozen=True):
    """Trades, newest first."""

    trades: list[Trade]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """All that rests at one price."""

    price_grx_per_kwh: str
    quantity_kwh: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The order book, best price first on both sides."""

    bids: list[Level]
    asks: list[Level]


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was taken. `status` is resting, partly_filled, filled or cancelled."""

    order: str
    status: str
    filled_kwh: str
    remaining_kwh: str
    trades: list[Trade]
    journal_seq: int


class Amended(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was changed.

    Without `kept_priority` it is a new order in the place of the old one.
    """

    order: str
    status: str
    quantity_kwh: str
    price_grx_per_kwh: str
    filled_kwh: str
    remaining_kwh: str
    kept_priority: bool
    trades: list[Trade]
    journal_seq: int


class AllCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders a cancellation of all orders has ended."""

    cancelled_orders: int
    journal_seq: int


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """The order that was cancelled, and what of it had not been traded."""

    order: str
    status: str
    remaining_kwh: str
    journal_seq: int


class StandingSet(msgspec.Struct, frozen=True, kw_only=True):
    """A standing order that was set.

    `cancelled_orders` are those that the one before had placed.
    """

    side: str
    active: bool
    cancelled_orders: int
    journal_seq: int


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that rests. `standing` says whether a standing order placed it."""

    order: str
    side: str
    price_grx_per_kwh: str
    quantity_kwh: str
    remaining_kwh: str
    standing: bool
    expires_ms: int = 0
    segment: str = "realtime"


class StandingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A standing order. `curve` has [from_hour, price] where the price changes by hour."""

    side: str
    price_grx_per_kwh: str
    keep_kwh: str
    segment: str = "realtime"
    curve: list[tuple[int, str]] = []
    paused: bool = False


class Orders(msgspec.Struct, frozen=True):
    """A wallet's open orders, oldest first, and its standing orders."""

    orders: list[OpenOrder]
    standing: list[StandingOrder]


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """Money that a member wants paid out.

    `status` is asked (the amount is in escrow), paid or refused.
    """

    number: int
    wallet: str
    amount_grx: str
    status: str
    journal_seq: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One MWh that a renewable meter minted; `status` is issued or retired."""

    serial: str
    status: str
    month: str
    meter: str
    technology: str
    from_uwh: int
    to_uwh: int
    first_entry: int
    last_entry: int
    issued_entry: int
    issued_ms: int
    owner: str
    beneficiary: str
    retired_entry: int
    retired_ms: int


class Certificates(msgspec.Struct, frozen=True):
    """Certificates, oldest first. `next` is what to ask with for more, and empty at the end."""

    certificates: list[Certificate]
    next: str


class CertificateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that has changed. `status` is transferred or retired."""

    serial: str
    status: str
    owner: str
    beneficiary: str
    journal_seq: int


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway as the operator sees it. `last_heard_ms` is 0 where it is not known."""

    device: str
    site: str
    status: str
    next_seq: int
    readings_accepted: int
    readings_rejected: int
    readings_quarantined: int
    quality_permille: int
    readings_thinned: int = 0
    last_heard_ms: int = 0


class MeterReading(msgspec.Struct, frozen=True, kw_only=True):
    """A reading with its verdict. `power_w` is None where the meter gave none."""

    time_ms: int
    import_kwh: str
    export_kwh: str
    power_w: int | None
    verdict: str
    journal_seq: int


class RefusedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A large frame of which every reading was refused: the journal has its hash and verdicts.

    `verdicts` counts its readings by reason; `sha256` is that of the whole signed frame, in hex.
    """

    journal_seq: int
    device: str
    readings: int
    verdicts: dict[str, int]
    sha256: str


class MeterReadings(msgspec.Struct, frozen=True):
    """A meter's readings, newest first, and the frames of its gateways that are kept by their hash.

    An older server keeps all frames whole and tells none.
    """

    meter: str
    readings: list[MeterReading]
    refused_frames: list[RefusedFrame] = []


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's energy of 15 minutes; None where `quality` is missing.

    `start` is its start in the community's time zone; an older server does not tell it.
    """

    start_ms: int
    import_kwh: str | None
    export_kwh: str | None
    quality: str
    revision: int
    start: str = ""


class MeterIntervals(msgspec.Struct, frozen=True, kw_only=True):
    """Every interval that starts in [from_ms, to_ms) and has begun; totals of those known."""

    meter: str
    from_ms: int
    to_ms: int
    import_kwh: str
    export_kwh: str
    missing: int
    intervals: list[Interval]
