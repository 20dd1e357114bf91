"""Thinning: replaces old frames by a summary with fewer readings.

This module is pure. Readings are thinned to the last one of each meter in each billing interval,
then in each day, then to the newest one of each meter. Registers are cumulative: resolution is
lost, but no energy. The summary says for each meter how many readings are missing, and from when to
when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gridtokenx_wire.frame import (
    MAX_FRAME_BYTES,
    MAX_READINGS_PER_FRAME,
    ClockStatus,
    Frame,
    Gap,
    build_frame,
    head_after,
)
from gridtokenx_wire.reading import Reading

DAY_MS = 86_400_000
NEWEST = 0
"""It stands in place of an interval: only the newest reading of each meter is kept."""
# A reading takes 31 bytes in the columns and a gap 22. Everything else, without the meters' ids,
# takes less than 512.
_READING_BYTES = 31
_GAP_BYTES = 22
_OVERHEAD_BYTES = 512


class MissingReadings(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of one meter that are left out."""

    count: int
    first_ms: int
    last_ms: int


class MissingByMeter(dict[str, MissingReadings]):
    """What is left out, by meter."""

    def count_in(self, meter: str, lost: MissingReadings) -> None:
        """Add readings of a meter to those that are left out already."""
        known = self.get(meter, lost)
        self[meter] = MissingReadings(
            count=lost.count + (known.count if meter in self else 0),
            first_ms=min(known.first_ms, lost.first_ms),
            last_ms=max(known.last_ms, lost.last_ms),
        )


def summarise(stored: Sequence[tuple[Frame, bytes]], every_ms: int) -> tuple[Frame, int]:
    """Return one frame for as many of these as it can hold, and how many they are: at least one.

    `stored` are frames with their signed form, neighbours in one chain, oldest first. All that are
    taken have one clock status, so that readings on both sides of a step are not mixed. `every_ms`
    is the interval of which one reading of each meter is kept, or NEWEST.
    """
    clock = stored[0][0].clock
    taken = 0
    kept: dict[tuple[str, int], Reading] = {}
    missing = MissingByMeter()
    meters: set[str] = set()
    for frame, _ in stored:
        keys = {key for key, _ in _keyed(frame, every_ms)}
        names = meters.union(frame.meters)
        if taken and not (
            _may_follow(clock, frame.clock) and _fits(len(kept.keys() | keys), names)
        ):
            break
        for meter, lost in _gaps(frame):
            missing.count_in(meter, lost)
        for key, reading in _keyed(frame, every_ms):
            if before := kept.pop(key, None):
                one = MissingReadings(count=1, first_ms=before.time_ms, last_ms=before.time_ms)
                missing.count_in(before.meter, one)
            kept[key] = reading  # at the end, so that the readings that stay keep their order
        meters = names
        taken += 1
    first, (last, message) = stored[0][0], stored[taken - 1]
    return _summary(first, last, message, list(kept.values()), missing), taken


def _may_follow(clock: ClockStatus, later: ClockStatus) -> bool:
    """Return whether a later frame's readings were taken in the same run of the clock."""
    return not later.stepped and (clock.synchronised, clock.source) == (
        later.synchronised,
        later.source,
    )


def _keyed(frame: Frame, every_ms: int) -> Iterator[tuple[tuple[str, int], Reading]]:
    """Yield each reading with its meter and interval: of these only one reading may stay."""
    for reading in frame.readings():
        yield (reading.meter, reading.time_ms // every_ms if every_ms else 0), reading


def _fits(readings: int, meters: set[str]) -> bool:
    """Return whether a summary can hold so many readings of these meters."""
    size = _OVERHEAD_BYTES + sum(len(name) + 2 for name in meters)
    size += readings * _READING_BYTES + len(meters) * _GAP_BYTES
    return readings <= MAX_READINGS_PER_FRAME and size <= MAX_FRAME_BYTES


def _gaps(frame: Frame) -> Iterator[tuple[str, MissingReadings]]:
    """Yield what a frame itself says is missing, meter by meter."""
    if frame.gap:
        for index, count, first_ms, last_ms in zip(*frame.gap.columns, strict=True):
            lost = MissingReadings(count=count, first_ms=first_ms, last_ms=last_ms)
            yield frame.meters[index], lost


def _summary(
    first: Frame,
    last: Frame,
    message: bytes,
    kept: list[Reading],
    missing: MissingByMeter,
) -> Frame:
    names = list(dict.fromkeys(reading.meter for reading in kept))
    gaps = [(index, missing[name]) for index, name in enumerate(names) if name in missing]
    gap = Gap(
        first_seq=first.first_seq,
        head=head_after(last, message),
        meter_index=tuple(index for index, _ in gaps),
        count=tuple(lost.count for _, lost in gaps),
        first_ms=tuple(lost.first_ms for _, lost in gaps),
        last_ms=tuple(lost.last_ms for _, lost in gaps),
    )
    return build_frame(first.device, first.chain, last.seq, first.prev, first.clock, kept, gap)
