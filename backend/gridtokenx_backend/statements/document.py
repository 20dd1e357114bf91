"""The statement as a document. Amounts are decimal strings in kWh and GRX, times Unix ms UTC.

Its canonical form is JSON in UTF-8 with sorted keys and no blanks; the data's hash is SHA-256 of
the canonical form of `data`, the document's that of all of it. On a bill an amount above zero is
what the member pays; in an account it is what comes in. An empty amount is one that is not known.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

FORMAT = "gridtokenx-statement-1"
Status = Literal["open", "provisional", "final", "revised"]


class BillLine(msgspec.Struct, frozen=True):
    """`entries` are the first and the last journal entry behind it, and how many there are."""

    group: Literal["community", "utility", "feed_in"]
    text: str
    amount_grx: str
    quantity_kwh: str = ""
    price_grx_per_kwh: str = ""
    first_entry: int = 0
    last_entry: int = 0
    entries: int = 0
    basis: str = ""
    """What the quantity rests on, where it is not entries alone."""


class Bill(msgspec.Struct, frozen=True):
    """`settled_grx` has changed wallets already; the rest is between member and utility."""

    lines: list[BillLine]
    settled_grx: str
    utility_grx: str
    feed_in_grx: str
    total_grx: str


class Alone(msgspec.Struct, frozen=True):
    """What the same energy would have cost without the community."""

    lines: list[BillLine]
    total_grx: str
    saved_grx: str


class TradeLine(msgspec.Struct, frozen=True):
    """`value_grx` is quantity × price; the charges are those that this member bore.

    `amount_grx` is what came into the wallet (below zero: went out).
    """

    entry: int
    n: int
    time_ms: int
    side: Literal["bought", "sold"]
    segment: str
    quantity_kwh: str
    price_grx_per_kwh: str
    value_grx: str
    fee_grx: str
    wheeling_grx: str
    loss_grx: str
    rent_grx: str
    amount_grx: str


class Posting(msgspec.Struct, frozen=True):
    """A movement of an account that no trade made."""

    entry: int
    time_ms: int
    kind: str
    amount: str
    about: str = ""


class Sum(msgspec.Struct, frozen=True):
    """All movements of a kind."""

    kind: str
    amount: str
    count: int
    first_entry: int
    last_entry: int


class Account(msgspec.Struct, frozen=True):
    asset: str
    opening: str
    sums: list[Sum]
    closing: str
    postings: list[msgspec.Raw] = []


class QualityCounts(msgspec.Struct, frozen=True):
    """15-minute intervals of the month."""

    expected: int
    measured: int = 0
    interpolated: int = 0
    substitute: int = 0
    provisional: int = 0
    missing: int = 0
    revised: int = 0
    """Of those that are there, how many were corrected since they were first known."""


class WindowEnergy(msgspec.Struct, frozen=True):
    window: str
    import_kwh: str


class Block(msgspec.Struct, frozen=True):
    """A metering point. Energy is empty if nothing is known of it: missing is not zero."""

    meter: str
    policy: str
    from_ms: int
    to_ms: int
    import_kwh: str
    export_kwh: str
    windows: list[WindowEnergy]
    quality: QualityCounts


class Energy(msgspec.Struct, frozen=True):
    """The member's energy at a glance, over all metering points.

    `covered_kwh` was bought in the community and retired against import, `self_used_kwh` is own
    production used on site, empty because a meter at the connection does not see it.
    """

    import_kwh: str
    covered_kwh: str
    residual_kwh: str
    export_kwh: str
    minted_kwh: str
    bought_kwh: str
    sold_kwh: str
    unsold_kwh: str
    self_used_kwh: str = ""


class Allocation(msgspec.Struct, frozen=True):
    """The key by which a community shares that has no price market."""

    key: str
    version: int


class Check(msgspec.Struct, frozen=True):
    """Two ways to the same amount."""

    text: str
    left: str
    right: str
    holds: bool


class Data(msgspec.Struct, frozen=True):
    """All but where the document stands in its period."""

    community: str
    month: str
    time_zone: str
    from_ms: int
    to_ms: int
    days: int
    member: str
    wallet: str
    energy: Energy
    bill: Bill
    alone: Alone | None
    meters: list[Block]
    trades: list[msgspec.Raw]
    accounts: list[Account]
    tariff: Any
    """The terms of the utility tariff as they were used, or null."""
    allocation: Allocation | None
    rounding: str
    formulas: list[str]
    checks: list[Check]


class Corrected(msgspec.Struct, frozen=True):
    """The document that this one corrects."""

    revision: int
    sha256: str


class Note(msgspec.Struct, frozen=True):
    """A credit or debit note: by how much a line of the corrected document was wrong."""

    kind: Literal["credit", "debit"]
    text: str
    amount_grx: str
    corrects_sha256: str


class Statement(msgspec.Struct, frozen=True):
    format: str
    status: Status
    revision: int
    corrects: Corrected | None
    notes: list[Note]
    data: Data
    data_sha256: str


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Statement)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no blanks, in UTF-8."""
    return _encoder.encode(value)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def encode(statement: Statement) -> bytes:
    """The document's bytes, whose hash the journal keeps."""
    return canonical(statement)


def decode(stored: bytes) -> Statement:
    """The document of its bytes. Raises ValueError."""
    return _decoder.decode(stored)
