"""How well an energy is known."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Quality(IntEnum):
    """From the best to the worst.

    The Austrian market's L1 is measured, L2 substitute, L3 provisional (ebUtilities,
    MeteringMethod). A missing energy is nobody's zero: it has no value at all.
    """

    MEASURED = 0
    SUBSTITUTE = 1
    PROVISIONAL = 2
    MISSING = 3


def of_slot(qualities: Iterable[Quality]) -> Quality:
    """The quality of what follows from all of them: the worst, and nothing above provisional."""
    return min(Quality.PROVISIONAL, max(qualities, default=Quality.MEASURED))
