"""Forks: two frames of one number under one key hold the device, and nothing of it is acked."""

from __future__ import annotations

import pytest
from tests.backend.village import HOUR_MS, START_MS, Gateway, Village, frame_input, reading

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.device_outcomes import DeviceHeld, DeviceReleased
from gridtokenx_backend.core.messages.inputs import DeviceCommand, ForkInput, device_input
from gridtokenx_backend.core.messages.outcomes import EnrolmentRefused, FrameAccepted, FrameRefused
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal, FrameRefusal
from gridtokenx_backend.core.minting.chain import KEPT_HEADS
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.core.state.community import restore
from gridtokenx_wire.cose import split
from gridtokenx_wire.frame import Gap, build_frame, decode_frame, frame_hash, seal_frame
from gridtokenx_wire.reading import Reading


def at(minute: int, export_uwh: int = 0) -> Reading:
    return reading("ABB-1", START_MS - 9 * HOUR_MS + minute * 60_000, export_uwh)


def send(village: Village, message: bytes) -> FrameAccepted | FrameRefused:
    outcome = village.apply(frame_input(message))
    assert isinstance(outcome, FrameAccepted | FrameRefused)
    return outcome


def reason_of(village: Village, message: bytes) -> FrameRefusal:
    before = village.community.snapshot()
    outcome = send(village, message)
    assert village.community.snapshot() == before
    assert isinstance(outcome, FrameRefused), outcome
    return outcome.reason


def fork(message: bytes) -> ForkInput:
    return ForkInput(message, decode_frame(split(message)[2]))


def device_of(village: Village) -> Device:
    return village.community.devices[village.north.device]


def with_a_copy(village: Village, common: int) -> tuple[Gateway, Gateway]:
    """A gateway and a copy of its key and outbox, made after so many frames that both have sent."""
    real, copy = village.north, Gateway("north")
    for minute in range(common):
        send(village, real.next([at(minute)]))
    copy.seq, copy.prev = real.seq, real.prev
    return real, copy


def test_the_frame_of_the_real_gateway_is_no_duplicate_of_its_copys_frame(village: Village) -> None:
    real, copy = with_a_copy(village, common=3)
    send(village, copy.next([at(3, export_uwh=5)]))
    refused = send(village, real.next([at(3)]))
    assert isinstance(refused, FrameRefused)
    assert refused.reason is FrameRefusal.FORKED


def test_a_frame_that_follows_another_one_than_is_stored_is_as_suspect(village: Village) -> None:
    real, copy = with_a_copy(village, common=3)
    send(village, copy.next([at(3)]))
    real.next([at(3, export_uwh=5)])
    broken = real.next([at(4)])
    assert reason_of(village, broken) is FrameRefusal.BROKEN_CHAIN
    assert isinstance(village.apply(fork(broken)), DeviceHeld)


def test_all_that_a_gateway_may_send_again_is_a_duplicate_and_nothing_older_is_guessed(
    village: Village,
) -> None:
    for minute in range(KEPT_HEADS + 20):
        send(village, village.north.next([at(minute)]))
    found = [reason_of(village, message) for message in village.north.sent]
    assert found[:20] == [FrameRefusal.OLD_NUMBER] * 20
    assert found[20:] == [FrameRefusal.DUPLICATE] * KEPT_HEADS


def test_a_summary_that_ends_with_a_stored_frame_is_a_duplicate_of_it(village: Village) -> None:
    north = village.north
    for minute in range(6):
        send(village, north.next([at(minute)]))
    assert reason_of(village, summary(north, first_seq=2, seq=4)) is FrameRefusal.DUPLICATE


def test_a_summary_that_ends_otherwise_than_the_stored_frame_is_a_fork(village: Village) -> None:
    real, copy = with_a_copy(village, common=3)
    for minute in range(3):
        send(village, copy.next([at(3 + minute, export_uwh=5)]))
        real.next([at(3 + minute)])
    assert reason_of(village, summary(real, first_seq=1, seq=4)) is FrameRefusal.FORKED


def test_a_summary_that_begins_behind_an_unknown_frame_is_a_fork(village: Village) -> None:
    real, copy = with_a_copy(village, common=3)
    for minute in range(3):
        send(village, copy.next([at(3 + minute, export_uwh=5)]))
    for minute in range(6):
        real.next([at(3 + minute)])
    assert reason_of(village, summary(real, first_seq=4, seq=7)) is FrameRefusal.FORKED


