"""How often one address may be wrong: checking what it sends is our work, not its."""

from __future__ import annotations

from collections import OrderedDict

MAX_WRONG = 20
WINDOW_S = 60.0
MAX_ADDRESSES = 1000


class Guesses:
    """Counts wrong requests by address in a window that begins with the first of them.

    Time is handed in. The table is bounded: the address that was first wrong goes first.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def is_allowed(self, address: str, now_s: float) -> bool:
        since_s, count = self._wrong.get(address, (now_s, 0))
        return count < MAX_WRONG or now_s - since_s >= WINDOW_S

    def was_wrong(self, address: str, now_s: float) -> None:
        since_s, count = self._wrong.pop(address, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            since_s, count = now_s, 0
        self._wrong[address] = (since_s, count + 1)
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)
