"""The agent's tasks: no failure goes unnoticed, and parts are replaced while the others work on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Part(Protocol):
    """Something that works until it is told to stop, and then ends soon by itself."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


class TaskSupervisor:
    """Starts tasks and parts. `on_fault` is told of an exception that ended one, which is a bug of
    ours.
    """

    def __init__(self, on_fault: Callable[[BaseException], None]) -> None:
        self._on_fault = on_fault
        self._tasks: set[asyncio.Task[Any]] = set()
        self._parts: dict[str, tuple[Part, asyncio.Task[None]]] = {}

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def start(self, name: str, part: Part) -> None:
        """Start a part under a name."""
        self._parts[name] = part, self.spawn(part.run(), name)

    async def stop(self, name: str, timeout_s: float) -> None:
        """Stop the part of that name, if there is one. A part that does not end in time is
        cancelled.
        """
        if name not in self._parts:
            return
        part, task = self._parts.pop(name)
        part.stop()
        await asyncio.wait([task], timeout=timeout_s)
        await cancel(task)

    async def close(self) -> None:
        """Cancel whatever still runs."""
        await cancel(*self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._on_fault(error)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
