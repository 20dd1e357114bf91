"""How often one address may send a wrong request, since to check a request costs time."""

from __future__ import annotations

from collections import OrderedDict

MAX_WRONG = 20
WINDOW_S = 60.0
MAX_ADDRESSES = 1000


class WrongRequests:
    """Counts the wrong requests of each address in a window that begins with its first one.

    Times are arguments, in seconds of any clock that only goes forward. The table is bounded: the
    address whose last wrong request is oldest is removed first.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def is_allowed(self, address: str, now_s: float) -> bool:
        """Return whether an address may send another request now."""
        since_s, count = self._wrong.get(address, (now_s, 0))
        return count < MAX_WRONG or now_s - since_s >= WINDOW_S

    def was_wrong(self, address: str, now_s: float) -> None:
        """Count a wrong request of an address."""
        since_s, count = self._wrong.pop(address, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            since_s, count = now_s, 0
        self._wrong[address] = (since_s, count + 1)
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)
