"""Who owned a meter when, as the terms said it from time to time.

An owner is an owner of whole intervals: the one in which the terms change is the new owner's, as on
the statements. The first owner that is known is taken for that of all time before, too; whether
that is certain is another question, see `Meter.is_owner_known_at`.
"""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS

FORMER_OWNERS_KEPT = 32
"""Former owners of a meter that are remembered. Who came before them is not known any more."""


class FormerOwner(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A member that owned a meter up to `until_ms`, the bound of an interval.

    `deficit_uwh` is by how much the surplus of a meter of the policy `net` was below its highest
    value when the owner changed.
    """

    wallet: str
    until_ms: int
    deficit_uwh: int = 0


def interval_start_of(at_ms: int) -> int:
    """Return the start of the interval that a time lies in."""
    return at_ms - at_ms % INTERVAL_MS


def with_change(former: tuple[FormerOwner, ...], leaving: FormerOwner) -> tuple[FormerOwner, ...]:
    """Return the former owners after a change. Who owned no whole interval is left out."""
    if former and former[-1].until_ms >= leaving.until_ms:
        return former
    return (*former, leaving)
