"""The community that the demo starts: who lives there, with which meter, on which line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models.dlms import DLMS_MODELS

COMMUNITY = "sonnenweg"
TITLE = "Sonnenweg, Vienna"
TIME_ZONE = "Europe/Vienna"
LATITUDE = 48.2
LONGITUDE = 16.37
SEED = 7
START = datetime(2026, 6, 18, 5, 59, tzinfo=UTC)
"""A working day in June, seven in the morning by the sun: surplus within minutes.

When everything runs, the quarter of an hour has a few minutes left: its auction comes soon.
"""
START_MS = round(START.timestamp() * 1000)
FEE_BPS = 50
MAX_PRODUCTION_RATIO = 60
"""A sunny June day of the largest roof exports 17 times what its household imports."""


class MeterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A meter, the household behind it, and what its connection can carry.

    Amounts are decimal strings, as configs have them; `import_kwh` and `export_kwh` are what the
    registers show when the community begins. `entry` is how a DLMS meter lets its gateway in: with
    a password (low) or with keys (gmac).
    """

    model: str
    serial: str
    address: int
    annual_load_kwh: str
    max_power_kw: str
    import_kwh: str
    solar_kwp: str = "0"
    export_kwh: str = "0"
    entry: Literal["", "low", "gmac"] = ""

    @property
    def id(self) -> str:
        if self.is_dlms:
            return DLMS_MODELS[self.model].meter_id(self.serial)
        return f"{MODELS[self.model].maker}-{self.serial}"

    @property
    def is_dlms(self) -> bool:
        return self.model in DLMS_MODELS

    @property
    def model_name(self) -> str:
        return (DLMS_MODELS if self.is_dlms else MODELS)[self.model].name

    @property
    def resolution_kwh(self) -> str:
        """A step of its registers, or a little more: an Eastron's float has steps of 1 or 2 Wh."""
        return "0.1" if self.model.startswith("carlo_gavazzi") else "0.01"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person with a wallet, a meter and a standing order, for one of the two markets."""

    name: str
    side: Literal["sell", "buy"]
    price_grx_per_kwh: str
    meter: MeterPlan
    segment: Literal["realtime", "interval"] = "realtime"

    @property
    def file_name(self) -> str:
        """The name in a form that every file system takes."""
        return self.name.lower().replace(" ", "-")


class Bus(msgspec.Struct, frozen=True, kw_only=True):
    """A line with its members' meters, which all speak one protocol. With `baud` 0 it is TCP.

    `opening` is how a DLMS meter on a serial line is spoken to at first.
    """

    name: str
    baud: int
    members: tuple[Member, ...]
    opening: Literal["direct", "mode_e"] = "direct"

    @property
    def is_dlms(self) -> bool:
        return self.members[0].meter.is_dlms


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    site: str
    buses: tuple[Bus, ...]


_BERGER = MeterPlan(
    model="eastron_sdm630",
    serial="23817402",
    address=1,
    solar_kwp="6.4",
    annual_load_kwh="3600",
    max_power_kw="17",
    import_kwh="8412.5",
    export_kwh="11230.25",
)
_HUBER = MeterPlan(
    model="abb_b23",
    serial="41200913",
    address=2,
    solar_kwp="9.8",
    annual_load_kwh="5200",
    max_power_kw="24",
    import_kwh="10944.31",
    export_kwh="17551.04",
)
_KAYA = MeterPlan(
    model="eastron_sdm230",
    serial="22600158",
    address=3,
    annual_load_kwh="5400",
    max_power_kw="14",
    import_kwh="9120.75",
)
_MOSER = MeterPlan(
    model="carlo_gavazzi_em340",
    serial="KY2130017",
    address=1,
    annual_load_kwh="9800",
    max_power_kw="24",
    import_kwh="21377.2",
)
_NOVAK = MeterPlan(
    model="eastron_sdm72d_m",
    serial="21950466",
    address=2,
    solar_kwp="4.2",
    annual_load_kwh="2900",
    max_power_kw="17",
    import_kwh="5120.4",
    export_kwh="6104.5",
)
_STEINER = MeterPlan(
    model="eastron_sdm120",
    serial="20770231",
    address=1,
    solar_kwp="2.4",
    annual_load_kwh="2100",
    max_power_kw="8",
    import_kwh="6010.25",
    export_kwh="2205.75",
)
_WAGNER = MeterPlan(
    model="schneider_iem3155",
    serial="31550862",
    address=2,
    solar_kwp="8.2",
    annual_load_kwh="4100",
    max_power_kw="24",
    import_kwh="7003.118",
    export_kwh="12990.4",
)
_SCHOOL = MeterPlan(
    model="carlo_gavazzi_em24_rs485",
    serial="BN0420061",
    address=3,
    annual_load_kwh="24000",
    max_power_kw="60",
    import_kwh="40288.6",
)
_BAKERY = MeterPlan(
    model="carlo_gavazzi_em24_e1",
    serial="BX1360044",
    address=1,
    annual_load_kwh="32000",
    max_power_kw="80",
    import_kwh="91820.9",
)
_GRUBER = MeterPlan(
    model="iskraemeco_am550",
    serial="40012345",
    address=17,
    solar_kwp="7.2",
    annual_load_kwh="3900",
    max_power_kw="17",
    import_kwh="15230.118",
    export_kwh="9871.402",
    entry="gmac",
)
_LEITNER = MeterPlan(
    model="landisgyr_e450",
    serial="1030655933",
    address=18,
    annual_load_kwh="4600",
    max_power_kw="17",
    import_kwh="28114.905",
    entry="low",
)
_WEISS = MeterPlan(
    model="iskraemeco_am550",
    serial="40027718",
    address=17,
    annual_load_kwh="3100",
    max_power_kw="17",
    import_kwh="19880.46",
    entry="gmac",
)
_SAWMILL = MeterPlan(
    model="edmi_mk10",
    serial="252730415",
    address=1,
    solar_kwp="12.5",
    annual_load_kwh="8800",
    max_power_kw="60",
    import_kwh="60412.337",
    export_kwh="31877.26",
    entry="low",
)

GATEWAYS = (
    Gateway(
        name="north",
        site="Sonnenweg 1 to 9",
        buses=(
            Bus(
                name="cabinet",
                baud=9600,
                members=(
                    Member(name="Berger", side="sell", price_grx_per_kwh="0.118", meter=_BERGER),
                    Member(
                        name="Huber",
                        side="sell",
                        price_grx_per_kwh="0.105",
                        meter=_HUBER,
                        segment="interval",
                    ),
                    Member(name="Kaya", side="buy", price_grx_per_kwh="0.135", meter=_KAYA),
                ),
            ),
            Bus(
                name="cellar",
                baud=19200,
                members=(
                    Member(name="Moser", side="buy", price_grx_per_kwh="0.160", meter=_MOSER),
                    Member(name="Novak", side="sell", price_grx_per_kwh="0.124", meter=_NOVAK),
                ),
            ),
            Bus(
                name="hall",
                baud=9600,
                members=(
                    Member(
                        name="Gruber",
                        side="sell",
                        price_grx_per_kwh="0.112",
                        meter=_GRUBER,
                        segment="interval",
                    ),
                    Member(
                        name="Leitner",
                        side="buy",
                        price_grx_per_kwh="0.148",
                        meter=_LEITNER,
                        segment="interval",
                    ),
                ),
            ),
        ),
    ),
    Gateway(
        name="south",
        site="Sonnenweg 2 to 8",
        buses=(
            Bus(
                name="garage",
                baud=9600,
                members=(
                    Member(name="Steiner", side="sell", price_grx_per_kwh="0.098", meter=_STEINER),
                    Member(name="Wagner", side="sell", price_grx_per_kwh="0.132", meter=_WAGNER),
                    Member(
                        name="School",
                        side="buy",
                        price_grx_per_kwh="0.122",
                        meter=_SCHOOL,
                        segment="interval",
                    ),
                ),
            ),
            Bus(
                name="bakery",
                baud=0,
                members=(
                    Member(
                        name="Bakery Lang", side="buy", price_grx_per_kwh="0.210", meter=_BAKERY
                    ),
                ),
            ),
            Bus(
                name="porch",
                baud=9600,
                members=(
                    Member(name="Weiss", side="buy", price_grx_per_kwh="0.142", meter=_WEISS),
                ),
                opening="mode_e",
            ),
            Bus(
                name="mill",
                baud=0,
                members=(
                    Member(name="Sawmill", side="sell", price_grx_per_kwh="0.128", meter=_SAWMILL),
                ),
            ),
        ),
    ),
)
BUSES = tuple(bus for gateway in GATEWAYS for bus in gateway.buses)
MEMBERS = tuple(member for bus in BUSES for member in bus.members)
