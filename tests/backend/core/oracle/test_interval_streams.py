"""Any stream of readings, against a sorted list of them and fractions."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.metered import T0, Metered

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality
from gridtokenx_backend.core.oracle import intervals
from gridtokenx_backend.core.state.community import restore

Row = tuple[int, int, int, int]
"""Start, import, export, quality."""


def naive(readings: Sequence[tuple[int, int, int]], tolerance_ms: int) -> dict[int, Row]:
    """Interval → (start, import, export, quality) from the readings in order of time."""
    points = sorted(readings)
    times = [point[0] for point in points]

    def at_bound(bound: int) -> tuple[int, int, bool]:
        after = bisect.bisect_left(times, bound)
        if after == 0:  # before the first one: as if the registers had stood still
            return points[0][1], points[0][2], times[0] - bound <= tolerance_ms
        (t0, i0, e0), (t1, i1, e1) = points[after - 1], points[after]
        share = Fraction(bound - t0, t1 - t0)
        is_measured = min(bound - t0, t1 - bound) <= tolerance_ms
        return i0 + int((i1 - i0) * share), e0 + int((e1 - e0) * share), is_measured

    rows = {}
    start = times[0] - times[0] % INTERVAL_MS
    while start + INTERVAL_MS <= times[-1]:
        i0, e0, near0 = at_bound(start)
        i1, e1, near1 = at_bound(start + INTERVAL_MS)
        quality = Quality.MEASURED if near0 and near1 else Quality.INTERPOLATED
        rows[start] = (start, i1 - i0, e1 - e0, int(quality))
        start += INTERVAL_MS
    return rows


def as_rows(found: dict[int, IntervalEnergy]) -> dict[int, Row]:
    return {
        start: (row.interval_ms, row.import_uwh, row.export_uwh, row.quality)
        for start, row in found.items()
    }


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[int, int, int]], list[list[int]]]:
    """Readings in order of time, and frames of their indexes in some order of arrival."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 10, 59, 60, 61, 300, 899, 900, 901, 3600, 10_000]),
                st.integers(0, 1000),
                st.integers(0, 1000),
            ),
            min_size=2,
            max_size=30,
        )
    )
    at_ms, imported, exported = T0 + draw(st.integers(0, 1800)) * 1000, 10, 20
    readings = []
    for seconds, more_import, more_export in steps:
        at_ms, imported, exported = (
            at_ms + seconds * 1000,
            imported + more_import,
            exported + more_export,
        )
        readings.append((at_ms, imported, exported))
    late = draw(st.sets(st.integers(1, len(readings) - 2))) if len(readings) > 3 else set()
    order = [index for index in range(len(readings)) if index not in late]
    for index in draw(st.permutations(sorted(late))):
        # Anywhere behind a newer reading, or in its place.
        order.insert(draw(st.integers(order.index(0) + 1, len(order))), index)
    frames: list[list[int]] = [[]]
    for index in order:
        if draw(st.booleans()):
            frames.append([])
        frames[-1].append(index)
    return readings, [frame for frame in frames if frame]


@settings(max_examples=300, deadline=None)
@given(streams())
def test_any_order_of_arrival_gives_what_the_sorted_readings_give(
    stream: tuple[list[tuple[int, int, int]], list[list[int]]],
) -> None:
    readings, frames = stream
    metered = Metered()
    taken: list[tuple[int, int, int]] = []
    for frame in frames:
        verdicts = metered.read(*(readings[index] for index in frame))
        assert set(verdicts) <= {"accepted", "not_after_last"}
        taken += [
            readings[index]
            for index, verdict in zip(frame, verdicts, strict=True)
            if verdict == "accepted"
        ]
        assert as_rows(metered.rows) == naive(taken, 60_000)
        # A restart in between changes nothing.
        metered.village.community = restore(metered.village.community.snapshot())
    opened = intervals.still_open(metered.state)
    assert opened is not None
    for column, energies in ((1, "import_uwh"), (2, "export_uwh")):
        counted = sum(getattr(row, energies) for row in [*metered.rows.values(), opened])
        assert counted == max(taken)[column] - min(taken)[column]
