"""The outcomes that hold energy, and those of the operator's decision on it."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.held_energy import HoldReason
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.ledger import Movement

HeldDecision = Literal["release", "void", "void_all"]
"""`release`: all of it is real. `void`: the doubtful steps are not, what was counted later is.
`void_all`: none of it is."""


class HeldSurplus(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """Surplus of a meter that was held in place of being minted to `owner`.

    `reason` is why a step is doubtful. It is empty for energy that came after such a step at the
    meter's usual pace. `entry` is the journal's entry since which the meter's energy is held.
    """

    meter: str
    owner: str
    entry: int
    reason: HoldReason | Literal[""]
    from_ms: int
    to_ms: int
    surplus_uwh: int


class HeldDecided(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="held_decided", gc=False
):
    """The operator's decision on the energy of a meter that was held since the entry `entry`.

    `minted_uwh` was minted, by owner, and `voided_uwh` was not. `rows` are the intervals of a
    community that shares which have other energy now: with released steps, or without what is void.
    """

    meter: str
    entry: int
    decision: HeldDecision
    reason: str
    minted_uwh: dict[str, int]
    voided_uwh: dict[str, int]
    movements: list[Movement]
    rows: list[IntervalEnergy] = []
