"""The profile of a DLMS meter model: package data, one TOML file a model. Unknown keys are errors.

A profile holds facts, each with its source: which objects hold what (OBIS codes, IEC 62056-61), how
the meter is addressed, what it wants from a client, and where it departs from the standard.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_dlms.obis import Obis
from gridtokenx_edge.meters.dlms_access import Mechanism, Protection
from gridtokenx_edge.meters.profile import Confidence, Provenance
from gridtokenx_wire.config import load_toml

_MAKER = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]+)*", re.ASCII)
_FOLDER = Path(__file__).parent.parent / "profiles" / "dlms"
# Green Book 9.4.2.2.1: a client's service access point is 7 bits; 16 is the public client's.
_HIGHEST_CLIENT = 127
_LONGEST_PERIOD_S = 86_400

PushedName = Literal[
    "", "clock", "identity", "energy_import", "energy_export", "power_import", "power_export"
]


class DlmsIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The data object (class 1) that says which meter this is."""

    obis: str
    confidence: Confidence

    def __post_init__(self) -> None:
        Obis.parse(self.obis)


class LoadProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The profile generic (class 7) with cumulative registers, from which gaps are repaired.

    `columns` are the objects that are expected in it, in any order; the meter's own list counts. A
    row whose status has one of `invalid_status_bits` is not used.
    """

    obis: str
    columns: tuple[str, ...]
    confidence: Confidence
    status: str = ""
    invalid_status_bits: int = 0
    rows_per_request: int = 96

    def __post_init__(self) -> None:
        for code in (self.obis, *self.columns, *filter(None, [self.status])):
            Obis.parse(code)
        if not 1 <= self.rows_per_request <= 1000:
            raise ValueError("expected rows_per_request from 1 to 1000")


class AssociationDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a client associates with the meter.

    `counter` is the object from which the public client may read the newest invocation counter that
    the meter has seen.
    """

    client: int = 16
    logical_device: int = 1
    physical_address: int | None = None
    address_bytes: Literal[0, 1, 2, 4] = 0
    authentication: Mechanism = "none"
    protection: Protection = "none"
    counter: str = ""
    max_pdu_bytes: int = 0xFFFF

    def __post_init__(self) -> None:
        if not 1 <= self.client <= _HIGHEST_CLIENT:
            raise ValueError(f"expected a client from 1 to {_HIGHEST_CLIENT}")
        if self.counter:
            Obis.parse(self.counter)
        if not 64 <= self.max_pdu_bytes <= 0xFFFF:
            raise ValueError("expected max_pdu_bytes from 64 to 65535")


class LinkDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The serial line as the model has it. After `idle_s` the meter forgets a silent client."""

    opening: Literal["hdlc", "mode_e"] = "hdlc"
    baud: int = 9600
    information_bytes: int = 128
    idle_s: int = 110


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a model departs from the standard.

    With `reversed_deviation` the clock's deviation has the sign of an offset from UTC. With
    `no_get_list` the meter refuses several attributes in one request. `scalers` (by OBIS code)
    replace what the meter says.
    """

    reversed_deviation: bool = False
    no_get_list: bool = False
    scalers: dict[str, int] = {}

    def __post_init__(self) -> None:
        for code in self.scalers:
            Obis.parse(code)


class PushTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How pushed values are told apart: by the OBIS codes among them, or by their places.

    `lists` are the meter's lists; the one with as many elements as came is used. Scalers are used
    where the meter sends none: 0 stands for Wh and W. `identity_place` is where the meter's name
    stands among all values if it comes without its code; -1 is the last one. `protection` is how
    the model mostly sends, where it differs from how it is asked.
    """

    layout: Literal["self_describing", "positional"]
    confidence: Confidence
    lists: tuple[tuple[PushedName, ...], ...] = ()
    energy_scaler: int = 0
    power_scaler: int = 0
    identity_place: int | None = None
    protection: Protection | None = None

    def __post_init__(self) -> None:
        if (self.layout == "positional") != bool(self.lists):
            raise ValueError("expected lists for a positional layout, and for nothing else")
        if len({len(names) for names in self.lists}) != len(self.lists):
            raise ValueError("expected lists of different lengths")


class DlmsProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model: what to read and how.

    `power` is one register for both directions (16.7.0), or import and export (1.7.0, 2.7.0).
    """

    kind: Literal["dlms"]
    name: str
    maker: str
    confidence: Confidence
    identity: DlmsIdentity
    energy_import: str
    provenance: tuple[Provenance, ...]
    energy_export: str = ""
    export_optional: bool = False
    power: tuple[str, ...] = ()
    clock: str = "0-0:1.0.0.255"
    transports: tuple[Literal["serial", "tcp", "push"], ...] = ("serial",)
    association: AssociationDefaults = AssociationDefaults()
    link: LinkDefaults = LinkDefaults()
    load_profile: LoadProfile | None = None
    push: PushTemplate | None = None
    quirks: Quirks = Quirks()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _MAKER.fullmatch(self.maker):
            raise ValueError("expected a maker of capitals and digits, joined by single hyphens")
        codes = (self.energy_import, self.energy_export, self.clock, *self.power)
        for code in filter(None, codes):
            Obis.parse(code)
        if len(self.power) > 2:
            raise ValueError("expected at most two registers of power")
        if not self.provenance:
            raise ValueError("expected at least one provenance")
        if ("push" in self.transports) != (self.push is not None):
            raise ValueError("expected a push template where the transports have push")

    @property
    def push_protection(self) -> Protection:
        """How the model's own messages mostly are protected."""
        told = self.push.protection if self.push else None
        return told or self.association.protection

    def is_needed(self, code: str) -> bool:
        """Return whether there is no reading without this register."""
        if code == self.energy_export:
            return not self.export_optional
        return code == self.energy_import


@cache
def dlms_names() -> tuple[str, ...]:
    """Return the DLMS models that this package knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_dlms(name: str) -> DlmsProfile:
    """Return the profile of a model in `dlms_names()`. Raises ConfigError if its file is wrong."""
    return load_toml(_FOLDER / f"{name}.toml", DlmsProfile)