def test_behind_a_summary_frames_are_told_apart_again(village: Village) -> None:
    north = village.north
    for minute in range(4):
        send(village, north.next([at(minute)]))
    north.next([at(4)])
    north.next([at(5)])
    assert isinstance(send(village, summary(north, first_seq=2, seq=5)), FrameAccepted)
    send(village, north.next([at(6)]))
    assert reason_of(village, north.sent[6]) is FrameRefusal.DUPLICATE
    assert reason_of(village, north.sent[5]) is FrameRefusal.DUPLICATE  # the head of the summary
    assert reason_of(village, north.sent[3]) is FrameRefusal.OLD_NUMBER
    assert reason_of(village, north.seal([at(7)], seq=6)) is FrameRefusal.FORKED


def test_a_held_device_is_heard_only_when_the_operator_has_released_it(village: Village) -> None:
    real, copy = with_a_copy(village, common=2)
    send(village, copy.next([at(2, export_uwh=5)]))
    forked = real.next([at(2)])
    assert village.apply(fork(forked)) == DeviceHeld(
        device=real.device, chain=real.chain, seq=2, next_seq=3
    )
    assert device_of(village).held == "two frames of number 2"
    for message in (forked, copy.sent[0], real.sent[0], copy.next([at(3)]), real.next([at(3)])):
        assert reason_of(village, message) is FrameRefusal.HELD_DEVICE
    release = device_input(DeviceCommand(action="release", device=real.name, reason="a test"))
    assert village.apply(release) == DeviceReleased(real.device)
    assert isinstance(send(village, copy.sent[1]), FrameAccepted)
    assert village.apply(release) == EnrolmentRefused(EnrolmentRefusal.NOT_HELD)


def test_a_stored_frame_is_no_reason_to_hold_its_device(village: Village) -> None:
    send(village, village.north.next([at(0)]))
    send(village, village.north.next([at(1)]))
    before = village.community.snapshot()
    for message in (*village.north.sent, village.north.next([at(2)])):
        assert isinstance(village.apply(fork(message)), FrameRefused)
    assert village.community.snapshot() == before


def test_a_first_frame_that_follows_something_is_dropped_and_its_device_is_not_held(
    village: Village,
) -> None:
    message = village.north.seal([at(0)], prev=b"x" * 32)
    refused = village.apply(fork(message))
    assert isinstance(refused, FrameRefused)
    assert refused.reason is FrameRefusal.BROKEN_CHAIN
    assert isinstance(send(village, village.north.next([at(0)])), FrameAccepted)


def test_a_held_device_may_be_revoked_and_is_held_no_more(village: Village) -> None:
    real, copy = with_a_copy(village, common=1)
    send(village, copy.next([at(1, export_uwh=5)]))
    village.apply(fork(real.next([at(1)])))
    village.apply(device_input(DeviceCommand(action="revoke", device=real.name, reason="copied")))
    assert (device_of(village).status, device_of(village).held) == ("revoked", "")


def test_new_terms_do_not_release_a_held_device(village: Village) -> None:
    real, copy = with_a_copy(village, common=1)
    send(village, copy.next([at(1, export_uwh=5)]))
    village.apply(fork(real.next([at(1)])))
    village.configure(rotation={"overlap_hours": 1})
    assert device_of(village).held
    assert restore(village.community.snapshot()).devices[real.device].held


@pytest.mark.parametrize("frames", [1, KEPT_HEADS + 1])
def test_by_the_rules_of_version_1_nothing_more_is_remembered_of_a_device(frames: int) -> None:
    village, north = Village(), Gateway("north")
    village.community.newest_rules = 1
    village.community.rules = 1
    for minute in range(frames):
        message = north.next([at(minute)])
        machine.apply(village.community, frame_input(message), START_MS, 1)
    device = device_of(village)
    assert device.next_seq == frames
    assert (device.recent, device.newest_ms, device.held) == (None, 0, "")


def summary(gateway: Gateway, first_seq: int, seq: int) -> bytes:
    """What thinning makes of frames that the gateway has sealed: it keeps the newest reading."""
    frames = [decode_frame(split(message)[2]) for message in gateway.sent]
    left_out = seq - first_seq
    times = [frame.time_ms[0] for frame in frames[first_seq:seq]]
    gap = Gap(
        first_seq=first_seq,
        head=frame_hash(gateway.sent[seq]),
        meter_index=(0,),
        count=(left_out,),
        first_ms=(times[0],),
        last_ms=(times[-1],),
    )
    newest = frames[seq]
    return seal_frame(
        build_frame(
            gateway.device,
            gateway.chain,
            seq,
            frames[first_seq].prev,
            newest.clock,
            newest.readings(),
            gap,
        ),
        gateway.key,
    )
