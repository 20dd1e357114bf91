"""Summaries: frames that stand for others which the gateway had no room for."""

from __future__ import annotations

import msgspec
import pytest
from tests.backend.village import (
    HOUR_MS,
    KWH,
    START_MS,
    Village,
    assert_sound,
    frame_input,
    reading,
)

from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_wire.cose import split
from gridtokenx_wire.frame import Frame, Gap, decode_frame, frame_hash, seal_frame
from gridtokenx_wire.verdict import Reason

FRAMES = 6


def originals(village: Village) -> list[bytes]:
    """Hourly frames of a meter that exports 1 kWh in each hour, sealed and not sent."""
    return [
        village.north.next(
            [reading("ABB-1", START_MS - (FRAMES - at) * HOUR_MS, (5 + at) * KWH, 9 * KWH)]
        )
        for at in range(FRAMES)
    ]


def decoded(message: bytes) -> Frame:
    return decode_frame(split(message)[2])


def summary(village: Village, frames: list[bytes], **other: bytes) -> bytes:
    """One frame in the place of these: the last reading of them, and what is missing."""
    first, last = decoded(frames[0]), decoded(frames[-1])
    times = [decoded(frame).time_ms[0] for frame in frames[:-1]]
    gap = Gap(
        first_seq=first.seq,
        head=frame_hash(frames[-1]),
        meter_index=(0,),
        count=(len(times),),
        first_ms=(times[0],),
        last_ms=(times[-1],),
    )
    fields = {"prev": first.prev} | other
    if head := fields.pop("head", b""):
        gap = msgspec.structs.replace(gap, head=head)
    made = Frame(
        device=first.device,
        chain=first.chain,
        seq=last.seq,
        prev=fields["prev"],
        clock=last.clock,
        meters=last.meters,
        meter_index=last.meter_index,
        time_ms=last.time_ms,
        import_uwh=last.import_uwh,
        export_uwh=last.export_uwh,
        power_w=last.power_w,
        flags=last.flags,
        gap=gap,
    )
    return seal_frame(made, village.north.key)


def send(village: Village, message: bytes) -> FrameAccepted | FrameRefused:
    outcome = village.apply(frame_input(message))
    assert isinstance(outcome, FrameAccepted | FrameRefused)
    return outcome


def test_a_summary_takes_the_place_of_its_frames_and_the_chain_goes_on(village: Village) -> None:
    frames = originals(village)
    send(village, frames[0])
    outcome = send(village, summary(village, frames[1:5]))
    assert isinstance(outcome, FrameAccepted)
    assert (outcome.seq, outcome.readings, outcome.verdicts) == (4, 1, [])
    assert isinstance(send(village, frames[5]), FrameAccepted)
    assert village.grid(village.anna)[0] == 5 * KWH, "registers carry the energy"
    device = village.community.devices[village.north.device]
    assert (device.next_seq, device.accepted, device.thinned) == (6, 3, 3)
    assert village.community.counters.thinned == 3
    assert_sound(village.community)


@pytest.mark.parametrize("stored", [1, 2, 3])
def test_frames_whose_acks_were_lost_are_not_settled_again(village: Village, stored: int) -> None:
    frames = originals(village)
    for frame in frames[:stored]:
        send(village, frame)
    outcome = send(village, summary(village, frames[:4]))
    assert isinstance(outcome, FrameAccepted)
    assert outcome.verdicts == []
    assert isinstance(send(village, frames[4]), FrameAccepted)
    assert village.grid(village.anna)[0] == 4 * KWH


def test_readings_that_were_stored_before_are_refused_as_not_after_the_last(
    village: Village,
) -> None:
    frames = originals(village)
    send(village, frames[0])
    first = decoded(frames[0])
    both = first.readings() + decoded(frames[1]).readings()
    gap = Gap(first_seq=0, head=frame_hash(frames[1]))
    message = village.north.seal(both, seq=1, prev=first.prev, gap=gap)
    outcome = send(village, message)
    assert isinstance(outcome, FrameAccepted)
    assert outcome.verdicts == [(0, Reason.NOT_AFTER_LAST)]
    assert village.grid(village.anna)[0] == 1 * KWH


def test_a_summary_that_does_not_continue_the_chain_changes_nothing(village: Village) -> None:
    frames = originals(village)
    send(village, frames[0])
    for message, reason in (
        (summary(village, frames[2:4]), FrameRefusal.GAP),
        (summary(village, frames[1:4], prev=bytes(32)), FrameRefusal.BROKEN_CHAIN),
        (frames[0], FrameRefusal.DUPLICATE),
    ):
        before = village.community.snapshot()
        outcome = send(village, message)
        assert isinstance(outcome, FrameRefused)
        assert (outcome.reason, outcome.next_seq) == (reason, 1)
        assert village.community.snapshot() == before


def test_the_frame_behind_a_summary_must_follow_what_it_says(village: Village) -> None:
    frames = originals(village)
    send(village, summary(village, frames[:3], head=b"x" * 32))
    outcome = send(village, frames[3])
    assert isinstance(outcome, FrameRefused)
    assert outcome.reason is FrameRefusal.BROKEN_CHAIN


def test_what_was_left_out_survives_a_snapshot(village: Village) -> None:
    frames = originals(village)
    send(village, summary(village, frames[:3]))
    again: Community = restore(village.community.snapshot())
    assert again.devices[village.north.device].thinned == 2
    assert again.counters.thinned == 2
