"""What late readings cost: a frame that splits one span into a thousand is no burden."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from tests.backend.village import HOUR_MS, START_MS, Village, frame_input, reading

from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.model.interval_energy import EstimatedSpan, MeterPast

FROM_MS, TO_MS = START_MS - 144 * HOUR_MS, START_MS - 1000


def seconds_for(late: int) -> float:
    """The processor's time for a frame of so many late readings within one span, at best."""
    best = 60.0
    for _ in range(3):
        village = Village()
        village.send(village.north, reading("ABB-1", FROM_MS), reading("ABB-1", TO_MS))
        step_ms = (TO_MS - FROM_MS) // (late + 1)
        times = [FROM_MS + (n + 1) * step_ms for n in range(late)]
        message = village.north.next([reading("ABB-1", time_ms) for time_ms in times])
        input_ = frame_input(message)
        began = time.process_time()
        outcome = village.apply(input_)
        best = min(best, time.process_time() - began)
        assert isinstance(outcome, FrameAccepted)
        assert not outcome.verdicts
    return best


def test_each_late_reading_costs_the_same_however_many_came_before() -> None:
    """Ten times the readings cost about ten times as much; it was eighty times."""
    assert seconds_for(1000) < 30 * seconds_for(100)


@given(
    ends=st.lists(st.integers(0, 400), min_size=2, max_size=12, unique=True),
    time_ms=st.integers(0, 400),
)
def test_a_span_is_found_as_if_each_was_looked_at(ends: list[int], time_ms: int) -> None:
    ends.sort()
    spans = [
        EstimatedSpan(
            from_ms=start,
            from_import_uwh=0,
            from_export_uwh=0,
            to_ms=end,
            to_import_uwh=start,
            to_export_uwh=end,
            base_import_uwh=0,
            base_export_uwh=0,
        )
        for start, end in zip(ends[::2], ends[1::2], strict=False)
    ]
    past = MeterPast(estimated_spans=spans)
    within = [n for n, span in enumerate(spans) if span.from_ms < time_ms < span.to_ms]
    assert past.span_around(time_ms) == (within[0] if within else -1)
    holding = [span for span in spans if span.from_ms < time_ms <= span.to_ms]
    assert past.at(time_ms, 0) == (holding[0].at(time_ms, 0) if holding else None)
