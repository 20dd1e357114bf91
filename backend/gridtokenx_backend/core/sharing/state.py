"""What the core remembers of sharing: keys for good, intervals until nothing can change them."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.sharing.keys import Key, Participation
from gridtokenx_backend.core.sharing.price import CommunityPrice


class SharingRules(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The terms in force. `mode` is market, or how the keys share that do not say it."""

    mode: str = "market"
    price: CommunityPrice = CommunityPrice()
    settle: str = "statement"

    @property
    def is_sharing(self) -> bool:
        return self.mode != "market"


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An interval's energy of one meter. `quality` is a Quality's number."""

    import_uwh: int
    export_uwh: int
    quality: int


class Operators(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the grid operator says of one meter and interval; None where it says nothing."""

    received_uwh: int | None = None
    consumed_uwh: int | None = None
    generated_uwh: int | None = None
    quality: int = 0


class Slot(msgspec.Struct, array_like=True, gc=False):
    """One interval as it was allocated last, by the journal's entry `entry` (0: not yet).

    `readings` and `operators` are by meter. `gave` and `took` are by wallet: what the ledger has
    moved for it so far. `price_ugrx` stays as it was first set: a correction moves energy, not the
    price.
    """

    entry: int = 0
    revision: int = -1
    price_ugrx: int = 0
    readings: dict[str, Reading] = {}
    operators: dict[str, Operators] = {}
    gave: dict[str, int] = {}
    took: dict[str, int] = {}
    paid: dict[str, int] = {}


class SharingState(msgspec.Struct, array_like=True, gc=False):
    """`slots` are encoded, by the interval's start: there are as many as finality takes quarters
    of an hour. `waiting` are those of which the ledger still has to move something, `changed` those
    with new readings since they were allocated. `sources` are imported files: SHA-256 → entry.
    """

    keys: list[Key] = []
    participation: list[Participation] = []
    slots: dict[int, bytes] = {}
    waiting: dict[int, None] = {}
    changed: dict[int, None] = {}
    sources: dict[str, int] = {}

    def slot(self, interval_ms: int) -> Slot:
        """What is known of an interval; an empty one if nothing is."""
        stored = self.slots.get(interval_ms)
        return _decoder.decode(stored) if stored else Slot()

    def keep(self, interval_ms: int, slot: Slot) -> None:
        self.slots[interval_ms] = _encoder.encode(slot)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Slot)
