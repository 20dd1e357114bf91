"""Runs a short conversation on a bus without pymodbus's tracebacks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from pymodbus import ModbusException

T = TypeVar("T")
# asyncio.wait_for of Python 3.11 loses a cancellation that comes when its work has just ended,
# and pymodbus opens ports with it. So Ctrl-C is repeated until it is heard.
_REPEAT_S = 0.1


def run_quietly(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run, without tracebacks for bytes that are no frame: pymodbus raises at them in its
    reader; the request that they spoil just times out. Raises KeyboardInterrupt at Ctrl-C."""
    return asyncio.run(_main(work))


async def _main(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_ignore_bad_frames)
    task = asyncio.ensure_future(work)

    def stop() -> None:
        if not task.done():
            task.cancel()
            loop.call_later(_REPEAT_S, stop)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGINT, stop)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _ignore_bad_frames(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), ModbusException):
        loop.default_exception_handler(context)
