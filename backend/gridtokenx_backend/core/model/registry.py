"""Members, devices and meters, with the state that the core keeps of each."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.held_energy import MeterGuard
from gridtokenx_backend.core.model.interval_energy import (
    INTERVAL_MS,
    BoundaryRegisters,
    IntervalEnergy,
    MeterPast,
)
from gridtokenx_backend.core.model.ownership import (
    FORMER_OWNERS_KEPT,
    FormerOwner,
    interval_start_of,
    with_change,
)
from gridtokenx_wire.order import Segment

DeviceStatus = Literal["active", "pending", "revoked"]
DeviceOrigin = Literal["config", "enrolled"]
TokenStatus = Literal["open", "used", "withdrawn"]
MeterPolicy = Literal["export", "net"]


class MeterRules(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The terms of a meter as integers. Meters with equal terms share one object.

    `max_production_ratio` and `rollover_uwh` are 0 where the sign is off and where the registers
    never begin again at zero. What the first stretch after a baseline brings beyond
    `first_energy_uwh` is held, and whatever it brings after a reading of zero, unless the meter
    `starts_at_zero`.
    """

    policy: MeterPolicy
    active: bool
    max_power_w: int
    min_interval_ms: int
    resolution_uwh: int
    max_production_ratio: int
    rollover_uwh: int = 0
    renewable: bool = False
    technology: str = ""
    first_energy_uwh: int = 0
    starts_at_zero: bool = False


