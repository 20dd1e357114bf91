"""The agent under a service manager: notifications, a watchdog that means it, and SIGHUP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest


class Manager:
    """What systemd does: a socket, the environment, and a look at what arrives."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self.messages: list[str] = []

    def environ(self, **more: str) -> dict[str, str]:
        return {**os.environ, "NOTIFY_SOCKET": str(self.path), **more}

    def has(self, text: str, after: int = 0) -> bool:
        """Whether a message with `text` came, `after` so many others."""
        with suppress(BlockingIOError):
            while True:
                self.messages.append(self._socket.recv(4096).decode())
        return any(text in message for message in self.messages[after:])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


async def stop(agent: subprocess.Popen[Any], wait_until: Any) -> None:
    agent.send_signal(signal.SIGTERM)
    await wait_until(lambda: agent.poll() is not None)
    assert agent.returncode == 0


async def test_systemd_hears_of_start_state_life_and_end(
    meters: Any,
    site: Any,
    broker: Any,
    backend: Any,
    ack_key: str,
    wait_until: Any,
    manager: Manager,
) -> None:
    bus = meters.tcp(meters.meter("abb_b23", 1))
    async with meters.serve(bus) as running:
        site.write(running, ack_key, broker.port)
        agent = site.start(env=manager.environ(WATCHDOG_USEC="400000"))
        await wait_until(lambda: manager.has("READY=1"))
        assert site.outbox.exists()
        await wait_until(lambda: manager.has("STATUS=1 of 1 meters answer; broker connected;"))
        seen = len(manager.messages)
        await wait_until(lambda: manager.has("WATCHDOG=1", after=seen))
        await stop(agent, wait_until)
    assert manager.has("STOPPING=1")
    assert manager.messages[0] == "READY=1"


async def test_dead_meters_and_an_absent_broker_are_no_reason_for_a_restart(
    meters: Any, site: Any, device_key: Any, wait_until: Any, manager: Manager
) -> None:
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z", 1)
    agent = site.start(env=manager.environ(WATCHDOG_USEC="400000"))
    await wait_until(lambda: manager.has("0 of 1 meters answer; broker not connected"))
    await wait_until(lambda: manager.has("") and manager.messages.count("WATCHDOG=1") >= 5)
    seen = len(manager.messages)
    await wait_until(lambda: manager.has("WATCHDOG=1", after=seen))
    assert not manager.has("hangs")
    await stop(agent, wait_until)


async def test_an_agent_that_is_stuck_is_silent_and_speaks_again_when_freed(
    meters: Any, site: Any, device_key: Any, wait_until: Any, manager: Manager
) -> None:
    # A log that nobody reads is a pipe that is full: the next line blocks the whole process.
    reader, writer = os.pipe()
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z", 1)
        agent = site.start(stderr=writer, env=manager.environ(WATCHDOG_USEC="200000"))
        await wait_until(lambda: manager.has("WATCHDOG=1"))
        fill(writer)
        os.close(writer)
        site.config.write_text("what?")
        agent.send_signal(signal.SIGHUP)
        await wait_until(lambda: manager.has("RELOADING=1"))
        await asyncio.sleep(0.2)  # what was on its way
        manager.has("")
        seen = len(manager.messages)
        await asyncio.sleep(0.6)  # three times the watchdog's limit
        assert not manager.has("WATCHDOG=1", after=seen)
        drain = asyncio.create_task(asyncio.to_thread(_read_all, reader))
        await wait_until(lambda: manager.has("WATCHDOG=1", after=seen))
        await stop(agent, wait_until)
    assert b"expected TOML" in await drain


def fill(pipe: int) -> None:
    """Until not a byte more fits."""
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b" ")
    os.set_blocking(pipe, True)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.read()


def two_meters(meters: Any) -> tuple[Any, Any]:
    roof = meters.serial(meters.meter("eastron_sdm630", 1), meters.meter("abb_b23", 2))
    return roof, meters.tcp(meters.meter("carlo_gavazzi_em24_e1", 3, "KY123"))


