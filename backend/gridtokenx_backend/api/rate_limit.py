"""How often one address may send a wrong request, since to check a request costs time."""

from __future__ import annotations

from collections import OrderedDict

MAX_WRONG = 20
MAX_WRONG_CREDENTIALS = 100
WINDOW_S = 60.0
MAX_ADDRESSES = 1000


class WrongRequests:
    """Counts the wrong requests of each address in a window that begins with its first one.

    What is counted for is any text: an address, or one with the token that it shows. Times are
    arguments, in seconds of any clock that only goes forward. The table is bounded: the address
    whose last wrong request is oldest is removed first.
    """

    def __init__(self, most: int = MAX_WRONG) -> None:
        self._most = most
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long an address has to wait before its next request; 0 if it need not."""
        since_s, count = self._wrong.get(address, (now_s, 0))
        return max(0.0, since_s + WINDOW_S - now_s) if count >= self._most else 0.0

    def was_wrong(self, address: str, now_s: float) -> None:
        """Count a wrong request of an address."""
        since_s, count = self._wrong.pop(address, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            since_s, count = now_s, 0
        self._wrong[address] = (since_s, count + 1)
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)
