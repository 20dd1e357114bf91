"""Runs a short conversation on a bus without pymodbus's tracebacks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pymodbus import ModbusException

T = TypeVar("T")


def run_quietly(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run. Bytes that are no frame make pymodbus raise in its reader; the request that
    they spoil just times out, and that is told where it belongs."""

    async def main() -> T:
        asyncio.get_running_loop().set_exception_handler(_ignore_bad_frames)
        return await work

    return asyncio.run(main())


def _ignore_bad_frames(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), ModbusException):
        loop.default_exception_handler(context)
