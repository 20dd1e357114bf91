"""`community.toml`: who takes part, and on what terms. Journaled whole whenever it changes."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from gridtokenx_wire.config import Grx, Kilowatt, Kwh, PublicKey


class CommunitySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    time_zone: str = "UTC"
    """By its IANA name: in it days and months begin, and tariffs' hours are counted."""


class OracleTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a reading may be off before it is refused."""

    future_tolerance_s: int = 60
    oldest_reading_s: int = 7 * 86_400
    ratio_window_s: int = 86_400
    """Production over consumption is judged over one to two of these."""


class MarketTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be ordered and what a trade costs.

    Quantities are multiples of `lot_kwh` and prices of `tick_grx_per_kwh`; lot × tick is a whole
    number of µGRX, so the value of every fill is exact.
    """

    lot_kwh: Kwh = Kwh(1_000_000)
    tick_grx_per_kwh: Grx = Grx(1_000)
    highest_price_grx_per_kwh: Grx = Grx(1_000_000_000)
    largest_order_kwh: Kwh = Kwh(1_000_000 * 10**9)
    fee_bps: int = 50
    order_window_s: int = 3600
    """An order signed longer ago is refused; ids are remembered as long."""
    tick_s: int = 900
    """Standing orders are looked at this often."""


class RotationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long a gateway's former key is heard beside the one that follows it."""

    overlap_hours: int = 48
    """From the first frame under the new key."""


class MemberTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    wallet: PublicKey
    opening_grx: Grx = Grx(0)
    """Credited once, when the member first appears."""
    tariff: str = ""
    """The name of the utility tariff; empty is the first in the file."""


class DeviceTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public_key: PublicKey
    site: str = ""
    status: Literal["active", "pending", "revoked"] = "active"
    chain: str = ""
    """Hex of the chain to accept; empty takes the first that comes. A new one replaces the old."""


class MeterTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    owner: str
    """A member's name."""
    max_power_kw: Kilowatt
    """The most that the connection can carry, either way."""
    device: str = ""
    """The device's id, as `gridtokenx-edge key` prints it; or a key that follows it."""
    site: str = ""
    """Instead of a device: every active one of this site."""
    policy: Literal["export", "net"] = "export"
    active: bool = True
    min_interval_s: int = 1
    resolution_kwh: Kwh = Kwh(100_000_000)
    """One step of the coarser of the meter's registers."""
    max_production_ratio: int = 50
    """Exported over imported energy beyond which readings are quarantined; 0 switches it off."""
    rollover_kwh: Kwh = Kwh(0)
    """What the registers count before they begin again at zero; 0: they do not."""
    epoch: int = 0
    """Raised by the operator after a register was reset: the next reading is a new baseline."""


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class WindowTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of some weekdays at a price of their own. `to_hour` at or before `from_hour` is the
    next day's, and the night belongs to the day on which it begins."""

    name: str
    energy_grx_per_kwh: Grx
    from_hour: int = 0
    to_hour: int = 24
    days: list[Weekday] = msgspec.field(default_factory=lambda: list(WEEKDAYS))


class TariffLineTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is charged beside energy, such as the network and levies."""

    name: str
    grx_per_kwh: Grx = Grx(0)
    grx_per_month: Grx = Grx(0)
    basis: Literal["residual", "import"] = "residual"
    """On the import that the community did not cover, or on all of it."""


class TariffTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A utility tariff from a month on, until another of the same name holds."""

    name: str
    valid_from: date
    energy_grx_per_kwh: Grx
    feed_in_grx_per_kwh: Grx = Grx(0)
    fixed_grx_per_month: Grx = Grx(0)
    window: list[WindowTerms] = []
    line: list[TariffLineTerms] = []


class CarbonTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kWh from the grid emits, and who says so."""

    g_per_kwh: int = 0
    source: str = ""


class SettlementTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    feed_in_unsold: bool = True
    """When a month becomes final, its unsold surplus goes to the utility and cannot be sold."""


class CommunityTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    community: CommunitySection
    oracle: OracleTerms = OracleTerms()
    market: MarketTerms = MarketTerms()
    rotation: RotationTerms = RotationTerms()
    member: list[MemberTerms] = []
    device: list[DeviceTerms] = []
    meter: list[MeterTerms] = []
    tariff: list[TariffTerms] = []
    carbon: CarbonTerms = CarbonTerms()
    settlement: SettlementTerms = SettlementTerms()
