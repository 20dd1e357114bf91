"""The state of a community as one value. A snapshot is its bytes, and a digest is their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.market.market_rules import MarketRules
from gridtokenx_backend.core.market.timetable import IntervalRules
from gridtokenx_backend.core.market.trading_state import LinkUse, ZoneState
from gridtokenx_backend.core.model.billing_periods import Period
from gridtokenx_backend.core.model.ledger import LedgerState, Pending
from gridtokenx_backend.core.model.local_time import TimeZone
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Device, Member, Meter, MeterRules, Token
from gridtokenx_backend.core.model.settlement import Settlement
from gridtokenx_backend.core.model.sharing_state import SharingRules, SharingState
from gridtokenx_backend.core.state.version_3 import as_version_3

VERSION = 4
"""The version of a snapshot that has state of rules version 2 or later."""
OLDEST_VERSION = 3
"""The version of a snapshot that knows no rules but those of version 1, see `version_3`."""


class CompletedInstruction(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """An instruction that was carried out.

    If it arrives again, the answer is that of the journal's `entry`. `digest` is of its content.
    """

    digest: bytes
    entry: int
    arrived_ms: int


class Counters(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """Totals since the community began. `refused` counts refused readings by Reason.

    `thinned` counts the readings that gateways left out of their frames, as summaries tell, and
    `improbable` the accepted readings that have a sign of being wrong.
    """

    frames: int = 0
    accepted: int = 0
    rejected: int = 0
    quarantined: int = 0
    refused: dict[int, int] = {}
    minted_uwh: int = 0
    orders: int = 0
    trades: int = 0
    thinned: int = 0
    improbable: int = 0

    @property
    def quality_permille(self) -> int:
        """Accepted readings of a thousand without a sign of being wrong; 1000 before the first."""
        total = self.accepted + self.rejected + self.quarantined
        return 1000 * (self.accepted - self.improbable) // total if total else 1000


class ActiveTerms(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The community's terms as the core uses them, in integers.

    `source` is the SHA-256 of the file that they were read from: as long as the file has it, the
    file need not be read again. An order that was signed longer than `order_window_ms` ago is
    refused. Standing orders place their orders every `tick_ms`. For `rotation_overlap_ms` after the
    first frame under a new key, the previous key is accepted as well. For `cover_ms` after an
    interval, GRID that is bought may cover its import.
    """

    name: str
    source: bytes
    limits: OracleLimits
    rules: MarketRules
    order_window_ms: int
    tick_ms: int
    rotation_overlap_ms: int = 48 * 3_600_000
    time_zone: TimeZone = TimeZone()
    cover_ms: int = 72 * 3_600_000
    interval: IntervalRules = IntervalRules()
    sharing: SharingRules = SharingRules()


class StoredLedger(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A LedgerState with its balances in chunks of [account, amount] pairs."""

    posted: dict[str, list[msgspec.Raw]]
    held: dict[str, dict[str, int]]
    pendings: dict[int, Pending]


class State(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The whole state of a community, as a snapshot has it.

    `entries` is the journal's number of the newest entry, and `at_ms` its time.
    """

    version: int
    entries: int
    at_ms: int
    active_terms: ActiveTerms
    paused: bool
    next_order: int
    counters: Counters
    ledger: StoredLedger
    members: list[Member]
    devices: list[Device]
    meters: list[msgspec.Raw]
    orders: list[RestingOrder]
    completed_instructions: dict[str, CompletedInstruction]
    forgotten_ms: int
    tokens: dict[str, Token] = {}
    settlement: Settlement = msgspec.field(default_factory=Settlement)
    zones: list[ZoneState] = []
    uses: list[LinkUse] = []
    interval_orders: list[RestingOrder] = []
    cleared_ms: int = 0
    periods: dict[str, Period] = {}
    sharing: SharingState = msgspec.field(default_factory=SharingState)
    newest_rules: int = 1


_CHUNK = 512
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)
_fields_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_version_decoder = msgspec.msgpack.Decoder(int)
_meters_decoder = msgspec.msgpack.Decoder(list[Meter])
_balances_decoder = msgspec.msgpack.Decoder(list[tuple[str, int]])


