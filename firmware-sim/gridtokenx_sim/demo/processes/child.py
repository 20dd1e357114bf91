"""One program of the demo as a child process: started, awaited, stopped; its words in a log file.

A child has a session of its own, so that Ctrl-C reaches the demo alone and the demo decides the
order in which things stop. It dies with the demo (`parent_bond`).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from gridtokenx_sim.demo.processes.parent_bond import bound_to_parent

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 8.0
_KILL_TIMEOUT_S = 5.0
_TAIL_BYTES = 4096

Ready = Callable[["Child"], Awaitable[None]]


class ChildFailed(Exception):
    """A child that did not start, or ended at once; one line names its log."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run. `command` begins with a path; `ready` returns once the program serves."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Ready


class Child:
    """A running part, as `start_child` returns it."""

    def __init__(self, part: Part, process: asyncio.subprocess.Process) -> None:
        self.part = part
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> int:
        """Return the exit code, once it ends; negative for a signal."""
        return await self._process.wait()

    async def first_line(self) -> str:
        """Return what it prints first; empty if it ends without a word."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode(errors="replace")

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if that does not end it in time."""
        for number, timeout_s in (
            (signal.SIGTERM, STOP_TIMEOUT_S),
            (signal.SIGKILL, _KILL_TIMEOUT_S),
        ):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._process.wait()
                return


async def start_child(part: Part) -> Child:
    """Start `part` and waits until it is ready. Raises ChildFailed."""
    with part.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *bound_to_parent(part.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env=environment(),
        )
    child = Child(part, process)
    try:
        await _until_ready(child)
    except BaseException:
        await asyncio.shield(child.stop())
        raise
    return child


async def _until_ready(child: Child) -> None:
    ready = asyncio.ensure_future(child.part.ready(child))
    ended = asyncio.ensure_future(child.ended())
    try:
        await asyncio.wait(
            [ready, ended], timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if ended.done():
            raise ChildFailed(_obituary(child.part, f"ended with exit code {ended.result()}"))
        if not ready.done():
            raise ChildFailed(_obituary(child.part, f"was not ready in {READY_TIMEOUT_S:.0f} s"))
        ready.result()
    finally:
        ready.cancel()
        ended.cancel()
        await asyncio.gather(ready, ended, return_exceptions=True)


def _obituary(part: Part, what: str) -> str:
    words = last_words(part.log)
    said = f" and said: {words}" if words else ""
    return f"{part.name}: {what}{said} (log: {part.log})"


def last_words(log: Path) -> str:
    """Return the last line of a log that is not empty, cut to what fits a line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def environment() -> dict[str, str]:
    """Return our environment, without a proxy between the parts, as all of them are on this
    machine.
    """
    here = "127.0.0.1,localhost"
    return os.environ | {"NO_PROXY": here, "no_proxy": here}
