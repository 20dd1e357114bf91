"""The agent's event loop, whose timers are exact to some 0.1 ms.

asyncio's usual loop waits with epoll, whose clock counts whole milliseconds, so that it wakes up to
one late. At 38,400 baud that is the time of four characters after every frame, or 7 % of the line
(measured with `scripts/bench bus`). select(2) counts microseconds; its limit of 1,024 descriptors
is far from a gateway's two dozen.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that waits with select."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine as asyncio.run does, on a loop that waits with select."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)