async def test_a_reload_changes_what_differs_and_loses_and_doubles_no_reading(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any,
    manager: Manager,
) -> None:  # fmt: skip
    every_s = 0.5
    async with meters.serve(*two_meters(meters)) as running:
        site.write(running, ack_key, broker.port, every_s=every_s)
        everything = site.config.read_text()
        without_abb = everything.replace(abb_of(everything), "")
        slower = everything.replace("timeout_ms = 150", "timeout_ms = 200", 1)
        other_uplink = everything.replace("uplink = {", "uplink = {max_unacked_frames = 3, ")
        agent = site.start(env=manager.environ())
        await wait_until(lambda: seen(backend) == {"EASTRON-1001", "ABB-1002", KY})

        for text in (without_abb, everything, slower, other_uplink, everything):
            await reload(agent, site, text, manager, wait_until)
            count, wanted = len(backend.readings), polled(text)
            await wait_until(lambda: seen(backend, count) == wanted)  # noqa: B023
        await stop(agent, wait_until)
    changed = [line["changed"] for line in site.events("reloaded")]
    assert changed == [["bus"], ["bus"], ["bus"], ["bus", "uplink"], ["uplink"]]
    assert len(site.events("started")) == 1
    assert [frame.seq for frame in backend.frames] == list(range(len(backend.frames)))
    times = defaultdict(list)
    for reading in backend.readings:
        times[reading.meter].append(reading.time_ms)
    assert all(before < after for grid in times.values() for before, after in pairwise(grid))
    # The meter on the bus that was never touched has a reading at every grid point.
    missed = sum(line["missed"] for line in site.events("polls_missed"))
    points = {time_ms * 2 // 1000 for time_ms in times[KY]}
    assert len(points) >= max(points) - min(points) + 1 - missed


KY = "CARLO-GAVAZZI-KY123"


def abb_of(text: str) -> str:
    start = text.index('[[bus.meter]]\nid = "ABB-1002"')
    end = text.index("[[bus]]", start)
    return text[start:end]


def polled(text: str) -> set[str]:
    return {"EASTRON-1001", KY} | ({"ABB-1002"} if "ABB-1002" in text else set())


def seen(backend: Any, after: int = 0) -> set[str]:
    return {reading.meter for reading in backend.readings[after:]}


async def reload(
    agent: subprocess.Popen[str], site: Any, text: str, manager: Manager, wait_until: Any
) -> None:
    manager.has("")
    before = len(manager.messages)
    site.config.write_text(text)
    agent.send_signal(signal.SIGHUP)
    await wait_until(lambda: manager.has("RELOADING=1", before) and manager.has("READY=1", before))


async def test_a_config_that_is_wrong_or_wants_a_restart_changes_nothing(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any,
    manager: Manager,
) -> None:  # fmt: skip
    async with meters.serve(*two_meters(meters)) as running:
        site.write(running, ack_key, broker.port)
        good = site.config.read_text()
        agent = site.start(env=manager.environ())
        await wait_until(lambda: len(seen(backend)) == 3)
        wrong = good.replace('profile = "abb_b23"', 'profile = "abb"').replace("= 150", "= 1")
        for text in (wrong, good.replace('"lane"', '"street"').replace("= 150", "= 160"), good):
            await reload(agent, site, text, manager, wait_until)
        count = len(backend.readings)
        await wait_until(lambda: len(seen(backend, count)) == 3)
        await stop(agent, wait_until)
    reasons = [line["reason"] for line in site.events("reload_refused")]
    assert [reason.partition(": expected ")[2][:12] for reason in reasons[:3]] == [
        "10 to 60000,",
        "one of abb_b",
        "10 to 60000,",
    ]
    assert reasons[3:] == [
        "[site] cannot change while the agent runs; restart it: its old config stays until then"
    ]
    assert [line["changed"] for line in site.events("reloaded")] == [[]]


async def test_another_broker_takes_over_at_a_reload(
    meters: Any,
    site: Any,
    broker: Any,
    backend: Any,
    ack_key: str,
    wait_until: Any,
    tmp_path: Path,
    manager: Manager,
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = type(broker)(folder)
    second.start()
    try:
        async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
            site.write(running, ack_key, broker.port)
            agent = site.start(env=manager.environ())
            await wait_until(lambda: backend.readings)
            moved = site.config.read_text().replace(str(broker.port), str(second.port))
            await reload(agent, site, moved, manager, wait_until)
            assert backend.statuses[-1]["state"] == "offline", "it said goodbye to the first"
            backend.disconnect()
            count, since_s = len(backend.readings), time.time()
            backend.connect(second.port)
            await wait_until(lambda: len(backend.readings) > count + 3)
            await stop(agent, wait_until)
        hosts = [line["port"] for line in site.events("broker_connected")]
        assert hosts == [broker.port, second.port]
        assert backend.readings[-1].time_ms > since_s * 1000
        assert [frame.seq for frame in backend.frames] == list(range(len(backend.frames)))
        assert json.dumps(site.log()).count("Traceback") == 0
    finally:
        second.stop()
