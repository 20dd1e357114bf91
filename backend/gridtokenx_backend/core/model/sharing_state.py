"""The state of sharing: all keys, and the intervals that something can still change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.core.model.sharing_keys import Mode, Participation, SharingKey
from gridtokenx_backend.core.model.sharing_price import CommunityPrice


class SharingRules(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The active terms of sharing.

    `mode` is market if nothing is shared; else it is the mode of the keys that name none.
    """

    mode: Literal["market"] | Mode = "market"
    price: CommunityPrice = CommunityPrice()
    settle: Literal["statement", "grx"] = "statement"

    @property
    def is_sharing(self) -> bool:
        return self.mode != "market"


class GridOperatorEnergy(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """The energy that the grid operator reported for one meter in one interval.

    A value that it did not report is None. Each energy is only the part that takes part in sharing.
    `quality` is a Quality's number.
    """

    received_uwh: int | None = None
    consumed_uwh: int | None = None
    generated_uwh: int | None = None
    quality: int = Quality.MEASURED

    def joined(self, newer: GridOperatorEnergy) -> GridOperatorEnergy:
        """Return both reports as one; where both have a value, the newer one counts."""
        return GridOperatorEnergy(
            received_uwh=self.received_uwh if newer.received_uwh is None else newer.received_uwh,
            consumed_uwh=self.consumed_uwh if newer.consumed_uwh is None else newer.consumed_uwh,
            generated_uwh=self.generated_uwh
            if newer.generated_uwh is None
            else newer.generated_uwh,
            quality=min(self.quality, newer.quality),
        )


class SharedInterval(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """An interval with the energy that is known of it, and with what the ledger moved for it.

    `entry` is the journal's entry that allocated it last; it is 0 before the first allocation.
    `readings` and `operators` are by meter: what gateways and the grid operator reported. `gave`
    and `took` (µWh) and `paid` (µGRX, below zero for those who earned) are by wallet: what the
    ledger has moved so far. `price_ugrx` never changes: a correction moves energy, not the price.
    """

    entry: int = 0
    revision: int = -1
    price_ugrx: int = 0
    readings: dict[str, IntervalEnergy] = {}
    operators: dict[str, GridOperatorEnergy] = {}
    gave: dict[str, int] = {}
    took: dict[str, int] = {}
    paid: dict[str, int] = {}


class SharingState(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """The state of sharing.

    `stored_intervals` are encoded, by the interval's start: there is one for each quarter of an
    hour that is not final. `new_readings` and `new_reports` are what gateways and the grid operator
    reported since the last clearing, by the interval's start and the meter. `waiting` has the
    intervals for which the ledger still has to move something. `sources` has the SHA-256 of each
    file that was imported, with the journal's entry that did it. Intervals before `final_ms` were
    final when the community's time was set back, and stay so.
    """

    keys: list[SharingKey] = []
    participation: list[Participation] = []
    stored_intervals: dict[int, bytes] = {}
    new_readings: dict[int, dict[str, IntervalEnergy]] = {}
    new_reports: dict[int, dict[str, GridOperatorEnergy]] = {}
    waiting: dict[int, None] = {}
    sources: dict[str, int] = {}
    final_ms: int = 0

    def note(self, meter: str, rows: Iterable[IntervalEnergy]) -> None:
        """Remember intervals that were closed or revised, for the next clearing."""
        for row in rows:
            self.new_readings.setdefault(row.interval_ms, {})[meter] = row

    def readings_of(self, meter: str, from_ms: int) -> dict[int, IntervalEnergy]:
        """Return what is known of a meter's intervals from `from_ms` on, by their start.

        Intervals that are final are forgotten.
        """
        found = {}
        for interval_ms in sorted({*self.stored_intervals, *self.new_readings}):
            if interval_ms >= from_ms:
                row = self.known_of(interval_ms).readings.get(meter)
                if row is not None:
                    found[interval_ms] = row
        return found

    def take(self, interval_ms: int) -> SharedInterval:
        """Return an interval together with what was reported of it since it was allocated last.

        These reports are no longer new then: the caller must store the interval.
        """
        interval = self.known_of(interval_ms)
        self.new_readings.pop(interval_ms, None)
        self.new_reports.pop(interval_ms, None)
        return interval

    def known_of(self, interval_ms: int) -> SharedInterval:
        """Return an interval with all that was reported of it so far, and change nothing."""
        stored = self.stored_intervals.get(interval_ms)
        interval = _decoder.decode(stored) if stored else SharedInterval()
        interval.readings.update(self.new_readings.get(interval_ms, {}))
        for meter, newer in self.new_reports.get(interval_ms, {}).items():
            known = interval.operators.get(meter)
            interval.operators[meter] = known.joined(newer) if known else newer
        return interval

    def store(self, interval_ms: int, interval: SharedInterval) -> None:
        """Store an interval until it is final."""
        self.stored_intervals[interval_ms] = _encoder.encode(interval)

    def forget(self, before_ms: int) -> None:
        """Forget the intervals before `before_ms`, which nothing can change any more."""
        for kept in (self.stored_intervals, self.new_readings, self.new_reports, self.waiting):
            for interval_ms in [start for start in kept if start < before_ms]:
                del kept[interval_ms]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SharedInterval)
