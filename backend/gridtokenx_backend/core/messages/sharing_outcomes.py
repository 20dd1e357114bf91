"""What comes of sharing: an interval's allocation, and a file of the grid operator's.

An allocation is journaled whole each time: the newest revision holds.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.sharing_keys import Mode


class ProducerAllocation(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """A producing meter: `offered == given + held + surplus`. Nothing offered is None: missing.

    `earned_ugrx` is its part of what the consumers of the interval owe, `earned_ugrx` of all
    producers together being exactly that.
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
    """A consuming meter; None is missing, never zero. `cost_ugrx` is at the interval's price."""

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

    `revision` counts from 0; a later one corrects what the journal's entry `corrects` says.
    `uncovered_uwh` is what a grid operator allocated beyond what known producers offered.
    `waiting_uwh` is allocated, but not minted yet: the ledger moves it at a later clearing.
    Meters that are known to have neither given nor taken anything are left out.
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
    """By wallet, what of its cost (or, below zero, of its earnings) the ledger has settled."""


class GridDataRefusal(Enum):
    """Why a file of the grid operator's was not taken. Checked in this order."""

    MALFORMED = "malformed"
    UNKNOWN_METER = "unknown_meter"
    NOT_YET = "not_yet"
    """It has intervals that are not over."""
    FINAL = "final"
    """It has intervals that nothing changes any more."""


class GridDataRefused(msgspec.Struct, frozen=True, gc=False):
    """A file that changed nothing and is not journaled."""

    reason: GridDataRefusal
    detail: str = ""


class GridDataImported(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="grid_data", gc=False
):
    """`source` is the file's SHA-256 in hex; `values` are energies in [from_ms, to_ms)."""

    source: str
    values: int
    from_ms: int
    to_ms: int
