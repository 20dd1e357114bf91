"""`community.toml`: who takes part, and on what terms. Journaled whole whenever it changes."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.sharing_terms import SharingTerms
from gridtokenx_backend.core.model.tariff_terms import CarbonTerms, SettlementTerms, TariffTerms
from gridtokenx_wire.config import Grx, Kilowatt, Kwh, PublicKey


class CommunitySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    time_zone: str = "UTC"
    """By its IANA name: in it days and months begin, and tariffs' hours are counted."""
    mode: Literal["market", "static", "time_varying", "dynamic", "imported"] = "market"
    """By price, or by a key: see `core.sharing`."""


class OracleTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far a reading may be off before it is refused."""

    future_tolerance_s: int = 60
    oldest_reading_s: int = 7 * 86_400
    ratio_window_s: int = 86_400
    """Production over consumption is judged over one to two of these."""


class MarketTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
    fee_payer: Literal["seller", "buyer"] = "seller"
    network_payer: Literal["buyer", "seller"] = "buyer"
    """Who pays wheeling and loss of a trade between zones."""
    min_fee_grx: Grx = Grx(0)
    """Of each trade; only where the seller pays it."""
    most_open_orders: int = 1000
    """Of one wallet."""


class ZoneTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the grid with its own prices. Without any there is one, named "main"."""

    name: str
    floor_grx_per_kwh: Grx = Grx(0)
    ceiling_grx_per_kwh: Grx = Grx(0)
    """An order's price lies between the two; a ceiling of 0 is none."""
    breaker_bps: int = 0
    """A trade further than this from the reference price pauses the zone; 0 switches it off."""
    breaker_pause_s: int = 300


class LinkTerms(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"from_zone": "from", "to_zone": "to"},
    kw_only=True,
):
    """What sellers of one zone may deliver to buyers of another."""

    from_zone: str
    to_zone: str
    capacity_kwh: Kwh
    """In each 15-minute interval."""
    wheeling_grx_per_kwh: Grx = Grx(0)
    loss_bps: int = 0
    loss_price_grx_per_kwh: Grx = Grx(0)
    """What a lost kWh costs: the loss of a kWh is loss_bps of it, rounded up to a tick."""


class IntervalTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The 15-minute intervals in which energy is counted, and the auctions that clear them."""

    correction_hours: int = 72
    """For so long a late reading completes a span that was interpolated, after its end."""
    finality_hours: int = 168
    """An interval that ended longer ago is changed by the operator's correction only."""
    bound_tolerance_s: int = 60
    """A reading so near to an interval's bound measures it."""
    enabled: bool = True
    """Whether intervals are cleared."""
    mode: Literal["ex_post", "ex_ante"] = "ex_post"
    gate_s: int = 300
    """Ex ante, an interval is cleared so long before it begins."""
    grace_s: int = 300
    """Ex post, late readings have so long after the interval's end."""
    coupling: bool = True
    """Whether zones trade with each other after their own auctions."""


class RotationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long a gateway's former key is heard beside the one that follows it."""

    overlap_hours: int = 48
    """From the first frame under the new key."""


class MemberTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    wallet: PublicKey
    opening_grx: Grx = Grx(0)
    """Credited once, when the member first appears."""
    zone: str = ""
    """Where the member's orders stand; empty: in the first zone."""
    tariff: str = ""
    """The name of the utility tariff; empty is the first in the file."""


class DeviceTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    public_key: PublicKey
    site: str = ""
    status: Literal["active", "pending", "revoked"] = "active"
    chain: str = ""
    """Hex of the chain to accept; empty takes the first that comes. A new one replaces the old."""


class MeterTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
    metering_point: str = ""
    """What the grid operator calls it, such as AT and 31 characters; empty: as `id`."""
    renewable: bool = False
    """What it exports is certified: a certificate for each MWh."""
    technology: str = ""
    """What produces it, such as "solar", as certificates name it."""


class CommunityTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    community: CommunitySection
    oracle: OracleTerms = OracleTerms()
    market: MarketTerms = MarketTerms()
    rotation: RotationTerms = RotationTerms()
    interval: IntervalTerms = IntervalTerms()
    sharing: SharingTerms = SharingTerms()
    member: list[MemberTerms] = []
    device: list[DeviceTerms] = []
    meter: list[MeterTerms] = []
    zone: list[ZoneTerms] = []
    link: list[LinkTerms] = []
    tariff: list[TariffTerms] = []
    carbon: CarbonTerms = CarbonTerms()
    settlement: SettlementTerms = SettlementTerms()
