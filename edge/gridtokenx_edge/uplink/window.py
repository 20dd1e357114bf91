"""Which frames are sent when: go-back-N with cumulative acks.

    acked ≤ base ──── in flight ──── sent ──── waiting ──── head
             └ oldest frame that no ack covers

This module is pure: time and entropy are arguments. Frames are counted by where they end, as a
summary stands for many seqs and is one frame. An ack may end anywhere within a summary: it may be
an ack of the frames that the summary has replaced meanwhile.

If a frame in flight is lost, the acks do not move although later frames arrived, or no ack comes
at all. In both cases sending goes back to `base`. While no ack comes, one frame at a time asks
whether the backend is there, at growing intervals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum

from gridtokenx_edge.backoff import Backoff

_LONGEST_ACK_TIMEOUT_S = 60.0


class AckEffect(Enum):
    """What an ack's next_seq means for what was sent."""

    PROGRESS = "progress"
    REPEATED = "repeated"
    WENT_BACK = "went_back"
    BEYOND_HEAD = "beyond_head"
    """The backend has frames of this chain that this outbox never made: it is an old copy.

    """
    FORGOTTEN = "forgotten"
    """The backend wants frames that it acked before and that were deleted since."""


class Window:
    """The state of the sender. Times are monotonic seconds."""

    def __init__(
        self, max_unacked: int, ack_timeout_s: float, entropy: Callable[[], float]
    ) -> None:
        self._max_unacked = max_unacked
        # Backoff shortens a wait by up to half, but an ack has at least its time-out.
        longest_s = max(_LONGEST_ACK_TIMEOUT_S, ack_timeout_s)
        self._timeouts = Backoff(2 * ack_timeout_s, 2 * longest_s, entropy)
        self.oldest = 0
        self.base = 0
        self.sent = 0
        self.head = 0
        self.is_open = False
        self.deadline_s: float | None = None
        self._held_until_s: float | None = None
        self._in_flight: deque[int] = deque()
        self._is_probing = False
        self._repair_until = 0

    def restore(self, oldest: int, head: int) -> None:
        """Note that the outbox holds frames `oldest` to `head` - 1, acked or not."""
        self.oldest = self.base = self.sent = oldest
        self.head = head

    def sealed(self, head: int) -> None:
        """Note that frames up to `head` - 1 are stored now."""
        self.head = head

    def discarded(self, oldest: int) -> None:
        """Note that frames below `oldest` are deleted now."""
        self.oldest = oldest

    def opened(self) -> None:
        """Note a new connection: what was in flight on the last one counts as lost."""
        self.is_open = True
        self._go_back(self.base)
        self._is_probing = self._held_until_s is not None
        self._repair_until = self.base
        self._timeouts.reset()

    def closed(self) -> None:
        self.is_open = False
        self.deadline_s = None

    def hold(self, until_s: float) -> None:
        """Send nothing until then, not even on a new connection, and then one frame that asks."""
        self._go_back(self.base)
        self._is_probing = True
        self._held_until_s = until_s

    def release(self) -> None:
        """End a hold, and send as if there had been none."""
        if self._held_until_s is not None or self._is_probing:
            self._held_until_s = None
            self._end_probing()

    def ask(self) -> None:
        """Send the oldest frame again by itself, so that an ack answers it."""
        self._go_back(self.base)
        self._is_probing = True

    @property
    def wake_s(self) -> float | None:
        """When `expire` is to be asked next, or None if only an event can change anything."""
        return self.deadline_s if self._held_until_s is None else self._held_until_s

    @property
    def room(self) -> int:
        """How many frames may be sent now, from `sent` on, if there are so many."""
        if not self.is_open or self.sent >= self.head or self._held_until_s is not None:
            return 0
        allowed = 1 if self._is_probing else self._max_unacked
        return max(0, allowed - len(self._in_flight))

    def sending(self, first_seq: int, seq: int, now_s: float) -> bool:
        """Return whether the frame that stands for these seqs is to be sent, and count it as sent.

        It is the next one if it reaches beyond what was sent and leaves no gap.
        """
        if not self.room or not first_seq <= self.sent <= seq:
            return False
        self.sent = seq + 1
        self._in_flight.append(self.sent)
        self.await_ack(now_s)
        return True

    def await_ack(self, now_s: float) -> None:
        """Note that an ack is due in time. If it does not come, sending is tried again."""
        if self.deadline_s is None:
            self.deadline_s = now_s + self._timeouts.next_s()

    def expire(self, now_s: float) -> bool:
        """Go back to `base` if the ack is overdue, and return whether it is; end a hold in time."""
        if self._held_until_s is not None:
            if now_s >= self._held_until_s:
                self._held_until_s = None
            return False
        if self.deadline_s is None or now_s < self.deadline_s:
            return False
        self._go_back(self.base)
        self._is_probing = True
        return True

    def acked(self, next_seq: int, now_s: float) -> AckEffect:
        """Take a verified ack: the backend has every frame below `next_seq`."""
        if next_seq > self.head:
            return AckEffect.BEYOND_HEAD
        if next_seq < self.oldest:
            return AckEffect.FORGOTTEN
        if next_seq > self.base:
            return self._advance(next_seq, now_s)
        if next_seq == self.base and self.base < self._repair_until:
            return AckEffect.REPEATED  # the frames behind the gap
        if next_seq == self.sent:
            return AckEffect.REPEATED
        self._repair_until = self.sent
        self._go_back(next_seq)
        self._end_probing()
        return AckEffect.WENT_BACK

    def _advance(self, next_seq: int, now_s: float) -> AckEffect:
        self.base = next_seq
        self.sent = max(self.sent, next_seq)
        while self._in_flight and self._in_flight[0] <= next_seq:
            self._in_flight.popleft()
        self._end_probing()
        self.deadline_s = None
        if self.sent > self.base:
            self.deadline_s = now_s + self._timeouts.next_s()
        return AckEffect.PROGRESS

    def _go_back(self, seq: int) -> None:
        self.base = self.sent = seq
        self._in_flight.clear()
        self.deadline_s = None

    def _end_probing(self) -> None:
        self._is_probing = False
        self._timeouts.reset()
