"""Thinning: one reading of each meter an interval stays, and the rest is accounted for."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_edge.store.thinning import DAY_MS, NEWEST, summarise
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    MAX_READINGS_PER_FRAME,
    ClockStatus,
    Frame,
    build_frame,
    head_after,
    open_frame,
    seal_frame,
)
from gridtokenx_wire.reading import Reading

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NTP = ClockStatus(synchronised=True, stepped=False, source="ntp")
QUARTER_MS = 900_000
T0 = 1_782_000_000_000 // DAY_MS * DAY_MS

Chain = list[tuple[Frame, bytes]]


def chain_of(batches: list[list[Reading]], clocks: list[ClockStatus] | None = None) -> Chain:
    """Signed frames from seq 0 on."""
    made: Chain = []
    prev = GENESIS_PREV
    for seq, batch in enumerate(batches):
        clock = clocks[seq] if clocks else NTP
        frame = build_frame(bytes(16), bytes(8), seq, prev, clock, batch)
        message = seal_frame(frame, KEY)
        prev = head_after(frame, message)
        made.append((frame, message))
    return made


def rounds(count: int, every_ms: int, meters: int = 2, start_ms: int = T0) -> list[list[Reading]]:
    return [
        [
            Reading(
                meter=f"M-{meter}", time_ms=start_ms + at * every_ms, import_uwh=at, export_uwh=at
            )
            for meter in range(meters)
        ]
        for at in range(count)
    ]


def thinned(stored: Chain, every_ms: int) -> Frame:
    """The summary of all of them, as its reader opens it."""
    summary, taken = summarise(stored, every_ms)
    assert taken == len(stored)
    message = seal_frame(summary, KEY)
    assert open_frame(message, KEY.public_key()) == summary
    return summary


def gaps(summary: Frame) -> dict[str, tuple[int, int, int]]:
    assert summary.gap
    rows = zip(*summary.gap.columns, strict=True)
    return {summary.meters[meter]: (count, first, last) for meter, count, first, last in rows}


def test_the_last_reading_of_each_meter_in_each_interval_stays() -> None:
    stored = chain_of(rounds(180, 10_000))  # half an hour
    summary = thinned(stored, QUARTER_MS)
    kept = [
        (reading.meter, reading.time_ms - T0, reading.import_uwh) for reading in summary.readings()
    ]
    assert kept == [
        ("M-0", 890_000, 89),
        ("M-1", 890_000, 89),
        ("M-0", 1_790_000, 179),
        ("M-1", 1_790_000, 179),
    ]
    assert gaps(summary) == dict.fromkeys(("M-0", "M-1"), (178, T0, T0 + 1_780_000))
    assert summary.left_out == 2 * 178


def test_a_summary_stands_where_the_frames_stood() -> None:
    stored = chain_of(rounds(6, 10_000))
    summary = thinned(stored[2:5], QUARTER_MS)
    assert (summary.first_seq, summary.seq) == (2, 4)
    assert summary.prev == stored[2][0].prev
    assert summary.gap
    assert summary.gap.head == stored[5][0].prev


def test_summaries_are_summarised_again_and_nothing_is_counted_twice() -> None:
    stored = chain_of(rounds(2 * 86_400 // 60, 60_000, meters=1))
    quarters = []
    while stored:
        summary, taken = summarise(stored, QUARTER_MS)
        quarters.append((summary, seal_frame(summary, KEY)))
        stored = stored[taken:]
    days = thinned(quarters, DAY_MS)
    assert [reading.time_ms - T0 for reading in days.readings()] == [
        86_340_000,
        2 * DAY_MS - 60_000,
    ]
    assert gaps(days) == {"M-0": (2878, T0, T0 + 2 * DAY_MS - 120_000)}
    newest = thinned([(days, seal_frame(days, KEY))], NEWEST)
    assert [reading.import_uwh for reading in newest.readings()] == [2879]
    assert newest.left_out == 2879
    assert gaps(newest) == {"M-0": (2879, T0, T0 + 2 * DAY_MS - 120_000)}


def test_frames_with_nothing_to_leave_out_are_joined() -> None:
    stored = chain_of(rounds(50, QUARTER_MS))
    summary = thinned(stored, QUARTER_MS)
    assert summary.readings() == [reading for frame, _ in stored for reading in frame.readings()]
    assert gaps(summary) == {}
    assert len(seal_frame(summary, KEY)) < sum(len(message) for _, message in stored) / 3


@pytest.mark.parametrize(
    ("clock", "taken"),
    [
        (NTP, 4),
        (ClockStatus(synchronised=True, stepped=True, source="ntp"), 2),
        (ClockStatus(synchronised=False, stepped=False, source="none"), 2),
        (ClockStatus(synchronised=True, stepped=False, source="scaled"), 2),
    ],
)
def test_readings_from_before_and_after_a_change_of_the_clock_are_not_mixed(
    clock: ClockStatus, taken: int
) -> None:
    later = [clock, msgspec.structs.replace(clock, stepped=False)]
    stored = chain_of(rounds(4, 10_000), [NTP, NTP, *later])
    assert summarise(stored, QUARTER_MS)[1] == taken
    assert summarise(stored[2:], QUARTER_MS)[0].clock == clock


def test_a_summary_holds_no_more_than_a_frame_may() -> None:
    stored = chain_of(rounds(12, QUARTER_MS, meters=100))
    summary, taken = summarise(stored, QUARTER_MS)
    assert (taken, len(summary.time_ms)) == (10, MAX_READINGS_PER_FRAME)
    long = [
        [msgspec.structs.replace(each, meter=f"{each.meter:>064}") for each in batch]
        for batch in rounds(4, QUARTER_MS, meters=500)
    ]
    summary, taken = summarise(chain_of(long), QUARTER_MS)
    assert taken == 1, "a second round would fit in readings but not in bytes"
    seal_frame(summary, KEY)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3 * 86_400)), min_size=1, max_size=8),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([QUARTER_MS, DAY_MS, NEWEST]),
)
def test_every_reading_is_either_kept_or_counted_as_missing(
    batches: list[list[tuple[int, int]]], every_ms: int
) -> None:
    seconds = iter(sorted(second for batch in batches for _, second in batch))
    stored = chain_of(
        [
            [
                Reading(
                    meter=f"M-{meter}",
                    time_ms=T0 + next(seconds) * 1000,
                    import_uwh=0,
                    export_uwh=0,
                )
                for meter, _ in batch
            ]
            for batch in batches
        ]
    )
    given_readings = [reading for frame, _ in stored for reading in frame.readings()]
    summary = thinned(stored, every_ms)
    kept = summary.readings()
    missing = Counter({meter: count for meter, (count, _, _) in gaps(summary).items()})
    assert Counter(each.meter for each in kept) + missing == Counter(
        each.meter for each in given_readings
    )
    newest = {each.meter: each for each in given_readings}
    assert all(reading in kept for reading in newest.values()), "the register as it stood last"
    by_meter = defaultdict(list)
    for each in kept:
        by_meter[each.meter].append(each.time_ms)
    for times in by_meter.values():
        assert all(before < after for before, after in pairwise(times))
        if every_ms:
            assert len({time_ms // every_ms for time_ms in times}) == len(times)
