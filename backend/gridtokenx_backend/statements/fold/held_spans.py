"""When the energy of which meter is held, or void, as the journal's outcomes say it.

It is not to be shared: see `allocation_checks`. How much of the interval in which it begins is held
stands in no outcome; of all that follow it is everything.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.messages.outcomes import FrameHeld, Outcome
from gridtokenx_backend.statements.model.months import INTERVAL_MS


class HeldSpans:
    """The spans of time so far, by meter, of which nothing may be shared."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, int]] = {}
        """From the end of the first doubtful step to the newest reading whose energy is held."""
        self._void: dict[str, list[tuple[int, int]]] = {}

    def take(self, outcome: Outcome) -> None:
        """Take what an outcome holds or decides."""
        if isinstance(outcome, FrameHeld):
            for each in outcome.held:
                from_ms, to_ms = self._held.get(each.meter, (each.to_ms, each.to_ms))
                self._held[each.meter] = (from_ms, max(to_ms, each.to_ms))
        elif isinstance(outcome, HeldDecided):
            span = self._held.pop(outcome.meter, None)
            if span is not None and outcome.decision == "void_all":
                self._void.setdefault(outcome.meter, []).append(span)

    def has_all_of(self, meter: str, interval_ms: int) -> bool:
        """Return whether nothing that a meter exported in an interval may be shared."""
        held = self._held.get(meter)
        if held is not None and held[0] <= interval_ms:
            return True
        end_ms = interval_ms + INTERVAL_MS
        return any(
            from_ms <= interval_ms and end_ms <= to_ms for from_ms, to_ms in self._spans(meter)
        )

    def has_some_of(self, meter: str, interval_ms: int) -> bool:
        """Return whether a part of what a meter exported in an interval may not be shared."""
        held = self._held.get(meter)
        end_ms = interval_ms + INTERVAL_MS
        if held is not None and held[0] < end_ms:
            return True
        return any(
            from_ms < end_ms and interval_ms < to_ms for from_ms, to_ms in self._spans(meter)
        )

    def _spans(self, meter: str) -> list[tuple[int, int]]:
        return self._void.get(meter, [])
