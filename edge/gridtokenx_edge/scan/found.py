"""What a scan found."""

from __future__ import annotations

import msgspec

from gridtokenx_edge.scan.identify import Identified
from gridtokenx_edge.scan.settings import LineSettings
from gridtokenx_edge.scan.target import Target


class FoundMeter(msgspec.Struct, frozen=True):
    """Someone who answers at an address. `settings` is None on TCP."""

    settings: LineSettings | None
    address: int
    who: Identified
    round_trip_ms: int
    note: str = ""

    @property
    def serial(self) -> str:
        if self.who.sunspec:
            return self.who.sunspec.serial
        return self.who.verdict.best[0].serial if self.who.verdict.best else ""


class Garbled(msgspec.Struct, frozen=True):
    """Bytes at an address that make no reply; `heard` are some of them, in hex."""

    settings: LineSettings | None
    address: int
    heard: str


class Report(msgspec.Struct):
    """Grows while a scan runs, so that a stopped one has something to show."""

    target: Target
    meters: list[FoundMeter] = []
    garbled: list[Garbled] = []
    notices: list[str] = []
    requests: int = 0
    complete: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether there are meters, and each of them has a profile that reads it."""
        verdicts = [meter.who.verdict for meter in self.meters]
        named = [verdict for verdict in verdicts if verdict.best and verdict.reads_alike]
        return bool(named) and len(named) == len(verdicts) and not self.settled_garbled()

    def settled_garbled(self) -> list[Garbled]:
        """Without what a wrong baud rate explains: the noise at settings at which nobody spoke,
        where somebody did at others."""
        spoken = {meter.settings for meter in self.meters}
        return [of for of in self.garbled if not spoken or of.settings in spoken]
