"""DLMS buses and meters in `sim.toml`. Keys stand there in the open: they guard nothing real."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gridtokenx_sim.config.amounts import Kilowatt, Kwh
from gridtokenx_sim.config.faults import BusFault, DlmsFault

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Key = Annotated[str, msgspec.Meta(pattern="^[0-9A-Fa-f]{32}$")]
Mechanism = Literal["none", "low", "gmac"]
ProtectionName = Literal["none", "authenticated", "encrypted", "authenticated_encrypted"]


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client that may read a meter, by its address, and what it must show.

    `reads`: all objects, or only what identifies the meter (name, clock, invocation counters).
    """

    address: Annotated[int, msgspec.Meta(ge=1, le=127)]
    mechanism: Mechanism = "none"
    password: Annotated[str, msgspec.Meta(max_length=64)] = ""
    encryption_key: _Key | None = None
    authentication_key: _Key | None = None
    protection: ProtectionName = "none"
    reads: Literal["all", "identity"] = "all"
    may_write: bool = False


PUBLIC_CLIENT = ClientConfig(address=16, reads="identity")


class PushConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a meter sends without being asked, every `every_s` of community time.

    On a serial bus in UI frames to `client`; on TCP to a listener at `host` and `port`, within the
    wrapper. `client` with keys: in general-glo-ciphering under them.
    """

    every_s: Annotated[int, msgspec.Meta(ge=1)] = 900
    client: Annotated[int, msgspec.Meta(ge=1, le=127)] = 16
    host: _Name = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0


class DlmsMeterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A DLMS meter at a household's grid connection.

    `address` is the HDLC address of the physical device. `zone_min` is the deviation of its local
    time as DLMS has it: -60 in Vienna. Its clock gains `drift_ppm` and starts `clock_offset_s` off.
    """

    model: str
    address: Annotated[int, msgspec.Meta(ge=1, le=16_380)]
    serial: _Name
    solar_kwp: Kilowatt = Kilowatt(0)
    annual_load_kwh: Kwh = Kwh(0)
    import_kwh: Kwh = Kwh(0)
    export_kwh: Kwh = Kwh(0)
    has_export: bool = True
    zone_min: Annotated[int, msgspec.Meta(ge=-720, le=720)] = 0
    drift_ppm: Annotated[int, msgspec.Meta(ge=-10_000, le=10_000)] = 0
    clock_offset_s: int = 0
    profile_days: Annotated[int, msgspec.Meta(ge=1, le=400)] = 60
    max_pdu_bytes: Annotated[int, msgspec.Meta(ge=64, le=65_535)] = 1024
    client: tuple[ClientConfig, ...] = (
        PUBLIC_CLIENT,
        ClientConfig(address=1, mechanism="low", password="12345678"),  # noqa: S106 (simulated)
    )
    push: PushConfig | None = None
    fault: tuple[DlmsFault, ...] = ()


class DlmsSerialBus(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="dlms_serial",
):
    """HDLC on a serial line; the gateway opens `link`.

    `opening`: direct HDLC at `baud`, or mode E of IEC 62056-21, from 300 baud up to `baud`.
    """

    name: _Name
    link: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    meter: tuple[DlmsMeterConfig, ...]
    baud: Annotated[int, msgspec.Meta(ge=300, le=115_200)] = 9600
    opening: Literal["direct", "mode_e"] = "direct"
    information_bytes: Annotated[int, msgspec.Meta(ge=32, le=2030)] = 128
    window: Annotated[int, msgspec.Meta(ge=1, le=7)] = 1
    idle_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 120.0
    paced: bool = False
    fault: tuple[BusFault, ...] = ()


class DlmsTcpBus(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="dlms_tcp",
):
    """DLMS on TCP.

    Port 0 takes a free one. `framing` is the wrapper (one meter), or HDLC as a device server.
    """

    name: _Name
    meter: tuple[DlmsMeterConfig, ...]
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    framing: Literal["wrapper", "hdlc"] = "wrapper"
    information_bytes: Annotated[int, msgspec.Meta(ge=32, le=2030)] = 128
    window: Annotated[int, msgspec.Meta(ge=1, le=7)] = 1
    idle_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 120.0
    fault: tuple[BusFault, ...] = ()


DlmsBus = DlmsSerialBus | DlmsTcpBus
