"""Compares counters with power: the direction, scale and word order are right, or what is wrong.

A mistake is found by bounds that are not kept. It is named by undoing it: under another
interpretation of the same raw registers, counter and power agree.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import msgspec

from gridtokenx_edge.commissioning.check.evidence import Evidence, Mistake
from gridtokenx_edge.commissioning.check.movement import (
    Bounds,
    Movement,
    MovementOutcome,
    bounds,
    judge,
)
from gridtokenx_edge.commissioning.check.register_series import Series


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake, and the series as it would be without it.

    The energy is to be multiplied with `factor`. If `is_sure`, counter and power agree then.
    Otherwise they only do not contradict each other.
    """

    mistake: Mistake
    series: Series
    factor: Fraction
    is_sure: bool


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """Import and export beside the power. `outcome` is the worse of both."""

    outcome: MovementOutcome
    imported: Movement | None
    exported: Movement | None
    is_per_phase: bool = False
    """Both registers count at once and their difference fits: each phase is counted for itself."""

    @property
    def is_contradiction(self) -> bool:
        return self.outcome in {
            MovementOutcome.TOO_HIGH,
            MovementOutcome.TOO_LOW,
            MovementOutcome.FELL,
        }

    @property
    def worse(self) -> tuple[Literal["import", "export"], Movement]:
        """The register that the outcome is about."""
        if self.exported and self.exported.outcome is self.outcome:
            return "export", self.exported
        assert self.imported
        return "import", self.imported


def compare(series: Series) -> Consistency:
    """Compare each register with the power of its direction."""
    if not series.power_w or not (series.import_uwh or series.export_uwh):
        return Consistency(outcome=MovementOutcome.UNKNOWN, imported=None, exported=None)
    imported = exported = None
    if series.import_uwh:
        drawn_w = [max(0, power) for power in series.power_w]
        imported = judge(series.times_ms, series.import_uwh, drawn_w, series.steps_uwh[0])
    if series.export_uwh:
        fed_in_w = [max(0, -power) for power in series.power_w]
        exported = judge(series.times_ms, series.export_uwh, fed_in_w, series.steps_uwh[1])
    outcomes = {movement.outcome for movement in (imported, exported) if movement}
    order = (
        MovementOutcome.FELL,
        MovementOutcome.TOO_HIGH,
        MovementOutcome.TOO_LOW,
        MovementOutcome.AGREES,
        MovementOutcome.UNKNOWN,
    )
    outcome = next(each for each in order if each in outcomes)
    found = Consistency(outcome=outcome, imported=imported, exported=exported)
    if found.is_contradiction and _fits_per_phase(series):
        return Consistency(
            outcome=MovementOutcome.AGREES, imported=imported, exported=exported, is_per_phase=True
        )
    return found


def _fits_per_phase(series: Series) -> bool:
    if not series.import_uwh or not series.export_uwh:
        return False
    imported = series.import_uwh[-1] - series.import_uwh[0]
    exported = series.export_uwh[-1] - series.export_uwh[0]
    drawn = bounds(series.times_ms, [max(0, power) for power in series.power_w])
    fed_in = bounds(series.times_ms, [max(0, -power) for power in series.power_w])
    net = Bounds(
        least_uwh=drawn.least_uwh - fed_in.most_uwh, most_uwh=drawn.most_uwh - fed_in.least_uwh
    )
    doubt = 2 * max(series.steps_uwh) + max(abs(net.least_uwh), abs(net.most_uwh)) // 8
    is_sharp = 2 * doubt < min(imported, exported)
    return is_sharp and net.least_uwh - doubt <= imported - exported <= net.most_uwh + doubt


def explain(evidence: Evidence) -> Explanation | None:
    """Return the likely mistake behind a contradiction.

    It is one that is sure, or else the only one that fits.
    """
    possible: list[Explanation] = []
    for mistake, factor, series in evidence.undone():
        if not any(series.power_w) or series.is_absurd:
            continue
        found = compare(series)
        if found.is_contradiction or found.is_per_phase:
            continue
        is_sure = found.outcome is MovementOutcome.AGREES
        explanation = Explanation(mistake=mistake, series=series, factor=factor, is_sure=is_sure)
        if is_sure:
            return explanation
        if mistake is not Mistake.SCALE:  # one of several scales tells no more than none
            possible.append(explanation)
    return possible[0] if len(possible) == 1 else None
