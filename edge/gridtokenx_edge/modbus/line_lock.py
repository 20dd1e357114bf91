"""Who may use a line next: callers in the order of asking, but those in the middle of a reading
first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LineLock:
    """A lock with two queues, of which the urgent one goes first."""

    def __init__(self) -> None:
        self._is_taken = False
        self._queue: deque[asyncio.Future[None]] = deque()
        self._urgent: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def hold(self, *, is_urgent: bool = False) -> AsyncIterator[None]:
        """Have the lock; wait for it in one of the two queues."""
        await self._take(self._urgent if is_urgent else self._queue)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, queue: deque[asyncio.Future[None]]) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        place = asyncio.get_running_loop().create_future()
        queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._pass_on()  # it was our turn already
            elif place in queue:
                queue.remove(place)
            raise

    def _pass_on(self) -> None:
        """Give the lock to the next in the queues without releasing it in between."""
        for queue in (self._urgent, self._queue):
            while queue:
                place = queue.popleft()
                if not place.done():
                    place.set_result(None)
                    return
        self._is_taken = False
