"""Who may hold how many of the server's connections, and whose is closed for another's.

This is pure: a place is told to close, and who holds it does that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False, kw_only=True)
class Place:
    """One connection's place among those that are open."""

    holder: str
    """The address that it counts for."""
    close: Callable[[], None] = lambda: None
    is_busy: bool = False
    """Whether an answer is being worked out. Then the place is not taken away."""


@dataclass(slots=True, kw_only=True)
class OpenConnections:
    """All open connections: at most `most`, and at most `most_each` of one address.

    Where there is no room, the new connection takes the place of the one that has waited longest
    without a request: of its own address if that has all it may have, else of the address that has
    most. So one client can keep out neither others nor the honest ones behind its own address.

    `count` are open now. The other numbers count, since the start, those that were closed for
    others, had no room (`refused`), or were closed for what their client did or did not do.
    """

    most: int
    most_each: int
    is_exempt: Callable[[str], bool] = lambda _: False
    """Whether an address may have as many as there are: a proxy has all of its clients'."""
    count: int = 0
    closed_for_others: int = 0
    refused: int = 0
    late_requests: int = 0
    unread_answers: int = 0
    bad_requests: int = 0
    _places: dict[str, dict[Place, None]] = field(default_factory=dict)

    def closed_by_reason(self) -> dict[str, int]:
        """Return how many the server has closed or not taken since the start, by why."""
        return {
            "no_room": self.refused,
            "for_others": self.closed_for_others,
            "late_request": self.late_requests,
            "unread_answer": self.unread_answers,
            "bad_request": self.bad_requests,
        }

    def take(self, holder: str) -> Place | None:
        """Return a place for a connection of an address; None if all are busy."""
        own = self._places.get(holder, {})
        crowd = None
        if len(own) >= self.most_each and not self.is_exempt(holder):
            crowd = own
        elif self.count >= self.most:
            crowd = max(self._places.values(), key=len)
        if crowd is not None and not self._make_room(crowd):
            self.refused += 1
            return None
        place = Place(holder=holder)
        self._places.setdefault(holder, {})[place] = None
        self.count += 1
        return place

    def leave(self, place: Place) -> None:
        """Give a place back. To do so again changes nothing."""
        own = self._places.get(place.holder, {})
        if place in own:
            del own[place]
            self.count -= 1
            if not own:
                del self._places[place.holder]

    def answered(self, place: Place) -> None:
        """Note that a request was answered: from now on the connection waits for the next."""
        place.is_busy = False
        own = self._places.get(place.holder, {})
        if place in own:
            del own[place]
            own[place] = None

    def _make_room(self, crowd: dict[Place, None]) -> bool:
        for place in crowd:  # the one that has waited longest comes first
            if not place.is_busy:
                self.leave(place)
                self.closed_for_others += 1
                place.close()
                return True
        return False
