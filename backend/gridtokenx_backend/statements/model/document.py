"""The statement as a document. Amounts are decimal strings in kWh and GRX, times Unix ms UTC.

Its canonical form is JSON in UTF-8 with sorted keys and no blanks. The hash of the data is the
SHA-256 of the canonical form of `data`; that of the document is the SHA-256 of all of it. On a bill
an amount above zero is what the member pays; in an account it is what comes in. An empty amount is
one that is not known.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from gridtokenx_backend.errors import OtherVersion

FORMAT = "gridtokenx-statement-1"
Status = Literal["open", "provisional", "final", "revised"]
MeterPolicy = Literal["export", "net"]
SharingMode = Literal["static", "time_varying", "dynamic", "imported"]
PostingKind = Literal[
    "opening_balance",
    "minted",
    "clawed_back",
    "deposited",
    "withdrawn",
    "issued",
    "cancelled",
    "bought",
    "sold",
    "retired",
    "taken_back",
    "fed_in",
    "given",
    "received",
    "paid_for_shared",
    "earned_by_sharing",
    "paid",
    "paid_out",
]
"""What a movement is to the account that it touches."""


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the bill, with the first and the last journal entry behind it, and their number."""

    group: Literal["community", "sharing", "utility", "feed_in"]
    text: str
    amount_grx: str
    quantity_kwh: str = ""
    price_grx_per_kwh: str = ""
    first_entry: int = 0
    last_entry: int = 0
    entries: int = 0
    basis: str = ""
    """What the quantity was taken from, where it is not from entries alone."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a member pays for the month.

    `settled_grx` went from wallet to wallet already. `shared_grx` is owed between members by the
    key; of it, `shared_paid_grx` went from wallet to wallet already. The rest is between the member
    and the utility.
    """

    lines: list[BillLine]
    settled_grx: str
    utility_grx: str
    feed_in_grx: str
    total_grx: str
    shared_grx: str = "0.000000"
    shared_paid_grx: str = "0.000000"


class WithoutCommunity(msgspec.Struct, frozen=True, kw_only=True):
    """What the same energy would have cost without the community."""

    lines: list[BillLine]
    total_grx: str
    saved_grx: str


class TradeLine(msgspec.Struct, frozen=True, kw_only=True):
    """A trade: the `n`-th of the journal's entry `entry`, counted from 0.

    `value_grx` is quantity × price; the charges are those that this member bore. `amount_grx` came
    into the wallet; below zero, it went out.
    """

    entry: int
    n: int
    time_ms: int
    side: Literal["bought", "sold"]
    segment: Literal["realtime", "interval"]
    quantity_kwh: str
    price_grx_per_kwh: str
    value_grx: str
    fee_grx: str
    wheeling_grx: str
    loss_grx: str
    rent_grx: str
    amount_grx: str


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A movement on an account that no trade made. `about` is the operator's reason for it."""

    entry: int
    time_ms: int
    kind: PostingKind
    amount: str
    about: str = ""


class PostingSum(msgspec.Struct, frozen=True, kw_only=True):
    """All movements of a kind, added up."""

    kind: PostingKind
    amount: str
    count: int
    first_entry: int
    last_entry: int


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The member's account of one asset: balances, sums by kind of movement, and each posting.

    `pending` is surplus that is held until the operator decides on it. It is in no balance, and it
    is left out where nothing is held.
    """

    asset: str
    opening: str
    sums: list[PostingSum]
    closing: str
    postings: list[msgspec.Raw] = []
    pending: str | msgspec.UnsetType = msgspec.UNSET


class QualityCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many 15-minute intervals of the month have which quality."""

    expected: int
    measured: int = 0
    interpolated: int = 0
    substitute: int = 0
    provisional: int = 0
    missing: int = 0
    revised: int = 0
    """How many of those that are known were changed since they were first known."""


class WindowEnergy(msgspec.Struct, frozen=True, kw_only=True):
    """The import in the hours of one of the tariff's windows."""

    window: str
    import_kwh: str


class MeteringPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A metering point. Its energy is empty if none is known: missing is not zero."""

    meter: str
    policy: MeterPolicy
    from_ms: int
    to_ms: int
    import_kwh: str
    export_kwh: str
    windows: list[WindowEnergy]
    quality: QualityCounts


class EnergySummary(msgspec.Struct, frozen=True, kw_only=True):
    """The member's energy over all metering points.

    `covered_kwh` was bought in the community and retired against import. `self_used_kwh` is own
    production that was used on site; it is empty, because a meter at the connection does not
    measure it. By the key the member received `received_kwh` and gave `given_kwh`. `surplus_kwh`
    went to the utility.
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
    received_kwh: str = "0.000000000"
    given_kwh: str = "0.000000000"
    surplus_kwh: str = "0.000000000"


class KeyUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the community's key, and how many intervals of the month it allocated."""

    version: int
    mode: SharingMode
    valid_from: str
    intervals: int
    table_sha256: str = ""
    """The hash of the file with its shares, if they came from one."""


class SharedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One metering point in one interval, as the journal's `entry` allocated it last.

    A `revision` above 0 corrects what the entry `corrects` said. The energy is empty as long as it
    is not known; `held_kwh` is set aside for it meanwhile.
    """

    entry: int
    time_ms: int
    meter: str
    side: Literal["received", "given"]
    key: int
    quality: str
    price_grx_per_kwh: str
    energy_kwh: str
    amount_grx: str
    held_kwh: str = ""
    revision: int = 0
    corrects: int = 0


class ServedEnergy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy of the month that this wallet got from another one, or gave to it, by the key."""

    wallet: str
    side: Literal["from", "to"]
    energy_kwh: str


class KeyAllocation(msgspec.Struct, frozen=True, kw_only=True):
    """What this member received and gave by the community's key.

    `slots` counts the intervals of the month by the quality of their allocation; those that are not
    allocated are missing. `waiting_kwh` is energy of all members that is allocated and not minted
    yet. This member owes `cost_grx` less `earned_grx`, of which the ledger has moved `paid_grx`.
    """

    keys: list[KeyUsage]
    slots: QualityCounts
    unknown: int
    """The number of intervals in which a metering point of this member was missing."""
    lowest_grx_per_kwh: str
    mean_grx_per_kwh: str
    highest_grx_per_kwh: str
    held_kwh: str
    waiting_kwh: str
    cost_grx: str
    earned_grx: str
    paid_grx: str
    lines: list[SharedLine]
    served: list[ServedEnergy]


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The energy of a metering point by its gateway and by the grid operator's files.

    Both are of the intervals that both know.
    """

    meter: str
    direction: Literal["import", "export"]
    intervals: int
    gateway_kwh: str
    operator_kwh: str
    difference_kwh: str
    only_gateway: int
    only_operator: int
    first_entry: int
    last_entry: int
    files: list[str]
    """The SHA-256 of each of the operator's files."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """An amount that was computed in two ways, which must agree."""

    text: str
    left: str
    right: str
    holds: bool


def compare(text: str, left: str, right: str) -> Check:
    """Return the check that two amounts are equal."""
    return Check(text=text, left=left, right=right, holds=left == right)


class StatementData(msgspec.Struct, frozen=True, kw_only=True):
    """All that a statement says, except for its status and revision."""

    community: str
    month: str
    time_zone: str
    from_ms: int
    to_ms: int
    days: int
    member: str
    wallet: str
    energy: EnergySummary
    bill: Bill
    alone: WithoutCommunity | None
    meters: list[MeteringPoint]
    trades: list[msgspec.Raw]
    accounts: list[Account]
    tariff: Any
    """The terms of the utility tariff that was applied, or null."""
    allocation: KeyAllocation | None
    rounding: str
    formulas: list[str]
    checks: list[Check]
    reconciliation: list[Reconciliation] = []


class CorrectedDocument(msgspec.Struct, frozen=True):
    """The document that this one corrects."""

    revision: int
    sha256: str


class CorrectionNote(msgspec.Struct, frozen=True, kw_only=True):
    """A credit or debit note: by how much a line of the corrected document changes."""

    kind: Literal["credit", "debit"]
    text: str
    amount_grx: str
    corrects_sha256: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A member's statement of a month, in one of its revisions."""

    format: str
    status: Status
    revision: int
    corrects: CorrectedDocument | None
    notes: list[CorrectionNote]
    data: StatementData
    data_sha256: str


class _Format(msgspec.Struct, frozen=True):
    format: str = ""


_formats = msgspec.json.Decoder(_Format)
_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Statement)


def canonical(value: Any) -> bytes:
    """Return a value as JSON with sorted keys and no blanks, in UTF-8."""
    return _encoder.encode(value)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(content).hexdigest()


def encode(statement: Statement) -> bytes:
    """Return the bytes of a statement; the journal keeps their hash."""
    return canonical(statement)


def decode(stored: bytes) -> Statement:
    """Return the statement of stored bytes.

    Raises ValueError if they are no document, and OtherVersion for one of another format.
    """
    check_format(stored, FORMAT)
    return _decoder.decode(stored)


def check_format(stored: bytes, expected: str) -> None:
    """Raise OtherVersion for a document of another format, and ValueError if it is none at all."""
    found = _formats.decode(stored).format
    if found != expected:
        raise OtherVersion(
            f"expected a document of format {expected}, got {found or 'none'}: install the version "
            "that made it, or a newer one"
        )
