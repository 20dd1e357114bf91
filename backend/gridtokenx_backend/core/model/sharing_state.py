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
    """`slots` are encoded, by the interval's start: there is one for each quarter of an hour that
    is not final. `fresh` and `said` are what gateways and grid operator brought since the last
    clearing. `waiting` are the intervals of which the ledger still has to move something.
    `sources` are the files that were imported: SHA-256 → the journal's entry.
    """

    keys: list[SharingKey] = []
    participation: list[Participation] = []
    slots: dict[int, bytes] = {}
    fresh: dict[int, dict[str, IntervalEnergy]] = {}
    said: dict[int, dict[str, GridOperatorEnergy]] = {}
    waiting: dict[int, None] = {}
    sources: dict[str, int] = {}

    def note(self, meter: str, rows: Iterable[IntervalEnergy]) -> None:
        """Remember intervals that were closed or revised, for the next clearing."""
        for row in rows:
            self.fresh.setdefault(row.interval_ms, {})[meter] = row

    def slot(self, interval_ms: int) -> SharedInterval:
        """Return an interval with all that has come of it since it was allocated last."""
        stored = self.slots.get(interval_ms)
        slot = _decoder.decode(stored) if stored else SharedInterval()
        slot.readings.update(self.fresh.pop(interval_ms, {}))
        for meter, newer in self.said.pop(interval_ms, {}).items():
            said = slot.operators.get(meter)
            slot.operators[meter] = said.joined(newer) if said else newer
        return slot

    def keep(self, interval_ms: int, slot: SharedInterval) -> None:
        self.slots[interval_ms] = _encoder.encode(slot)

    def forget(self, before_ms: int) -> None:
        """Forget the intervals before `before_ms`, which nothing can change any more."""
        for kept in (self.slots, self.fresh, self.said, self.waiting):
            for interval_ms in [start for start in kept if start < before_ms]:
                del kept[interval_ms]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SharedInterval)
