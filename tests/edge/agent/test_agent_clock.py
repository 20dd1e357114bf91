"""The agent on a machine whose clock is set while it runs, and while it does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_wire.reading import ReadingFlag

# The agent in a process of its own, where the wall's clock is wrong by what a file says, and set
# once there is a second file.
_AGENT = """
import sys, time
from pathlib import Path

folder = Path(sys.argv[1])
real_ns = time.time_ns

def shift_ns():
    return int((folder / "shift_s").read_text()) * 1_000_000_000

time.time_ns = lambda: real_ns() + shift_ns()
from gridtokenx_edge.agent import main as agent
from gridtokenx_edge.store import clock_status

clock_status.kernel_synchronised = lambda: (folder / "synchronised").exists()
sys.exit(agent.main([str(folder / "edge.toml"), "1"]))
"""
BEHIND_S = -400_000_000  # some twelve years: a Pi without a battery
UPLINK = "uplink = {seal_after_s = 0, hold_unsynchronised_s = 600}"


class Machine:
    """Sets the clock, and starts and stops the agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.agents: list[subprocess.Popen[bytes]] = []

    def set_clock(self, shift_s: int, synchronised: bool) -> None:
        draft = self.folder / "shift_s.new"
        draft.write_text(str(shift_s))
        draft.replace(self.folder / "shift_s")
        if synchronised:
            (self.folder / "synchronised").touch()

    def start(self) -> None:
        with (self.folder / "edge.log").open("ab") as log:
            command = [sys.executable, "-c", _AGENT, str(self.folder)]
            self.agents.append(subprocess.Popen(command, stderr=log))

    def stop(self) -> None:
        for agent in self.agents:
            agent.terminate()
            agent.wait(10)
        self.agents.clear()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


async def test_what_was_read_before_the_clock_was_set_is_timed_by_the_uptime(
    meters: Any,
    site: Any,
    broker: Any,
    backend: Any,
    ack_key: str,
    machine: Machine,
    wait_until: Callable[..., Any],
) -> None:
    async with meters.serve(meters.serial(meters.meter("eastron_sdm630", 1))) as running:
        site.write(running, ack_key, broker.port, every_s=0.5, extra=UPLINK)
        machine.set_clock(BEHIND_S, synchronised=False)
        started_ms = time.time_ns() // 1_000_000
        machine.start()
        await wait_until(lambda: site.has_log() and site.events("broker_connected"))
        await wait_until(lambda: time.time_ns() // 1_000_000 > started_ms + 3_000)
        assert backend.received == 0, "readings wait for the clock"
        machine.set_clock(0, synchronised=True)
        set_ms = time.time_ns() // 1_000_000
        await wait_until(lambda: len(backend.frames) >= 3)
        machine.stop()
        check_retimed(backend, started_ms, set_ms)

        machine.set_clock(3_600, synchronised=True)  # while no agent runs
        machine.start()
        await wait_until(lambda: len(later_than(backend, set_ms + 1_800_000)) >= 3)
        machine.stop()
    after = later_than(backend, set_ms + 1_800_000)
    assert [frame.clock.stepped for frame in after] == [True, *[False] * (len(after) - 1)]
    assert len(site.events("clock_stepped")) == 2


def later_than(backend: Any, time_ms: int) -> list[Any]:
    return [frame for frame in backend.frames if frame.time_ms[0] > time_ms]


def check_retimed(backend: Any, started_ms: int, set_ms: int) -> None:
    """The first frame is of what was held, on the new clock; those after it are of what came."""
    first, *later = backend.frames
    assert len(first.time_ms) >= 3
    assert (first.clock.synchronised, first.clock.stepped) == (True, True)
    assert all(flags & ReadingFlag.RETIMED for flags in first.flags)
    assert started_ms <= first.time_ms[0] <= first.time_ms[-1] <= set_ms + 1_000
    for frame in later:
        assert (frame.clock.synchronised, frame.clock.stepped) == (True, False)
        assert not any(flags & ReadingFlag.RETIMED for flags in frame.flags)
    times = [time_ms for frame in backend.frames for time_ms in frame.time_ms]
    assert times == sorted(set(times)), "in the order that they were read"
