"""Whether an ack that names no head is taken.

Where somebody has a copy of the key, only the head tells the gateway whether the backend has its
own frames. So a backend that has named the head before must go on doing so: after it was started
again, it does not know that this gateway understands it, and is told so by another hello. If it
goes on without heads, an older version of it has been installed, and its acks are taken as before.
A hello may be lost, too. So it is said again now and then to a backend that has never named a head.

This module is pure: time and entropy are arguments. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from gridtokenx_edge.backoff import Backoff
from gridtokenx_wire.ack import Ack

# A backend that knows heads answers a hello and a frame with one. It had so long, and so many
# hellos, when it is taken for one of an older version.
OLDER_AFTER_S = 120.0
OLDER_AFTER_HELLOS = 3
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 60.0
# A backend of version 0.2 and before logs each hello as a frame that it cannot read.
_LONGEST_WAIT_OLDER_S = 3600.0


class AckUse(Enum):
    """What to do with an ack."""

    TAKE = "take"
    TAKE_AND_GREET = "take_and_greet"
    """Take it, and say hello again."""
    IGNORE = "ignore"
    ASK = "ask"
    """Say hello again and send a frame: the backend answers with an ack that names the head."""


class HeadDemand:
    """Remembers whether the backend names heads, and how long it has not."""

    def __init__(self, entropy: Callable[[], float]) -> None:
        self._waits = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S, entropy)
        self._waits_older = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_OLDER_S, entropy)
        self._is_named = False
        self._named = (0, float("-inf"))
        self._missing_since_s: float | None = None
        self._hellos = 0
        self._ask_at_s = float("inf")

    @property
    def is_named(self) -> bool:
        """Whether acks without a head are not taken."""
        return self._is_named

    def named_before(self) -> None:
        """Note that this backend has named a head before this start."""
        self._is_named = True

    def connected(self, now_s: float) -> None:
        """Note a new connection, which begins with a hello."""
        self._missing_since_s = None
        self._waits_older.reset()
        self._ask_at_s = now_s + self._waits_older.next_s()

    def use_of(self, ack: Ack, now_s: float) -> AckUse:
        """Return what to do with a verified ack."""
        if ack.head:
            self._is_named = True
            self._named = (ack.next_seq, now_s)
            self._missing_since_s = None
            return AckUse.TAKE
        if not self._is_named:
            if now_s < self._ask_at_s:
                return AckUse.TAKE
            self._ask_at_s = now_s + self._waits_older.next_s()
            return AckUse.TAKE_AND_GREET
        named_seq, named_s = self._named
        if ack.next_seq <= named_seq and now_s - named_s < _FIRST_WAIT_S:
            return AckUse.IGNORE  # the same again, for a gateway of an older version
        if self._missing_since_s is None:
            self._missing_since_s = now_s
            self._hellos = 0
            self._waits.reset()
            return self._ask(now_s)
        is_older = now_s - self._missing_since_s >= OLDER_AFTER_S
        if is_older and self._hellos >= OLDER_AFTER_HELLOS:
            self._is_named = False
            self._waits_older.reset()
            self._ask_at_s = now_s + self._waits_older.next_s()
            return AckUse.TAKE
        return self._ask(now_s) if now_s >= self._ask_at_s else AckUse.IGNORE

    def _ask(self, now_s: float) -> AckUse:
        self._hellos += 1
        self._ask_at_s = now_s + self._waits.next_s()
        return AckUse.ASK
