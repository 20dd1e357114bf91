"""Children of the demo: ready or named, stopped in time, started again, never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gridtokenx_sim.demo.processes import child as child_module
from gridtokenx_sim.demo.processes import supervisor as supervisor_module
from gridtokenx_sim.demo.processes.broker import Broker, BrokerChoice, NoBroker, choose_broker
from gridtokenx_sim.demo.processes.child import Child, ChildFailed, Part, last_words, start_child
from gridtokenx_sim.demo.processes.commands import CommandFailed, Commands
from gridtokenx_sim.demo.processes.joint_tasks import together
from gridtokenx_sim.demo.processes.parent_bond import bound_to_parent
from gridtokenx_sim.demo.processes.supervisor import Supervisor

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS


async def announces(child: Child) -> None:
    if not await child.first_line():
        await child.ended()


async def never(_: Child) -> None:
    await asyncio.Event().wait()


def part(
    tmp_path: Path,
    code: str = SLEEPS,
    name: str = "worker",
    ready: Callable[[Child], Awaitable[None]] = announces,
) -> Part:
    return Part(
        name=name, command=[sys.executable, "-c", code], log=tmp_path / f"{name}.log", ready=ready
    )


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 (other processes set it)
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[tuple[Supervisor, list[str]]]:
    told: list[str] = []
    made = Supervisor(tmp_path / "pids.json", told.append)
    yield made, told
    await made.stop()


async def test_a_child_is_ready_when_it_says_so(tmp_path: Path) -> None:
    child = await start_child(part(tmp_path))
    assert not is_gone(child.pid)
    await child.stop()
    assert is_gone(child.pid)


async def test_a_child_that_ends_before_it_is_ready_is_named_with_its_log(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no such config')"
    with pytest.raises(ChildFailed) as caught:
        await start_child(part(tmp_path, code))
    line = str(caught.value)
    assert line.startswith("worker: ended with exit code 1 and said: no such config (log: ")
    assert str(tmp_path / "worker.log") in line
    assert "\n" not in line


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = Part(
        name="worker",
        command=["/nonexistent/program"],
        log=tmp_path / "worker.log",
        ready=announces,
    )
    with pytest.raises(ChildFailed, match="/nonexistent/program: No such file"):
        await start_child(missing)


async def test_a_child_that_is_never_ready_is_stopped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "READY_TIMEOUT_S", 0.5)
    with pytest.raises(ChildFailed, match="was not ready"):
        await start_child(part(tmp_path, ready=never))
    assert [child for child in psutil.Process().children() if "sleep(600)" in str(child)] == []


async def test_a_child_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "STOP_TIMEOUT_S", 0.3)
    child = await start_child(part(tmp_path, STUBBORN))
    await child.stop()
    assert is_gone(child.pid)
    assert await child.ended() == -signal.SIGKILL


def test_a_bound_command_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Also a stubborn one, and also after it has become another program."""
    pid_file = tmp_path / "pid"
    replaced = f"import os, sys; os.execv(sys.executable, [sys.executable, '-c', {STUBBORN!r}])"
    parent_code = f"""
import subprocess, sys, time
from gridtokenx_sim.demo.processes.parent_bond import bound_to_parent
command = bound_to_parent([sys.executable, '-c', {replaced!r}])
child = subprocess.Popen(command, stdout=subprocess.PIPE)
child.stdout.readline()
open({str(pid_file)!r}, 'w').write(str(child.pid))
print('up', flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    child = psutil.Process(int(pid_file.read_text()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with suppress(psutil.NoSuchProcess):
        child.wait(10)
    assert not child.is_running()


def test_a_command_whose_parent_has_gone_is_not_started() -> None:
    command = bound_to_parent([sys.executable, "-c", "print('started')"])
    stale = [str(os.getpid() + 1) if word == str(os.getpid()) else word for word in command]
    done = subprocess.run(stale, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


async def test_a_part_that_dies_is_told_and_started_again(
    tmp_path: Path, supervisor: tuple[Supervisor, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_FIRST_WAIT_S", 0.05)
    running, told = supervisor
    await running.start(part(tmp_path))
    (pid,) = _pids(tmp_path)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: told[-1:] == ["worker runs again"])
    assert told[0] == "worker ended (SIGKILL); starting it again"
    assert running.restarts["worker"] == 1
    assert running.down == []
    assert _pids(tmp_path) != [pid]


async def test_a_part_that_keeps_failing_is_tried_again_after_growing_pauses(
    tmp_path: Path, supervisor: tuple[Supervisor, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "_FIRST_WAIT_S", 0.05)
    running, told = supervisor
    once = tmp_path / "once"
    code = f"""
