"""Which frames are sent when: the sender's state machine, without a network."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_edge.uplink.window import AckEffect, Window

TIMEOUT_S = 10.0


def window(*, oldest: int = 0, head: int = 10, most: int = 4, is_open: bool = True) -> Window:
    made = Window(most, TIMEOUT_S, lambda: 0.0)
    made.restore(oldest, head)
    if is_open:
        made.opened()
    return made


def take(sender: Window, now_s: float) -> list[int]:
    """Sends what may be sent, frame by frame, as the uplink does."""
    taken = []
    while sender.room:
        taken.append(sender.sent)
        assert sender.sending(sender.sent, sender.sent, now_s)
    return taken


def test_nothing_is_sent_without_a_connection() -> None:
    sender = window(is_open=False)
    assert take(sender, 0) == []
    sender.opened()
    assert take(sender, 0) == [0, 1, 2, 3]


def test_sending_runs_ahead_of_the_acks_by_the_window_and_no_more() -> None:
    sender = window()
    assert take(sender, 0) == [0, 1, 2, 3]
    assert take(sender, 1) == []
    assert sender.acked(2, 1) is AckEffect.PROGRESS
    assert take(sender, 1) == [4, 5]


def test_a_sealed_frame_is_sent_at_once_when_the_window_allows() -> None:
    sender = window(head=1)
    assert take(sender, 0) == [0]
    sender.sealed(3)
    assert take(sender, 0) == [1, 2]


def test_an_ack_that_does_not_move_sends_again_from_there_but_only_once() -> None:
    sender = window()
    take(sender, 0)
    assert sender.acked(1, 1) is AckEffect.PROGRESS
    assert take(sender, 1) == [4]
    assert sender.acked(1, 2) is AckEffect.WENT_BACK  # frame 2 arrived, 1 did not
    assert take(sender, 2) == [1, 2, 3, 4]
    for _ in range(3):
        assert sender.acked(1, 2) is AckEffect.REPEATED  # for 3 and 4, sent before the repair
    assert take(sender, 2) == []
    assert sender.acked(5, 3) is AckEffect.PROGRESS


def test_an_ack_that_is_lower_than_before_goes_back_to_what_is_still_kept() -> None:
    sender = window(oldest=0)
    take(sender, 0)
    sender.acked(4, 1)
    take(sender, 1)
    assert sender.acked(2, 2) is AckEffect.WENT_BACK  # the backend was restored from a copy
    assert take(sender, 2) == [2, 3, 4, 5]


def test_an_ack_beyond_what_was_sent_skips_what_need_not_be_sent() -> None:
    sender = window(oldest=0)  # after a restart nobody here knows what was acked before
    take(sender, 0)
    assert sender.acked(9, 1) is AckEffect.PROGRESS
    assert take(sender, 1) == [9]


@pytest.mark.parametrize(
    ("next_seq", "effect"), [(11, AckEffect.BEYOND_HEAD), (4, AckEffect.FORGOTTEN)]
)
def test_an_ack_that_cannot_be_of_this_outbox_changes_nothing(
    next_seq: int, effect: AckEffect
) -> None:
    sender = window(oldest=5)
    take(sender, 0)
    before = (sender.base, sender.sent, sender.head, sender.deadline_s)
    assert sender.acked(next_seq, 1) is effect
    assert (sender.base, sender.sent, sender.head, sender.deadline_s) == before


def test_without_acks_one_frame_at_a_time_asks_at_growing_intervals() -> None:
    sender = window()
    now_s, waits = 0.0, []
    assert take(sender, now_s) == [0, 1, 2, 3]
    for _ in range(5):
        assert sender.deadline_s is not None
        waits.append(sender.deadline_s - now_s)
        assert not sender.expire(sender.deadline_s - 0.001)
        now_s = sender.deadline_s
        assert sender.expire(now_s)
        assert take(sender, now_s) == [0]
    assert waits == [20, 40, 80, 120, 120]
    assert sender.acked(4, now_s) is AckEffect.PROGRESS
    assert take(sender, now_s) == [4, 5, 6, 7]
    assert sender.deadline_s == now_s + 20


def test_a_wait_for_an_ack_is_never_shorter_than_its_timeout() -> None:
    sender = Window(4, TIMEOUT_S, lambda: 0.999)
    sender.restore(0, 1)
    sender.opened()
    take(sender, 0)
    assert sender.deadline_s is not None
    assert sender.deadline_s > TIMEOUT_S


def test_a_new_connection_sends_what_was_in_flight_again() -> None:
    sender = window()
    take(sender, 0)
    sender.acked(1, 0)
    sender.closed()
    assert not sender.expire(1000)
    sender.opened()
    assert take(sender, 1) == [1, 2, 3, 4]


def test_nothing_in_flight_means_no_deadline() -> None:
    sender = window(head=2)
    take(sender, 0)
    sender.acked(2, 1)
    assert sender.deadline_s is None


class Sender:
    """A window over an outbox whose frames are (first seq, seq), some of them summaries."""

    def __init__(self, frames: int, most: int, entropy: Callable[[], float]) -> None:
        self.window = Window(most, TIMEOUT_S, entropy)
        self.window.restore(0, frames)
        self.rows = [(seq, seq) for seq in range(frames)]
        self.most = most

    def summarise(self, start: int, count: int) -> None:
        """Puts a summary in the place of some neighbours, never of the newest frame."""
        old = self.rows[start : min(start + count, len(self.rows) - 1)]
        if len(old) > 1:
            self.rows[start : start + len(old)] = [(old[0][0], old[-1][1])]

    def send(self, now_s: float) -> list[tuple[int, int]]:
        """What the uplink would publish, read from the disk in parts."""
        sent = []
        while self.window.room:
            start = self.window.sent
            for first, last in [row for row in self.rows if row[1] >= start][:3]:
                assert last >= self.window.base
                if self.window.sending(first, last, now_s):
                    sent.append((first, last))
        assert len(sent) <= self.most
        return sent


class Receiver:
    """A backend's side of the chain: takes what continues it, acks what it has."""

    def __init__(self) -> None:
        self.next_seq = 0

    def take(self, first: int, last: int) -> int:
        if first <= self.next_seq <= last:
            self.next_seq = last + 1
        return self.next_seq


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.6),
    thinning=st.sampled_from([0, 0, 0.05, 0.3]),
    frames=st.integers(1, 40),
    most=st.integers(1, 16),
)
def test_every_frame_arrives_whatever_the_network_loses(
    seed: int, loss: float, thinning: float, frames: int, most: int
) -> None:
    """A network that loses frames, acks and connections; summaries made at any moment."""
    chance = random.Random(seed)
    sender, receiver, now_s = Sender(frames, most, chance.random), Receiver(), 0.0
    window = sender.window
    acks: deque[int] = deque()
    for _ in range(20_000):
        if window.base == frames:
            break
        now_s += 0.1
        if not window.is_open:
            window.opened()
        elif chance.random() < 0.01:
            window.closed()
            acks.clear()
            continue
        if chance.random() < thinning:
            sender.summarise(chance.randrange(len(sender.rows)), chance.randrange(2, 9))
        window.expire(now_s)
        for first, last in sender.send(now_s):
            if chance.random() >= loss:
                acks.append(receiver.take(first, last))
            if chance.random() < thinning:
                sender.summarise(chance.randrange(len(sender.rows)), chance.randrange(2, 9))
        while acks:
            ack = acks.popleft()
            if chance.random() >= loss:
                window.acked(ack, now_s)
        if window.deadline_s is not None and chance.random() < 0.3:
            now_s = max(now_s, window.deadline_s)
    assert receiver.next_seq == frames
    assert window.base == frames
    assert not sender.send(now_s + 1e6), "and then it is quiet"


def test_an_ack_may_end_within_a_summary_that_has_taken_the_place_of_sent_frames() -> None:
    sender = window(head=20, most=4)
    assert take(sender, 0) == [0, 1, 2, 3]
    assert sender.acked(3, 1) is AckEffect.PROGRESS
    assert not sender.sending(6, 9, 1), "that would leave a gap"
    assert sender.sending(0, 9, 1), "a summary of what was sent and what was not"
    assert (sender.base, sender.sent) == (3, 10)
    assert not sender.sending(0, 9, 1), "it was sent"
    assert sender.acked(4, 2) is AckEffect.PROGRESS  # the last of the frames themselves
    assert take(sender, 2) == [10, 11, 12], "three beside the summary"
    assert sender.acked(10, 3) is AckEffect.PROGRESS
