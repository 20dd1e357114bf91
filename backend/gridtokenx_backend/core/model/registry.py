"""Members, devices and meters, and what the oracle remembers of each."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    BoundaryRegisters,
    IntervalEnergy,
    MeterPast,
)
from gridtokenx_wire.order import Segment

DeviceStatus = Literal["active", "pending", "revoked"]
TokenStatus = Literal["open", "used", "withdrawn"]


class MeterRules(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A meter's terms as integers; one object serves all meters with the same terms."""

    policy: str
    active: bool
    max_power_w: int
    min_interval_ms: int
    resolution_uwh: int
    max_production_ratio: int
    rollover_uwh: int = 0
    renewable: bool = False
    technology: str = ""


class MonthMinted(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """What a renewable meter's surplus minted in the month yyyymm, less what was clawed back.

    The journal's entries of its mints lie from `first_entry` to `last_entry`.
    """

    month: int
    minted_uwh: int
    first_entry: int
    last_entry: int


class CertifiedEnergy(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """What a renewable meter has minted by month, oldest first, and what of it is certified.

    `mark_uwh` counts the certified energy: each µWh below it is in one certificate. Months wholly
    below the mark are summed up in `before_uwh`.
    """

    months: list[MonthMinted] = []
    mark_uwh: int = 0
    before_uwh: int = 0


class Meter(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """`last_ms` is -1 before the first accepted reading.

    `settled_uwh` is the surplus up to which GRID was minted. The two marks are so counted registers
    at the start of this ratio window and of the one before it. A meter is bound to a device and
    those that follow it, or, if `device` is empty, to all devices of `site`.

    `interval_end_ms` is the end of the open interval (0 before the first reading). The fields
    `interval_start_...` are the counted registers at its start, and whether a reading was near it.
    `closed_intervals` are those that no clearing has taken yet, None before the first.
    """

    id: str
    device: bytes
    owner: str
    rules: MeterRules
    epoch: int
    last_ms: int = -1
    last_import_uwh: int = 0
    last_export_uwh: int = 0
    settled_uwh: int = 0
    mark_ms: int = 0
    mark_import_uwh: int = 0
    mark_export_uwh: int = 0
    older_ms: int = -1
    older_import_uwh: int = 0
    older_export_uwh: int = 0
    site: str = ""
    interval_end_ms: int = 0
    interval_start_import_uwh: int = 0
    interval_start_export_uwh: int = 0
    interval_start_is_measured: bool = False
    closed_intervals: list[IntervalEnergy] | None = None
    past: MeterPast | None = None
    certified: CertifiedEnergy | None = None
    metering_point: str = ""

    @property
    def interval_start_ms(self) -> int:
        """The start of the open interval: the intervals up to here are closed."""
        return self.interval_end_ms - INTERVAL_MS

    @property
    def interval_start(self) -> BoundaryRegisters:
        """The boundary registers at the start of the open interval."""
        return BoundaryRegisters(
            import_uwh=self.interval_start_import_uwh,
            export_uwh=self.interval_start_export_uwh,
            is_measured=self.interval_start_is_measured,
        )

    def set_interval_start(self, registers: BoundaryRegisters) -> None:
        self.interval_start_import_uwh = registers.import_uwh
        self.interval_start_export_uwh = registers.export_uwh
        self.interval_start_is_measured = registers.is_measured


class Device(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A gateway: its key, where its chain stands, and how good its readings were.

    `last_entry` is the journal's number of its newest frame. `verdicts` keeps what was said of the
    newest frames that had anything refused, in case an ack was lost: seq → [[index, reason], ...],
    None if nothing was.
    `thinned` counts readings that the gateway says it had no room for.

    `origin` is config while `community.toml` lists it, else enrolled. `root` is the first device of
    the line in which keys followed each other (empty: itself), `former` the one that this key
    followed by rotation, `retire_ms` when a followed key is revoked (0: not yet known), `why` the
    reason for which it was revoked for good.
    """

    id: bytes
    public_key: bytes
    site: str
    status: DeviceStatus
    chain: bytes
    next_seq: int
    prev: bytes
    last_entry: int = 0
    accepted: int = 0
    rejected: int = 0
    quarantined: int = 0
    verdicts: dict[int, list[tuple[int, int]]] | None = None
    origin: str = "config"
    root: bytes = b""
    former: bytes = b""
    retire_ms: int = 0
    why: str = ""
    thinned: int = 0

    @property
    def line(self) -> bytes:
        """The first device of its line; meters that are bound to any of them are bound to all."""
        return self.root or self.id

    @property
    def quality_permille(self) -> int:
        """Accepted readings of a thousand; 1000 before the first."""
        total = self.accepted + self.rejected + self.quarantined
        return 1000 * self.accepted // total if total else 1000


class Token(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A one-time token, known by the hash of its secret. `status` is open, used or withdrawn.

    `device` is the one that used it.
    """

    site: str
    expires_ms: int
    status: TokenStatus = "open"
    device: bytes = b""


class StandingOrder(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """`covered_uwh` is the import up to which a buyer's energy has been ordered.

    In the segment interval, for either side, it is the metered energy up to which was ordered.
    `curve` has [from_hour, price_ugrx], ascending; before its first hour `price_ugrx` holds.
    `asked_ugrx` is the price of what it has resting.
    """

    price_ugrx: int
    keep_uwh: int
    covered_uwh: int = 0
    segment: Segment = "realtime"
    curve: tuple[tuple[int, int], ...] = ()
    paused: bool = False
    asked_ugrx: int = 0


class Member(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A person. `imported_uwh` counts what all of their meters took from the grid.

    `bought_uwh` is the GRID of the wallet that was bought and not yet retired or sold again;
    `purchases` has it by the journal's entry, oldest first. `open_import` is the import of
    15-minute intervals that bought GRID may still cover, oldest first (both are `queues`).
    `ahead_uwh` was covered and then corrected away: the next import counts as covered. `owed_uwh`
    is a claw-back that the next mints pay. The interval counters are what clearings saw metered.
    `minted_uwh` counts what was ever minted to them.
    """

    name: str
    wallet: str
    imported_uwh: int = 0
    sell: StandingOrder | None = None
    buy: StandingOrder | None = None
    zone: str = ""
    bought_uwh: int = 0
    retired_uwh: int = 0
    ahead_uwh: int = 0
    owed_uwh: int = 0
    purchases: bytearray | None = None
    open_import: bytearray | None = None
    interval_import_uwh: int = 0
    interval_export_uwh: int = 0
    minted_uwh: int = 0
