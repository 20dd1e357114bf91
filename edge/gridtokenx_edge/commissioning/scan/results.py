"""What a scan found."""

from __future__ import annotations

import msgspec

from gridtokenx_edge.commissioning.scan.dlms_scan import FoundDlms
from gridtokenx_edge.commissioning.scan.identification import IdentifiedMeter
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.target import Target
from gridtokenx_edge.meters.identity import meter_id


class FoundMeter(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that answers at an address. `settings` is None on TCP."""

    settings: LineSettings | None
    address: int
    who: IdentifiedMeter
    round_trip_ms: int
    note: str = ""

    @property
    def serial(self) -> str:
        """The serial number as the meter says it, or ""."""
        if self.who.sunspec:
            return self.who.sunspec.nameplate.serial
        return self.who.verdict.best[0].serial if self.who.verdict.best else ""

    @property
    def maker(self) -> str:
        """The maker as in ids, or "" if it is not known."""
        if self.who.sunspec:
            return self.who.sunspec.nameplate.maker
        return self.who.verdict.best[0].profile.maker if self.who.verdict.best else ""

    @property
    def id(self) -> str:
        """The meter's id, or "" if it cannot say its serial number."""
        if self.who.sunspec:
            return self.who.sunspec.id
        return meter_id(self.maker, self.serial) if self.serial else ""

    @property
    def profiles(self) -> list[str]:
        """The profile that reads it, several if they fit equally, or none."""
        if sunspec := self.who.sunspec:
            return [sunspec.profile] if sunspec.profile else []
        return [candidate.name for candidate in self.who.verdict.best]

    @property
    def is_clear(self) -> bool:
        """Whether there is a profile, or several that read alike."""
        return bool(self.profiles) and self.who.verdict.reads_alike


class Garbled(msgspec.Struct, frozen=True):
    """Bytes at an address that make no reply. `heard` are some of them, in hex."""

    settings: LineSettings | None
    address: int
    heard: str


class ScanReport(msgspec.Struct, kw_only=True):
    """What is found so far.

    It grows while a scan runs, so that a stopped scan can show something.
    """

    target: Target
    meters: list[FoundMeter] = []
    dlms: list[FoundDlms] = []
    garbled: list[Garbled] = []
    sender: str = ""
    """What sends by itself on the line, where that explains why nobody answers."""
    notices: list[str] = []
    requests: int = 0
    complete: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether there are meters, and each of them has a profile that reads it."""
        are_clear = all(meter.is_clear for meter in self.meters) and bool(self.meters or self.dlms)
        return are_clear and not self.settled_garbled()

    def settled_garbled(self) -> list[Garbled]:
        """Return the garbled bytes that a wrong baud rate does not explain.

        It explains noise at settings at which nobody answered, if somebody did at others.
        """
        if self.sender:
            return []
        spoken = {meter.settings for meter in self.meters}
        return [of for of in self.garbled if not spoken or of.settings in spoken]