import pathlib, sys, time
if pathlib.Path({str(once)!r}).exists(): sys.exit('broken')
pathlib.Path({str(once)!r}).touch()
print('up', flush=True)
"""
    await running.start(part(tmp_path, code))
    await until(lambda: running.restarts["worker"] >= 3)
    assert running.down == ["worker"]
    assert any("said: broken" in line for line in told)


async def test_parts_stop_in_the_reverse_order(
    tmp_path: Path, supervisor: tuple[Supervisor, list[str]]
) -> None:
    running, told = supervisor
    ended = tmp_path / "ended"
    code = f"""
import signal, sys
def end(*_):
    with open({str(ended)!r}, 'a') as file: file.write(sys.argv[1] + ' ')
    sys.exit()
signal.signal(signal.SIGTERM, end)
print('up', flush=True)
signal.pause()
"""
    for name in ("broker", "meters", "backend"):
        command = [sys.executable, "-c", code, name]
        await running.start(
            Part(name=name, command=command, log=tmp_path / f"{name}.log", ready=announces)
        )
    await running.stop("backend")
    assert ended.read_text().split() == ["backend"]
    await running.stop()
    assert ended.read_text().split() == ["backend", "meters", "broker"]
    assert told == []


async def test_a_failed_start_leaves_nothing_running(
    tmp_path: Path, supervisor: tuple[Supervisor, list[str]]
) -> None:
    running, _ = supervisor
    good, bad = part(tmp_path, name="good"), part(tmp_path, "import sys; sys.exit(3)", "bad")
    with pytest.raises(ChildFailed, match="bad: ended with exit code 3"):
        await running.start(good, bad)
    await running.stop()
    assert _pids(tmp_path) == []


async def test_several_things_at_once_end_with_the_first_failure() -> None:
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def fails() -> None:
        raise CommandFailed("no")

    with pytest.raises(CommandFailed):
        await together(waits(), fails())
    assert cancelled.is_set()


async def test_a_command_that_refuses_is_one_line() -> None:
    with pytest.raises(CommandFailed) as caught:
        await Commands().answer("gridtokenx_sim", "run", "/nonexistent/sim.toml")
    assert "exit code 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mosquitto_is_found_where_debian_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert choose_broker(BrokerChoice.AUTO).name == "Mosquitto (/usr/sbin/mosquitto)"


def test_without_mosquitto_the_embedded_broker_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gridtokenx_sim.demo.processes.broker._SBIN", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert choose_broker(BrokerChoice.AUTO) == Broker("")
    assert "amqtt" in choose_broker(BrokerChoice.AUTO).name
    with pytest.raises(NoBroker, match="sudo apt-get install mosquitto"):
        choose_broker(BrokerChoice.MOSQUITTO)


def test_last_words_are_the_last_line_that_says_anything(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_words(log) == ""
    log.write_text("first\n" + "x" * 9000 + "\nlast \n\n  \n")
    assert last_words(log) == "last"


def _pids(tmp_path: Path) -> list[int]:
    import json

    pids = json.loads((tmp_path / "pids.json").read_text())
    assert pids.pop("demo") == os.getpid()
    return list(pids.values())
