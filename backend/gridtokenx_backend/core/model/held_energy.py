"""What the core keeps of a meter whose energy is bounded, doubted or held.

Registers are cumulative, so a reading that is refused does not refuse its energy: the next one
brings it. Energy that may never have been measured is therefore held: it waits, as a transfer that
is pending, until the operator says what it is.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS

HoldReason = Literal["jump", "rollback", "first_reading"]
"""Why the energy of a step is doubtful.

`jump` and `rollback`: refused readings went on from where they were. `first_reading`: the meter's
first reading was zero, or a first stretch brought more than the terms allow.
"""


class SuspectRegisters(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A line along which refused readings of a meter go, and what was refused as a jump.

    The line has its first and its newest reading, in the meter's own registers. `refused` is the
    least movement of each register since the last accepted reading that was refused as a jump, -1
    if none was: no reading that moved as far is accepted because time has passed.
    """

    first_ms: int
    first_import_uwh: int
    first_export_uwh: int
    last_ms: int
    last_import_uwh: int
    last_export_uwh: int
    refused_import_uwh: int = -1
    refused_export_uwh: int = -1


class HeldStep(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """A step of a meter's registers that is doubtful, and the surplus that it would mint.

    It lies between the readings at `from_ms` and `to_ms`. `owner` is the wallet of the meter's
    owner then. `import_uwh` and `export_uwh` are what its registers moved, 0 if one has fallen.
    What the meter exports after it belongs to the interval `interval_ms`, which has exported
    `free_uwh` before, and to those that follow.
    """

    reason: HoldReason
    from_ms: int
    to_ms: int
    owner: str
    surplus_uwh: int
    import_uwh: int = 0
    export_uwh: int = 0
    interval_ms: int = 0
    free_uwh: int = 0

    @property
    def first_interval_ms(self) -> int:
        """The start of the first interval that the step has a part in."""
        return self.from_ms - self.from_ms % INTERVAL_MS


class HeldEnergy(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The energy of one meter that is held, since the journal's entry `entry`.

    `later_uwh` is the surplus by owner that the meter has counted at its usual pace since.
    """

    entry: int
    steps: list[HeldStep] = []
    later_uwh: dict[str, int] = {}

    @property
    def total_uwh(self) -> int:
        """All that would be minted if it were released."""
        return sum(step.surplus_uwh for step in self.steps) + sum(self.later_uwh.values())

    def of(self, owner: str) -> int:
        """Return what of it would be minted to one wallet."""
        steps = sum(step.surplus_uwh for step in self.steps if step.owner == owner)
        return steps + self.later_uwh.get(owner, 0)

    def concerns(self, interval_ms: int) -> bool:
        """Return whether an interval is not known for certain until the operator has decided."""
        return interval_ms >= self.steps[0].first_interval_ms

    def unheld_uwh(self, interval_ms: int, export_uwh: int) -> int:
        """Return how much of what the meter exported in an interval is not held."""
        first = self.steps[0]
        if interval_ms < first.interval_ms:
            return export_uwh
        return min(export_uwh, first.free_uwh) if interval_ms == first.interval_ms else 0


class MeterGuard(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """What keeps a meter from minting more than its power allows; most meters need none.

    `excess` is how much more each register has moved, over the window for which that is most, than
    the meter's power allows in that time. It never grows beyond one resolution. `baseline_ms` is
    the time of a baseline after which no energy was counted yet, and -1 after that. `released` are
    the newest times, as (from_ms, to_ms), of which held energy was released as a step, or was all
    void: no correction counts it again, or takes back what was never minted.
    """

    excess_import_uwh: int = 0
    excess_export_uwh: int = 0
    baseline_ms: int = -1
    suspect: SuspectRegisters | None = None
    held: HeldEnergy | None = None
    released: tuple[tuple[int, int], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing, so that the meter need not have it."""
        return (
            not (self.excess_import_uwh or self.excess_export_uwh)
            and self.baseline_ms < 0
            and self.suspect is None
            and self.held is None
            and not self.released
        )