def version_for(newest_rules: int) -> int:
    """Return the version of a snapshot of a community whose newest entry has these rules."""
    return OLDEST_VERSION if newest_rules == 1 else VERSION


def encode_state(state: State) -> bytes:
    """Return a state as a snapshot; the same state always gives the same bytes."""
    return _encoder.encode(as_version_3(state) if state.version == OLDEST_VERSION else state)


def chunked(items: Iterable[object], version: int) -> list[msgspec.Raw]:
    """Return values in encoded chunks, which are decoded one by one.

    What a chunk repeats (owners, account names) is freed before the next one is decoded, so that a
    community of 100,000 meters does not need twice its memory at the start.
    """
    iterator = iter(items)
    chunks = []
    while chunk := list(islice(iterator, _CHUNK)):
        stored = as_version_3(chunk) if version == OLDEST_VERSION else chunk
        chunks.append(msgspec.Raw(_encoder.encode(stored)))
    return chunks


def store_ledger(ledger: LedgerState, version: int) -> StoredLedger:
    """Return a ledger in the form that a snapshot of this version stores."""
    posted = {asset: chunked(amounts.items(), version) for asset, amounts in ledger.posted.items()}
    return StoredLedger(posted=posted, held=ledger.held, pendings=ledger.pendings)


def version_of(snapshot: bytes) -> int:
    """Return the version of a snapshot, whatever else is in it. Raises ValueError."""
    fields = _fields_decoder.decode(snapshot)
    return _version_decoder.decode(fields[0]) if fields else 0


def decode_state(snapshot: bytes) -> tuple[State, LedgerState, list[Meter]]:
    """Return the state of a snapshot with its ledger and its meters, which share equal values.

    Raises ValueError for a snapshot of another version.
    """
    if not OLDEST_VERSION <= (version := version_of(snapshot)) <= VERSION:
        raise ValueError(f"expected a snapshot of version {VERSION} at most, got {version}")
    state = _decoder.decode(snapshot)
    wallets = {member.wallet: member.wallet for member in state.members}
    zones: dict[str, str] = {}
    for member in state.members:
        member.zone = zones.setdefault(member.zone, member.zone)
    posted = {
        asset: {
            wallets.get(account, account): amount
            for chunk in chunks
            for account, amount in _with_shared_amounts(_balances_decoder.decode(chunk))
        }
        for asset, chunks in state.ledger.posted.items()
    }
    ledger = LedgerState(posted=posted, held=state.ledger.held, pendings=state.ledger.pendings)
    devices = {device.id: device.id for device in state.devices}
    shared: dict[MeterRules, MeterRules] = {}
    meters = []
    for chunk in state.meters:
        times: dict[int, int] = {}
        for meter in _meters_decoder.decode(chunk):
            meter.owner = wallets[meter.owner]
            meter.device = devices.get(meter.device, meter.device)
            meter.rules = shared.setdefault(meter.rules, meter.rules)
            _share_numbers(meter, times)
            meters.append(meter)
    return state, ledger, meters


def _with_shared_amounts(balances: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield balances with one object for equal amounts: many members have only their opening."""
    amounts: dict[int, int] = {}
    return ((account, amounts.setdefault(amount, amount)) for account, amount in balances)


def _share_numbers(meter: Meter, times: dict[int, int]) -> None:
    """Use one object for numbers that are often equal; `times` has those of a chunk's meters."""
    meter.interval_end_ms = times.setdefault(meter.interval_end_ms, meter.interval_end_ms)
    meter.last_ms = times.setdefault(meter.last_ms, meter.last_ms)
    meter.mark_ms = times.setdefault(meter.mark_ms, meter.mark_ms)
    if meter.settled_uwh == meter.last_export_uwh:
        meter.settled_uwh = meter.last_export_uwh
    if meter.interval_start_import_uwh == meter.mark_import_uwh:
        meter.interval_start_import_uwh = meter.mark_import_uwh
    if meter.interval_start_export_uwh == meter.mark_export_uwh:
        meter.interval_start_export_uwh = meter.mark_export_uwh


def digest(snapshot: bytes) -> str:
    """Return the SHA-256 of a snapshot in hex."""
    return hashlib.sha256(snapshot).hexdigest()
