"""Which profiles a meter may be, and how sure that is. This module is pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from gridtokenx_edge.commissioning.scan.plausibility import ProfileClue, Values, Weight, score
from gridtokenx_edge.meters.profile import Profile

# Below this, a meter of nothing but zeros could be anything.
_LEAST_SCORE = 3
_TRUST = ("confirmed", "single", "contested")
Sureness = Literal["identified", "likely", "alike", "ambiguous", "unknown"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A profile that a meter was read with, and what speaks for and against it."""

    name: str
    profile: Profile
    serial: str
    findings: tuple[ProfileClue, ...]
    values: Values = {}

    @property
    def score(self) -> int:
        return score(list(self.findings))

    @property
    def is_possible(self) -> bool:
        ruled_out = any(finding.rules_out for finding in self.findings)
        return not ruled_out and self.score >= _LEAST_SCORE

    @property
    def says_its_type(self) -> bool:
        return any(finding.weight == Weight.TYPE_CODE for finding in self.findings)


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The best candidates, more than one if several fit equally, and the weaker ones."""

    sureness: Sureness
    best: tuple[Candidate, ...] = ()
    weaker: tuple[Candidate, ...] = ()

    @property
    def reads_alike(self) -> bool:
        """Whether all of the best take a reading from the same registers in the same way."""
        return len({msgspec.json.encode(of.profile.points()) for of in self.best}) <= 1


def rank(candidates: Sequence[Candidate]) -> Ranking:
    """Return the ranking. Equal scores are not decided by order."""
    possible = sorted(
        (candidate for candidate in candidates if candidate.is_possible),
        key=lambda of: (-of.score, _TRUST.index(of.profile.confidence), of.name),
    )
    if not possible:
        return Ranking(sureness="unknown")
    best = tuple(of for of in possible if of.score == possible[0].score)
    weaker = tuple(possible[len(best) :])
    return Ranking(sureness=_sureness(best), best=best, weaker=weaker)


def _sureness(best: Sequence[Candidate]) -> Sureness:
    if len(best) > 1:
        return "alike" if Ranking(sureness="alike", best=tuple(best)).reads_alike else "ambiguous"
    return "identified" if best[0].says_its_type else "likely"
