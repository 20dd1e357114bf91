"""Whether the server's clock can be believed: a decision, made of evidence that is handed in.

All times are offsets to the machine's elapsed time (what the monotonic clock shows), so that they
can be compared whenever they were noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

STEP_MS = 5_000
"""A smaller step needs no witness: leap seconds, and what a time service corrects at a start."""
NEAR_MS = 60_000
"""How near a gateway's signed time must be to confirm a time; a reading is on its way for less."""
SEVERAL = 2
"""So many gateways that agree are a witness; one alone may be wrong."""
START_GAP_MS = 10 * 60_000
"""After a longer outage, somebody has to confirm the time at a start."""
BEHIND_MS = 60_000
"""The clock may be so much behind the journal's newest entry; the community's time stands then."""


class ClockFault(StrEnum):
    """Why nobody knows whether the clock is right. The first that applies is told."""

    STEPPED = "stepped"
    """It was set to another time, and nobody confirms that time."""
    BEHIND_JOURNAL = "behind_journal"
    """It is behind the newest entry: it is wrong now, or it was wrong then."""
    UNCONFIRMED_START = "unconfirmed_start"
    """The server was down for long, and nobody confirms the time of its start."""
    GATEWAYS_AHEAD = "gateways_ahead"
    """Most gateways sign later times, and no time service vouches for the server's."""


class ClockEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the time.

    `offset_ms` is that of the clock now, `trusted_ms` that of the clock when it was believed last
    (None at a start), `newest_ms` that of the journal's newest entry (None without one).
    `gateways` are those of gateways' signed times. `is_synchronised` is what the kernel says;
    `is_confirmed` whether the operator has confirmed the clock as it was believed last.
    """

    offset_ms: int
    trusted_ms: int | None
    newest_ms: int | None
    gateways: Sequence[int]
    is_synchronised: bool
    is_confirmed: bool


def judge_clock(evidence: ClockEvidence) -> ClockFault | None:
    """Return why the clock cannot be believed, or None if it can."""
    trusted_ms, newest_ms = evidence.trusted_ms, evidence.newest_ms
    is_step = trusted_ms is not None and abs(evidence.offset_ms - trusted_ms) > STEP_MS
    if trusted_ms is not None and is_step and not _is_step_confirmed(evidence, trusted_ms):
        return ClockFault.STEPPED
    if newest_ms is not None and newest_ms - evidence.offset_ms > BEHIND_MS:
        return ClockFault.BEHIND_JOURNAL
    if trusted_ms is None and newest_ms is not None:
        is_long = evidence.offset_ms - newest_ms > START_GAP_MS
        if is_long and not (evidence.is_synchronised or gateways_confirm(evidence)):
            return ClockFault.UNCONFIRMED_START
    if not (evidence.is_synchronised or evidence.is_confirmed) and _are_most_ahead(evidence):
        return ClockFault.GATEWAYS_AHEAD
    return None


def gateways_confirm(evidence: ClockEvidence) -> bool:
    """Return whether several gateways sign the time that the clock shows."""
    return _count_near(evidence, evidence.offset_ms) >= SEVERAL


def _is_step_confirmed(evidence: ClockEvidence, trusted_ms: int) -> bool:
    """Return whether the time after a step has better witnesses than the time without it."""
    after = before = 0
    for each_ms in evidence.gateways:
        to_after_ms, to_before_ms = abs(each_ms - evidence.offset_ms), abs(each_ms - trusted_ms)
        after += to_after_ms <= min(NEAR_MS, to_before_ms - 1)
        before += to_before_ms <= min(NEAR_MS, to_after_ms - 1)
    if before >= SEVERAL and before >= after:
        return False
    return evidence.is_synchronised or after >= SEVERAL


def _count_near(evidence: ClockEvidence, offset_ms: int) -> int:
    return sum(abs(each_ms - offset_ms) <= NEAR_MS for each_ms in evidence.gateways)


def _are_most_ahead(evidence: ClockEvidence) -> bool:
    ahead = sum(each_ms - evidence.offset_ms > NEAR_MS for each_ms in evidence.gateways)
    return ahead >= SEVERAL and 2 * ahead > len(evidence.gateways)
