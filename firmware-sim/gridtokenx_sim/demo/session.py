"""One run of the demo, from the first process to the last, with a screen or without."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.api import ApiSilent
from gridtokenx_sim.demo.community import DemoCommunity
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.processes.broker import Broker
from gridtokenx_sim.demo.processes.child import ChildFailed
from gridtokenx_sim.demo.processes.commands import CommandFailed
from gridtokenx_sim.demo.screen.observer import Observer
from gridtokenx_sim.demo.screen.picture import picture
from gridtokenx_sim.demo.screen.progress import progress_line
from gridtokenx_sim.demo.screen.scene import Event, Scene

SETTLED_TIMEOUT_S = 70.0
_MARKETS = {"realtime", "interval"}
_LOOK_EVERY_S = 1.0
_DRAW_EVERY_S = 0.5
_LOOK_FOR_TRADE_EVERY_S = 0.2
_LINE_EVERY_S = 5.0
_KEPT_EVENTS = 20


class RunFailed(Exception):
    """The run did not come to its end; one line says why."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came before the run's end."""


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """How a session runs. With `until_settled` it ends once both markets have traded.

    Otherwise `screen` says how it shows itself.
    """

    until_settled: bool
    screen: bool


class Session:
    """Runs the community of `folder` in one mode."""

    def __init__(self, folder: Folder, broker: Broker, speed: float, mode: Mode) -> None:
        self._mode = mode
        self._events: list[Event] = []
        self._running = DemoCommunity(folder, broker, speed, self._hear)
        self._observer: Observer | None = None

    async def run(self) -> Scene:
        """Return the last scene, once everything has stopped. Raises RunFailed, Interrupted."""
        try:
            await _until_signalled(self._work())
        except (ChildFailed, CommandFailed, ApiSilent) as error:
            raise RunFailed(str(error)) from None
        except Interrupted:
            if self._observer is None or self._mode.until_settled:
                raise
        finally:
            await self._running.stop()
        return self._scene()

    async def _work(self) -> None:
        self._say(f"community {town.TITLE}; everything it makes is in {self._running.folder.root}")
        self._observer = observer = await self._running.start()
        if self._mode.until_settled:
            await self._until_settled(observer)
            await self._running.settle(observer)
        elif self._mode.screen:
            await self._show(observer)
        else:
            await self._print_lines(observer)

    async def _until_settled(self, observer: Observer) -> None:
        deadline = time.monotonic() + SETTLED_TIMEOUT_S
        while missing := _MARKETS - await observer.markets_traded():
            if time.monotonic() > deadline:
                which = " and ".join(sorted(missing))
                raise RunFailed(
                    f"expected a settled trade within {SETTLED_TIMEOUT_S:.0f} s in: {which}"
                )
            await asyncio.sleep(_LOOK_FOR_TRADE_EVERY_S)
        await observer.look()
        self._say(progress_line(self._scene()))

    async def _show(self, observer: Observer) -> None:
        console = Console(markup=False)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            looking = asyncio.create_task(_keep_looking(observer))
            try:
                while True:
                    live.update(picture(self._scene(), console.width), refresh=True)
                    await asyncio.sleep(_DRAW_EVERY_S)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)

    async def _print_lines(self, observer: Observer) -> None:
        while True:
            await observer.look()
            sys.stdout.write(progress_line(self._scene()) + "\n")
            sys.stdout.flush()
            await asyncio.sleep(_LINE_EVERY_S)

    def _scene(self) -> Scene:
        assert self._observer is not None
        supervisor = self._running.supervisor
        return self._observer.scene(supervisor.down, supervisor.restarts.total(), self._events)

    def _hear(self, text: str) -> None:
        """Take the news that a part died or came back: it goes to the screen, or to a line where
        there is none.
        """
        if self._observer is not None:
            self._events = [*self._events, Event(self._scene().time_ms, text)][-_KEPT_EVENTS:]
        if self._observer is None or not self._mode.screen:
            self._say(text)

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


async def _keep_looking(observer: Observer) -> None:
    while True:
        await observer.look()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Do the work; a signal cancels it. Raises Interrupted then."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    signalled = False

    def on_signal() -> None:
        nonlocal signalled
        signalled = True  # a second signal changes nothing, as stopping takes a bounded time
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if not signalled:
            raise
        raise Interrupted from None