class MonthMinted(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The surplus of a renewable meter that was minted in a month, less what was clawed back.

    `month` is the number yyyymm. Its mints lie between the journal's entries `first_entry` and
    `last_entry`. `owner` is the wallet of the former owner for whom it was minted, empty if that is
    the present one. A month has one of these for each of its owners.
    """

    month: int
    minted_uwh: int
    first_entry: int
    last_entry: int
    owner: str = ""


class CertifiedEnergy(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The surplus that a renewable meter has minted, by month, and how much of it is certified.

    `months` are in order of time. `mark_uwh` counts the certified energy: each µWh below it is in
    one certificate. Months of which all is certified are summed up in `before_uwh`.
    """

    months: list[MonthMinted] = []
    mark_uwh: int = 0
    before_uwh: int = 0


class Meter(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A meter: its owner, its terms, its last accepted reading and its open interval.

    `last_ms` is -1 before the first accepted reading. `settled_uwh` is the surplus up to which GRID
    was minted. `mark_...` are the registers at the start of the present ratio window, `older_...`
    those at the start of the window before it, both counted over rollovers. A meter is bound to a
    device and those that follow it or, if `device` is empty, to all devices of `site`.

    `interval_end_ms` is the end of the open interval (0 before the first reading). The fields
    `interval_start_...` are the boundary registers at its start.
    `closed_intervals` are those that no clearing has taken yet, None before the first.

    `first_ms` is the time of the first accepted reading that there ever was, -1 where it is not
    known. `former_owners` are in order of time, and who owned an interval is known for certain from
    `owners_from_ms` on; -1 is never. The terms named the meter from `listed_ms` on, and up to
    `unlisted_ms` if that is not 0. `guard` is what bounds, doubts or holds the meter's energy; most
    meters need none. All of this came with rules version 2.
    """

    # Fields are only added at the end, with a default: see `state.version_3`.

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
    first_ms: int = -1
    owners_from_ms: int = -1
    former_owners: tuple[FormerOwner, ...] = ()
    listed_ms: int = 0
    unlisted_ms: int = 0
    guard: MeterGuard | None = None

    def is_listed_at(self, interval_ms: int) -> bool:
        """Return whether the terms named the meter in an interval."""
        return self.listed_ms <= interval_ms and not 0 < self.unlisted_ms <= interval_ms

    def owner_at(self, interval_ms: int) -> str:
        """Return who owned an interval, as far as it is known."""
        former = self.former_owner_at(interval_ms)
        return former.wallet if former else self.owner

    def former_owner_at(self, interval_ms: int) -> FormerOwner | None:
        """Return the former owner of an interval; None if it is the present owner's."""
        return next((each for each in self.former_owners if interval_ms < each.until_ms), None)

    def is_owner_known_at(self, interval_ms: int) -> bool:
        """Return whether it is certain who owned an interval."""
        return 0 <= self.owners_from_ms <= interval_ms

    def change_owner(self, wallet: str, at_ms: int, deficit_uwh: int) -> None:
        """Give the meter to a member from the interval on that `at_ms` lies in.

        `deficit_uwh` is what the former owner leaves, see FormerOwner.
        """
        until_ms = interval_start_of(at_ms)
        leaving = FormerOwner(wallet=self.owner, until_ms=until_ms, deficit_uwh=deficit_uwh)
        self.former_owners = with_change(self.former_owners, leaving)
        if len(self.former_owners) > FORMER_OWNERS_KEPT:
            self.owners_from_ms = max(self.owners_from_ms, self.former_owners[0].until_ms)
            self.former_owners = self.former_owners[1:]
        self.owner = wallet

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
        """Set the boundary registers at the start of the open interval."""
        self.interval_start_import_uwh = registers.import_uwh
        self.interval_start_export_uwh = registers.export_uwh
        self.interval_start_is_measured = registers.is_measured


class Device(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A gateway: its key, the state of its chain, and the numbers of its readings by verdict.

    `last_entry` is the journal's number of its newest frame. `verdicts` keeps the verdicts on its
    newest frames with refused readings, in case an ack was lost, as seq → [[index, reason], ...];
    it is None if none was refused. `thinned` counts the readings that the gateway left out of its
    frames because it had no room for them.

    `origin` is config while `community.toml` lists the device, and else enrolled. `former` is the
    device whose key this one's key followed by rotation, and `root` the first device of that line;
    it is empty if that is this device itself. `retire_ms` is the time at which a key that another
    one followed is revoked; it is 0 while that is not known. `why` is the reason for which a device
    was revoked for good.

    `recent` has the heads of its newest frames, see `core.minting.chain`, and `newest_ms` is when
    the newest one was stored. `held` says why an active device is held: nothing of it is taken
    until the operator releases or revokes it. `improbable` counts the accepted readings that have a
    sign of being wrong.
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
    origin: DeviceOrigin = "config"
    root: bytes = b""
    former: bytes = b""
    retire_ms: int = 0
    why: str = ""
    thinned: int = 0
    recent: bytearray | None = None
    newest_ms: int = 0
    held: str = ""
    improbable: int = 0

    @property
    def line(self) -> bytes:
        """The first device of its line. A meter that is bound to one of them is bound to all."""
        return self.root or self.id

    @property
    def quality_permille(self) -> int:
        """Accepted readings of a thousand without a sign of being wrong; 1000 before the first."""
        total = self.accepted + self.rejected + self.quarantined
        return 1000 * (self.accepted - self.improbable) // total if total else 1000


class Token(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A token with which one gateway may enrol, known by the hash of its secret.

    `device` is the one that used it.
    """

    site: str
    expires_ms: int
    status: TokenStatus = "open"
    device: bytes = b""


class StandingOrder(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """An order of a member that places new orders again and again as energy is metered.

    `keep_uwh` is the GRID that one that sells leaves in the wallet. `covered_uwh` is the import for
    which a buyer's energy has already been ordered; in the segment interval it is, for either side,
    the metered energy for which orders have already been placed. `curve` has pairs of
    [from_hour, price_ugrx] in ascending order, and `price_ugrx` holds before its first hour.
    `asked_ugrx` is the price of its order that is resting in the book.
    """

    price_ugrx: int
    keep_uwh: int
    covered_uwh: int = 0
    segment: Segment = "realtime"
    curve: tuple[tuple[int, int], ...] = ()
    paused: bool = False
    asked_ugrx: int = 0


class Member(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A member: a person with a wallet.

    `imported_uwh` counts the import of all of the member's meters, and `minted_uwh` all that was
    minted to the wallet. `interval_import_uwh` and `interval_export_uwh` count the energy of the
    intervals that clearings have taken.

    `bought_uwh` is the GRID in the wallet that was bought and neither retired nor sold since;
    `purchases` has it by the journal's entry, oldest first. `open_import` is the import by interval
    that bought GRID may still cover, oldest first (both are `queues`). `ahead_uwh` is import that
    was covered before a correction took it away: so much of the next import counts as covered.
    `owed_uwh` is what a correction clawed back and the wallet lacked: the next mints pay it.
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
