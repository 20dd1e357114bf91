"""The terms in `community.toml`: who takes part, and under which rules.

The whole file is journaled whenever it changes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.sharing_terms import SharingTerms
from gridtokenx_backend.core.model.tariff_terms import CarbonTerms, SettlementTerms, TariffTerms
from gridtokenx_wire.config import Grx, Kilowatt, Kwh, PublicKey


class CommunitySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The community as a whole: its name, its local time and how it divides energy."""

    name: str
    time_zone: str = "UTC"
    """The IANA name of the time zone in which days, months and the hours of tariffs are counted."""
    mode: Literal["market", "static", "time_varying", "dynamic", "imported"] = "market"
    """Whether energy is traded on a market or shared by a key of this kind (see `core.sharing`)."""


class OracleTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The limits beyond which the oracle refuses a reading."""

    future_tolerance_s: int = 60
    oldest_reading_s: int = 7 * 86_400
    ratio_window_s: int = 86_400
    """The ratio of production to consumption is judged over one to two of these windows."""


class MarketTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rules for orders, and what a trade costs.

    Quantities are multiples of `lot_kwh` and prices of `tick_grx_per_kwh`; lot × tick is a whole
    number of µGRX, so the value of every fill is exact.
    """

    lot_kwh: Kwh = Kwh(1_000_000)
    tick_grx_per_kwh: Grx = Grx(1_000)
    highest_price_grx_per_kwh: Grx = Grx(1_000_000_000)
    largest_order_kwh: Kwh = Kwh(1_000_000 * 10**9)
    fee_bps: int = 50
    order_window_s: int = 3600
    """An order that was signed longer ago is refused. Ids of orders are remembered for as long."""
    tick_s: int = 900
    """The time between two rounds in which standing orders place their orders."""
    fee_payer: Literal["seller", "buyer"] = "seller"
    network_payer: Literal["buyer", "seller"] = "buyer"
    """The side that pays for wheeling and losses when zones trade with each other."""
    min_fee_grx: Grx = Grx(0)
    """The lowest fee of a trade. It needs `fee_payer` to be the seller."""
    most_open_orders: int = 1000
    """The most orders that one wallet may have open."""


class ZoneTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the grid with its own prices.

    A community that lists none has one zone, named "main".
    """

    name: str
    floor_grx_per_kwh: Grx = Grx(0)
    ceiling_grx_per_kwh: Grx = Grx(0)
    """An order's price must lie between floor and ceiling. A ceiling of 0 means that none holds."""
    breaker_bps: int = 0
    """A trade whose price is further than this from the reference price pauses the zone.

    The value 0 switches the breaker off.
    """
    breaker_pause_s: int = 300


class LinkTerms(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"from_zone": "from", "to_zone": "to"},
    kw_only=True,
):
    """A link, over which sellers of one zone may deliver to buyers of another."""

    from_zone: str
    to_zone: str
    capacity_kwh: Kwh
    """The energy that may be delivered over the link in each 15-minute interval."""
    wheeling_grx_per_kwh: Grx = Grx(0)
    loss_bps: int = 0
    loss_price_grx_per_kwh: Grx = Grx(0)
    """The price of a lost kWh.

    Of each delivered kWh the part `loss_bps` is lost. What it costs is rounded up to a tick.
    """


class IntervalTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The 15-minute intervals in which energy is counted, and the auctions that clear them."""

    correction_hours: int = 72
    """For this long after the end of an estimated span, late readings may make it more exact."""
    finality_hours: int = 168
    """Only a correction by the operator changes an interval that ended longer ago than this."""
    bound_tolerance_s: int = 60
    """A reading counts as measured at an interval boundary if it is at most this far from it."""
    enabled: bool = True
    """Whether intervals are cleared."""
    mode: Literal["ex_post", "ex_ante"] = "ex_post"
    gate_s: int = 300
    """In the mode ex_ante, an interval is cleared this long before it begins."""
    grace_s: int = 300
    """In the mode ex_post, an interval is cleared this long after its end, to await readings."""
    coupling: bool = True
    """Whether zones trade with each other after their own auctions."""


class RotationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rotation of gateways' keys."""

    overlap_hours: int = 48
    """For this long after the first frame under a new key, the previous key is accepted as well."""


class MemberTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A member of the community and the public key of the member's wallet."""

    name: str
    wallet: PublicKey
    opening_grx: Grx = Grx(0)
    """The GRX that is credited once, when the member appears for the first time."""
    zone: str = ""
    """The zone in which the member trades. If it is empty, that is the first zone."""
    tariff: str = ""
    """The name of the utility tariff. If it is empty, the first one in the file holds."""


class DeviceTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A gateway that the operator lists, known by its public key."""

    public_key: PublicKey
    site: str = ""
    status: Literal["active", "pending", "revoked"] = "active"
    chain: str = ""
    """The chain to accept, in hex. If it is empty, the first chain that arrives is accepted.

    A new value replaces the chain that was accepted before.
    """


class MeterTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A meter: its owner, the gateway that reads it, and the limits for its readings."""

    id: str
    owner: str
    """The name of the member who owns the meter."""
    max_power_kw: Kilowatt
    """The most power that the connection can carry in either direction."""
    device: str = ""
    """The id of the device that may send its readings, as `gridtokenx-edge key` prints it.

    Devices whose keys follow this one's by rotation may send them as well.
    """
    site: str = ""
    """The site whose active devices may all send its readings. It is named instead of a device."""
    policy: Literal["export", "net"] = "export"
    active: bool = True
    min_interval_s: int = 1
    resolution_kwh: Kwh = Kwh(100_000_000)
    """The size of one step of the coarser of the meter's two registers."""
    max_production_ratio: int = 50
    """The ratio of exported to imported energy above which readings count as improbable.

    It is a sign of quality and protects nothing. The value 0 switches it off.
    """
    rollover_kwh: Kwh = Kwh(0)
    """What the registers count before they begin again at zero. At 0 they never do."""
    epoch: int = 0
    """A number that the operator raises after a register was reset or replaced.

    The next reading is then a new baseline.
    """
    metering_point: str = ""
    """The grid operator's name of the meter, such as AT and 31 characters.

    If it is empty, the grid operator uses `id`.
    """
    renewable: bool = False
    """Whether certificates are issued for its surplus, one for each MWh."""
    technology: str = ""
    """What produces the energy, such as "solar". Certificates name it."""
    first_energy_kwh: Kwh = Kwh(10_000_000_000)
    """The most energy from a meter's first reading to its second that is believed.

    More than that is held until the operator releases or voids it.
    """
    starts_at_zero: bool = False
    """Whether the meter is new, so that a first reading of zero is believed.

    Else its energy is held: some meters show zero for a while after a power cut.
    """


class CommunityTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of `community.toml`. Each field is the section or the list of that name."""

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
