"""The evidence of an audit: the journal, the gateways' outboxes, the terms, the meters' own
counters.

Every part is read when a check first asks for it; what cannot be read raises EvidenceError there.
"""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import base58
import msgspec

from gridtokenx_sim.demo.audit.records import Entry, TradeRow
from gridtokenx_sim.demo.audit.signed_messages import EvidenceError, device_id
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.files.statement import Statement
from gridtokenx_wire.units import parse_grx, parse_kwh

T = TypeVar("T")

_ENTRIES = (
    "SELECT seq, at_ms, kind, previous, leaf AS raw_leaf, leaf_hash, salt, input,"
    " outcome AS raw_outcome FROM journal ORDER BY seq"
)
_TRADES = (
    "SELECT seq, n, at_ms, price_ugrx, quantity_uwh, gross_ugrx, fee_ugrx, buyer, seller"
    " FROM trade ORDER BY seq, n"
)


class MeterTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A meter in community.toml. `device` is a device's id as text, `owner` a member's name."""

    id: str
    device: str
    owner: str
    resolution_kwh: str

    @property
    def resolution_uwh(self) -> int:
        return parse_kwh(self.resolution_kwh)


class MemberTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A member in community.toml."""

    name: str
    wallet: str
    opening_grx: str = "0"

    @property
    def opening_ugrx(self) -> int:
        return parse_grx(self.opening_grx)


class DeviceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway in community.toml."""

    public_key: str
    site: str = ""


class MarketTerms(msgspec.Struct, frozen=True):
    """The market's terms in community.toml."""

    fee_bps: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of community.toml that an audit needs."""

    member: list[MemberTerms]
    device: list[DeviceTerms]
    meter: list[MeterTerms]
    market: MarketTerms


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated meter truly counted."""

    id: str
    import_uwh: int
    export_uwh: int


class _Truths(msgspec.Struct):
    meters: list[Truth]


class Outbox(msgspec.Struct, frozen=True, kw_only=True):
    """The frames left in a gateway's outbox as (seq, message), oldest first."""

    device: bytes
    chain: bytes
    frames: list[tuple[int, bytes]]


class Evidence:
    """Everything that an audit reads in a demo's folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @cached_property
    def entries(self) -> list[Entry]:
        """The journal, in order."""
        entries = [Entry(**row) for row in _named_rows(self.folder.journal, _ENTRIES)]
        if not entries:
            raise EvidenceError(f"{self.folder.journal}: expected entries")
        return entries

    @cached_property
    def frames(self) -> dict[bytes, list[Entry]]:
        """Entries that stand for frames, by the device that the frame names."""
        found: dict[bytes, list[Entry]] = {}
        for entry in self.entries:
            if entry.is_frame:
                found.setdefault(entry.any_frame.device, []).append(entry)
        return found

    @cached_property
    def trade_table(self) -> list[TradeRow]:
        """What the market's history shows, in order."""
        return [TradeRow(**row) for row in _named_rows(self.folder.journal, _TRADES)]

    @cached_property
    def terms(self) -> Terms:
        path = self.folder.config / "community.toml"
        try:
            return msgspec.convert(tomllib.loads(path.read_text()), Terms)
        except (OSError, ValueError) as error:
            raise EvidenceError(f"{path}: {error}") from None

    @cached_property
    def device_keys(self) -> dict[bytes, bytes]:
        """The public keys of community.toml, by device id."""
        try:
            keys = [base58.b58decode(device.public_key) for device in self.terms.device]
        except ValueError as error:
            raise EvidenceError(f"community.toml: expected Base58 keys: {error}") from None
        return {device_id(key): key for key in keys}

    @cached_property
    def owners(self) -> dict[str, str]:
        """Wallets by meter, as community.toml has them."""
        wallets = {member.name: member.wallet for member in self.terms.member}
        try:
            return {meter.id: wallets[meter.owner] for meter in self.terms.meter}
        except KeyError as error:
            raise EvidenceError(f"community.toml: expected a member {error}") from None

    @cached_property
    def truths(self) -> dict[str, Truth]:
        """The simulated meters' own counters, by meter."""
        found = _json(self.folder.meters, _Truths)
        return {truth.id: truth for truth in found.meters}

    @cached_property
    def statement(self) -> Statement:
        return _json(self.folder.statement, Statement)

    @cached_property
    def outboxes(self) -> list[Outbox]:
        files = sorted(self.folder.data.glob("*.outbox.db"))
        return [_outbox(file) for file in files]


def open_database(path: Path) -> sqlite3.Connection:
    """Return an existing SQLite file, to be read only. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _outbox(path: Path) -> Outbox:
    chains = _rows(path, "SELECT device, chain FROM chain")
    if len(chains) != 1:
        raise EvidenceError(f"{path}: expected one chain")
    ((device, chain),) = chains
    return Outbox(
        device=device,
        chain=chain,
        frames=_rows(path, "SELECT seq, message FROM frame ORDER BY seq"),
    )


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows that a query finds."""
    return [tuple(row.values()) for row in _named_rows(path, query)]


def _named_rows(path: Path, query: str) -> list[dict[str, Any]]:
    """Return the rows that a query finds, by the names of its columns."""
    try:
        with closing(open_database(path)) as database:
            found = database.execute(query)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]
    except sqlite3.Error as error:
        raise EvidenceError(f"{path}: {error}") from None


def _json(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise EvidenceError(f"{path}: {error}") from None
