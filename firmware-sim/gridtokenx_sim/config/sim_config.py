"""`sim.toml`: which meters stand where, on which buses, with which faults.

`loading` reads them from a file; tests may also build them directly.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from gridtokenx_sim.config.amounts import Kilowatt, Kwh
from gridtokenx_sim.config.dlms import DlmsSerialBus, DlmsTcpBus
from gridtokenx_sim.config.faults import BusFault, MeterFault
from gridtokenx_wire.clock import ClockConfig

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The place where the meters stand, and the time when their counters start (`start`, with a
    time zone).
    """

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    start: Annotated[datetime, msgspec.Meta(tz=True)]
    seed: int = 0

    @property
    def start_ms(self) -> int:
        return round(self.start.timestamp() * 1000)


class MeterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter at a household's grid connection. With `solar_kwp` 0 it is a consumer without panels.

    Panels without a load are an inverter's. `sunspec_base` is where a SunSpec model begins.
    """

    model: str
    address: Annotated[int, msgspec.Meta(ge=1, le=247)]
    serial: _Name
    solar_kwp: Kilowatt = Kilowatt(0)
    annual_load_kwh: Kwh = Kwh(0)
    import_kwh: Kwh = Kwh(0)
    export_kwh: Kwh = Kwh(0)
    has_export: bool = True
    inverted: bool = False
    sunspec_base: Literal[0, 40_000, 50_000] = 40_000
    fault: tuple[MeterFault, ...] = ()


class SerialBus(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="serial",
):
    """A serial line; the gateway opens `link`."""

    name: _Name
    link: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    meter: tuple[MeterConfig, ...]
    baud: Annotated[int, msgspec.Meta(ge=300, le=921_600)] = 9600
    paced: bool = False
    fault: tuple[BusFault, ...] = ()


class TcpBus(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="tcp",
):
    """A Modbus TCP server. With port 0 it takes a free port."""

    name: _Name
    meter: tuple[MeterConfig, ...]
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    fault: tuple[BusFault, ...] = ()


AnyBus = SerialBus | TcpBus | DlmsSerialBus | DlmsTcpBus


class SimConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulator's config: a site, its buses and its clock."""

    site: Site
    bus: tuple[AnyBus, ...]
    clock: ClockConfig = ClockConfig()
