"""The outcomes of sharing by a key: an interval's allocation, and a file of the grid operator's.

Every revision of an allocation is journaled whole, and the newest one holds.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.sharing_keys import Mode


class ProducerAllocation(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A producing meter's line: `offered == given + held + surplus`.

    `offered_uwh` is None if it is missing. `earned_ugrx` is the producer's part of what the
    interval's consumers owe; the parts of all producers add up to exactly that.
    """

    meter: str
    wallet: str
    offered_uwh: int | None
    given_uwh: int
    held_uwh: int
    surplus_uwh: int
    earned_ugrx: int
    quality: Quality


class ConsumerAllocation(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A consuming meter's line. None means missing, never zero.

    `share_uwh` is what the key sets aside for it, and `cost_ugrx` what it owes at the interval's
    price.
    """

    meter: str
    wallet: str
    consumed_uwh: int | None
    share_uwh: int | None
    received_uwh: int | None
    held_uwh: int
    cost_ugrx: int
    quality: Quality


class Allocation(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """An interval's allocation under version `key` of the community's key.

    `revision` counts from 0. A later revision corrects the allocation in the journal's entry
    `corrects`. `uncovered_uwh` is what a grid operator allocated beyond what known producers
    offered. `waiting_uwh` is allocated but not minted yet: the ledger moves it at a later clearing.
    Meters that are known to have neither produced nor consumed anything are left out. Energy of a
    producer that is held is not offered, and the producer's quality is then provisional.
    """

    interval_ms: int
    revision: int
    corrects: int
    key: int
    mode: Mode
    quality: Quality
    price_ugrx: int
    producers: list[ProducerAllocation]
    consumers: list[ConsumerAllocation]
    uncovered_uwh: int = 0
    waiting_uwh: int = 0
    paid_ugrx: dict[str, int] = {}
    """What the ledger has settled, by wallet: of its cost, or below zero of its earnings."""


class GridDataRefusal(Enum):
    """Why a file of the grid operator's was refused. Checked in this order."""

    MALFORMED = "malformed"
    UNKNOWN_METER = "unknown_meter"
    NOT_YET = "not_yet"
    """It has intervals that are not over yet."""
    FINAL = "final"
    """It has intervals that are final: nothing changes them any more."""


class GridDataRefused(msgspec.Struct, frozen=True, gc=False):
    """A file that changed nothing and is not journaled."""

    reason: GridDataRefusal
    detail: str = ""


class GridDataImported(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="grid_data", gc=False
):
    """A file that was imported. `source` is its SHA-256 in hex.

    `values` is how many energies it has, of intervals in [from_ms, to_ms).
    """

    source: str
    values: int
    from_ms: int
    to_ms: int
