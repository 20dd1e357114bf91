"""Whose loop hangs? Judged without a clock of its own, then with the agent's own loops."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from tests.edge.polling.surroundings import surroundings

from gridtokenx_edge.agent.sd_notify import Notifier
from gridtokenx_edge.agent.watchdog import Watchdog
from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus, UplinkConfig
from gridtokenx_edge.modbus.driver import ModbusDriver, poll_bound_s
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.buses import Buses
from gridtokenx_edge.polling.task_supervisor import TaskSupervisor, cancel
from gridtokenx_edge.progress import Progress
from gridtokenx_edge.store.clock_status import ClockWatch
from gridtokenx_edge.store.outbox_errors import OutboxUnavailableError
from gridtokenx_edge.store.sealer import Sealer
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import Reading


class Told(Notifier):
    """Keeps what systemd would have been told."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def _send(self, message: str) -> None:
        self.messages.append(message)


class Log:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.events.append((event, fields))


class Now:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_loop_hangs_when_it_has_not_turned_within_its_own_bound() -> None:
    now = Now()
    progress = Progress(now)
    uplink = progress.expect("uplink", 120)
    meter = progress.expect("meter ABB-1", 30)
    assert progress.hanging() == {}
    now.s += 31
    assert progress.hanging() == {"meter ABB-1": 31}
    meter()
    assert progress.hanging() == {}
    now.s += 121
    assert progress.hanging() == {"uplink": 152, "meter ABB-1": 121}
    uplink()
    progress.forget("meter ABB-1")
    assert progress.hanging() == {}
    meter()  # a last turn of a loop that was stopped
    now.s += 100
    assert progress.hanging() == {}


def test_one_loop_that_hangs_silences_the_watchdog_and_is_named_once() -> None:
    now, log, told = Now(), Log(), Told()
    progress = Progress(now)
    uplink, meter = progress.expect("uplink", 60), progress.expect("meter ABB-1", 20)
    watchdog = Watchdog(told, progress, lambda: "1 of 1 meters answer", cast(Any, log))
    for _ in range(4):
        now.s += 10
        uplink()
        watchdog.look()
    alive = ["WATCHDOG=1", "STATUS=1 of 1 meters answer"]
    assert told.messages == alive * 2 + ["STATUS=hangs: meter ABB-1"] * 2
    assert log.events == [("loop_hangs", {"loop": "meter ABB-1", "silent_s": 30})]
    meter()
    watchdog.look()
    assert told.messages[-2:] == alive
    assert log.events[-1] == ("loop_turns", {"loop": "meter ABB-1"})


async def test_it_looks_at_half_of_the_watchdogs_time(wait_until: Any) -> None:
    told = Told()
    told.watchdog_s = 0.2
    watchdog = Watchdog(told, Progress(), str, cast(Any, Log()))
    loop = asyncio.get_running_loop()
    started_s, task = loop.time(), asyncio.create_task(watchdog.run())
    await wait_until(lambda: told.messages.count("WATCHDOG=1") == 6)
    await cancel(task)
    assert 0.45 <= loop.time() - started_s < 5


class Sink:
    def begin(self) -> None: ...

    def add(self, reading: Reading) -> None: ...

    def end(self) -> None: ...


def modbus_buses(progress: Progress, log: Log) -> Buses:
    supervisor = TaskSupervisor(lambda fault: pytest.fail(str(fault)))
    around = surroundings(make_clock(ClockConfig()), log)
    return Buses({"bus": ModbusDriver}, around, Sink(), progress, supervisor)


DEAD = TcpBus(
    name="hall",
    host="127.0.0.1",
    meter=[MeterConfig(id="ABB-1", profile="abb_b23", address=1, poll_every_s=0.1)],
    port=1,
    timeout_ms=50,
)


async def test_a_line_that_is_down_is_no_hang(
    monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr("gridtokenx_edge.polling.poller._LONGEST_SLEEP_S", 0.02)
    monkeypatch.setattr("gridtokenx_edge.modbus.line._RECONNECT_BASE_S", 0.02)
    monkeypatch.setattr("gridtokenx_edge.modbus.line._RECONNECT_CAP_S", 0.02)
    now = Now()
    log, progress = Log(), Progress(now)
    buses = modbus_buses(progress, log)
    await buses.apply({"bus": [DEAD]}, 0)
    await wait_until(lambda: log.events)
    now.s += 10_000
    assert progress.hanging().keys() == {"line hall", "meter ABB-1"}
    await wait_until(lambda: not progress.hanging())
    await buses.stop(0)
    now.s += 10_000
    assert progress.hanging() == {}, "what was stopped is not waited for"


async def test_a_poll_that_never_ends_is_a_hang_of_its_meter_alone(
    monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    async def connect(line: Line) -> None:
        line._is_down.clear()
        line._is_up.set()

    stuck = asyncio.Event()

    async def read(*_: object, **__: object) -> list[int]:
        stuck.set()
        return await asyncio.Future()

    monkeypatch.setattr(Line, "connect", connect)
    monkeypatch.setattr(Line, "read", read)
    monkeypatch.setattr("gridtokenx_edge.modbus.line._ROUND_S", 0.02)
    now = Now()
    progress = Progress(now)
    buses = modbus_buses(progress, Log())
    await buses.apply({"bus": [DEAD]}, 0)
    await asyncio.wait_for(stuck.wait(), 10)
    now.s += poll_bound_s(DEAD) + 1
    await wait_until(lambda: progress.hanging().keys() == {"meter ABB-1"})
    await buses.stop(0)


class Disk:
    """An outbox that is full, or whose disk never answers."""

    next_seq = 0
    clock_mark = None

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    async def append(self, *_: object) -> int:
        if not self._answers:
            await asyncio.Future()
        raise OutboxUnavailableError("disk full")


@pytest.mark.parametrize("answers", [True, False])
async def test_a_full_disk_is_no_hang_but_one_that_does_not_answer_is(
    monkeypatch: pytest.MonkeyPatch, wait_until: Any, *, answers: bool
) -> None:
    monkeypatch.setattr("gridtokenx_edge.store.sealer._RETRY_BASE_S", 0.02)
    monkeypatch.setattr("gridtokenx_edge.store.sealer._RETRY_CAP_S", 0.02)
    now, clock, log = Now(), ClockConfig(), Log()
    progress = Progress(now)
    beat, disk = progress.expect("sealer", 60), cast(Any, Disk(answers=answers))
    sealer = Sealer(
        disk, UplinkConfig(), make_clock(clock), ClockWatch(clock), cast(Any, log), print, beat
    )
    task = asyncio.create_task(sealer.run())
    await asyncio.sleep(0)
    sealer.add(Reading(meter="ABB-1", time_ms=1, import_uwh=1, export_uwh=0))
    await asyncio.sleep(0.1)
    now.s += 61
    if answers:
        await wait_until(lambda: not progress.hanging())
    else:
        await asyncio.sleep(0.2)
        assert progress.hanging() == {"sealer": 61}
    sealer.stop()
    await cancel(task)
