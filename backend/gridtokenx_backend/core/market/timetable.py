"""When an interval is cleared.

Ex post, an interval is cleared when it is over and late readings have had their time of grace. Ex
ante, it is cleared before it begins. Intervals are cleared one after the other and none is left
out: after an outage all that were missed are cleared. A clearing waits for no meter: what a silent
meter has counted is settled when its readings come.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.model.zones import INTERVAL_MS, interval_of

ClearingMode = Literal["ex_post", "ex_ante"]


class IntervalRules(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The terms of the section `[interval]`: whether and when intervals are cleared."""

    enabled: bool = False
    mode: ClearingMode = "ex_post"
    gate_ms: int = 0
    grace_ms: int = 0
    coupling: bool = True


def due_ms(rules: IntervalRules, interval_ms: int) -> int:
    """Return the time from which the interval that starts at `interval_ms` may be cleared."""
    if rules.mode == "ex_ante":
        return interval_ms - rules.gate_ms
    return interval_ms + INTERVAL_MS + rules.grace_ms


def first_to_clear(rules: IntervalRules, at_ms: int) -> int:
    """Return the start of the first interval to clear, if clearing begins at `at_ms`.

    Ex post it is the interval that is running, ex ante the first whose gate is still open.
    """
    first_ms = interval_of(at_ms)
    while rules.mode == "ex_ante" and due_ms(rules, first_ms) < at_ms:
        first_ms += INTERVAL_MS
    return first_ms
