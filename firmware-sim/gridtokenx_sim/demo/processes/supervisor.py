"""The supervisor, which keeps the demo's parts running: up in order, down in reverse, and again if
one dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from gridtokenx_sim.demo.files.folder import write_json
from gridtokenx_sim.demo.processes.child import Child, ChildFailed, Part, start_child
from gridtokenx_sim.demo.processes.joint_tasks import together

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 15.0
_HEALTHY_S = 30.0


class Supervisor:
    """The supervisor of the demo's parts.

    `tell` is called with each line that a person should know; `restarts` counts by part.
    """

    def __init__(self, pids: Path, tell: Callable[[str], None]) -> None:
        self.restarts: Counter[str] = Counter()
        self._pids = pids
        self._tell = tell
        self._stages: list[list[str]] = []
        self._running: dict[str, Child] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}

    @property
    def down(self) -> list[str]:
        """The parts that are not running now."""
        return [name for stage in self._stages for name in stage if name not in self._running]

    async def start(self, *parts: Part) -> None:
        """Start parts that do not need each other, and waits for all. Raises ChildFailed."""
        self._stages.append([part.name for part in parts])
        await together(*(self._start(part) for part in parts))
        for part in parts:
            self._watches[part.name] = asyncio.create_task(self._watch(part))

    async def stop(self, name: str = "") -> None:
        """Stop what was started, last things first; or only down to the stage of `name`."""
        while self._stages:
            stage = self._stages[-1]
            await self._stop_stage(stage)
            self._stages.pop()
            if name in stage:
                break

    async def _stop_stage(self, names: Sequence[str]) -> None:
        watches = [self._watches.pop(name) for name in names if name in self._watches]
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        children = [self._running.pop(name) for name in names if name in self._running]
        await asyncio.gather(*(child.stop() for child in children))
        self._write_pids()

    async def _start(self, part: Part) -> None:
        self._running[part.name] = await start_child(part)
        self._write_pids()

    async def _watch(self, part: Part) -> None:
        """Start `part` again whenever it ends, after longer and longer waits, until cancelled."""
        wait_s = _FIRST_WAIT_S
        while True:
            started = time.monotonic()
            code = await self._running[part.name].ended()
            del self._running[part.name]
            if time.monotonic() - started > _HEALTHY_S:
                wait_s = _FIRST_WAIT_S
            self._tell(f"{part.name} ended ({_cause(code)}); starting it again")
            wait_s = await self._start_again(part, wait_s)

    async def _start_again(self, part: Part, wait_s: float) -> float:
        """Try until it runs; the next wait."""
        while True:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            self.restarts[part.name] += 1
            try:
                await self._start(part)
            except ChildFailed as error:
                self._tell(str(error))
            else:
                self._tell(f"{part.name} runs again")
                return wait_s

    def _write_pids(self) -> None:
        """Write down the processes' ids, for people; nothing reads them."""
        pids = {name: child.pid for name, child in self._running.items()}
        with suppress(OSError):
            write_json(self._pids, {"demo": os.getpid(), **pids})


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
