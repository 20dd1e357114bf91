"""Which of the inputs that wait make the next batch: frames and others keep each other waiting no
longer than a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from tests.backend.village import START_MS, Gateway, frame_input, reading

from gridtokenx_backend.core.messages.clock_records import ClockCommand
from gridtokenx_backend.core.messages.inputs import Input, TickInput, clock_input
from gridtokenx_backend.engine.waiting_inputs import MAX_BATCH, MAX_BATCH_BYTES, WaitingInputs

FRAME = frame_input(Gateway("north").next([reading("ABB-1", START_MS)]))
TICK = TickInput()
CLOCK = clock_input(ClockCommand(time_ms=START_MS, reason="a test"))


@dataclass(frozen=True)
class Waiting:
    """Inputs that say of what size they are."""

    number: int
    inputs: list[Input]
    size: int = 100

    @property
    def is_clock(self) -> bool:
        return self.inputs == [CLOCK]

    @property
    def is_of_frames(self) -> bool:
        return self.inputs[:1] == [FRAME]


def waiting(*submissions: Waiting) -> WaitingInputs[Waiting]:
    queue: WaitingInputs[Waiting] = WaitingInputs()
    for each in submissions:
        queue.add(each)
    return queue


def test_an_order_goes_before_frames_that_wait_already() -> None:
    large = [Waiting(number, [FRAME] * 4, MAX_BATCH_BYTES) for number in range(3)]
    queue = waiting(*large, Waiting(3, [TICK]))
    batches = [[each.number for each in queue.next_batch()] for _ in range(4)]
    assert batches == [[3], [0], [1], [2]]
    assert not queue


def test_orders_without_end_keep_no_frame_waiting_for_longer_than_a_batch() -> None:
    queue = waiting(*(Waiting(number, [TICK] * MAX_BATCH) for number in range(9)))
    queue.add(Waiting(9, [FRAME]))
    batches = [[each.number for each in queue.next_batch()] for _ in range(4)]
    assert batches == [[0], [9], [1], [2]]


def test_small_inputs_of_all_kinds_share_a_batch() -> None:
    queue = waiting(Waiting(0, [FRAME]), Waiting(1, [TICK]), Waiting(2, [FRAME]))
    assert [each.number for each in queue.next_batch()] == [1, 0, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["frames", "frames", "others", "others", "clock"]),
            st.integers(1, MAX_BATCH),
            st.integers(0, 2 * MAX_BATCH_BYTES),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_all_is_taken_once_in_the_order_of_its_kind_and_batches_are_bounded(
    drawn: list[tuple[str, int, int, bool]],
) -> None:
    queue = waiting()
    taken: list[Waiting] = []

    def take() -> None:
        first = queue.first
        batch = queue.next_batch()
        taken.extend(batch)
        assert batch[0] is first
        if len(batch) > 1:
            assert not any(each.is_clock for each in batch)
            assert sum(len(each.inputs) for each in batch) <= MAX_BATCH
            assert sum(each.size for each in batch) <= MAX_BATCH_BYTES

    added = []
    for number, (kind, count, size, is_taken) in enumerate(drawn):
        inputs: dict[str, list[Input]] = {
            "frames": [FRAME] * count,
            "others": [TICK] * count,
            "clock": [CLOCK],
        }
        added.append(Waiting(number, inputs[kind], size))
        queue.add(added[-1])
        if is_taken:
            take()
    while queue:
        take()
    assert queue.count == 0
    for is_of_frames in (True, False):
        assert [each for each in taken if each.is_of_frames is is_of_frames] == [
            each for each in added if each.is_of_frames is is_of_frames
        ]


def test_while_the_time_is_not_known_only_what_sets_it_goes_on_waiting() -> None:
    queue = waiting(Waiting(0, [FRAME]), Waiting(1, [CLOCK]), Waiting(2, [TICK] * 3))
    assert [each.number for each in queue.remove_all()] == [2, 0]
    assert (queue.count, [each.number for each in queue]) == (1, [1])
