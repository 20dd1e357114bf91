"""The inputs that wait for the writer, and which of them make the next batch.

Frames wait in a queue of their own, behind all others: a gateway that sends many large ones keeps
no order waiting, and it waits for its ack in any case. Frames that were left out of a batch begin
the next one, so that orders keep no frame waiting either. Within each queue the order is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from gridtokenx_backend.core.messages.inputs import ClockInput, FrameInput, Input

MAX_BATCH = 512
MAX_BATCH_BYTES = 1 << 18
"""A batch of more bytes would keep the core busy for long, and all others waiting."""


class Waiting(Protocol):
    """Inputs that were submitted together; `size` is their bytes."""

    @property
    def inputs(self) -> Sequence[Input]: ...

    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Waiting)


class WaitingInputs(Generic[T]):
    """Submissions that wait. `count` is the number of their inputs."""

    def __init__(self) -> None:
        self.count = 0
        self._frames: deque[T] = deque()
        self._others: deque[T] = deque()
        self._are_frames_first = False

    def __bool__(self) -> bool:
        return bool(self._frames or self._others)

    def __iter__(self) -> Iterator[T]:
        yield from self._others
        yield from self._frames

    def add(self, submission: T) -> None:
        """Let a submission wait behind the others of its kind."""
        self._queue_of(submission).append(submission)
        self.count += len(submission.inputs)

    @property
    def first(self) -> T:
        """What the next batch begins with. Something must be waiting."""
        return self._first_queue[0]

    def next_batch(self) -> list[T]:
        """Remove whole submissions: at least one, else up to MAX_BATCH inputs of MAX_BATCH_BYTES.

        What sets the clock is a batch of its own: a batch has one time.
        """
        batch = [self._first_queue.popleft()]
        count, size = len(batch[0].inputs), batch[0].size
        if not sets_clock(batch[0].inputs):
            for queue in (self._others, self._frames):
                while queue and not sets_clock(queue[0].inputs):
                    count += len(queue[0].inputs)
                    size += queue[0].size
                    if count > MAX_BATCH or size > MAX_BATCH_BYTES:
                        count -= len(queue[0].inputs)
                        size -= queue[0].size
                        break
                    batch.append(queue.popleft())
        self.count -= count
        has_frames = any(self._queue_of(each) is self._frames for each in batch)
        self._are_frames_first = not has_frames and bool(self._frames)
        return batch

    def remove_all(self) -> list[T]:
        """Remove everything but what sets the clock, and return it."""
        removed = [each for each in self if not sets_clock(each.inputs)]
        self._others = deque(each for each in self._others if sets_clock(each.inputs))
        self._frames.clear()
        self.count = sum(len(each.inputs) for each in self)
        return removed

    @property
    def _first_queue(self) -> deque[T]:
        """The queue that the next batch begins with."""
        if not self._others:
            return self._frames
        is_turn = self._are_frames_first and not sets_clock(self._others[0].inputs)
        return self._frames if self._frames and is_turn else self._others

    def _queue_of(self, submission: T) -> deque[T]:
        inputs = submission.inputs
        is_of_frames = bool(inputs) and type(inputs[0]) is FrameInput
        return self._frames if is_of_frames else self._others


def sets_clock(inputs: Sequence[Input]) -> bool:
    """Return whether inputs are the operator's command that confirms or sets back the time."""
    return len(inputs) == 1 and type(inputs[0]) is ClockInput
