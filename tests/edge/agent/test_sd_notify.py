"""What systemd would receive, on a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtokenx_edge.agent.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and its address as $NOTIFY_SOCKET has it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@gridtokenx-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name if request.param == "path" else f"\0{name[1:]}")
        receiver.settimeout(5)
        yield receiver, name


def test_each_state_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    receiver, name = manager
    notifier = Notifier.of_process({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.alive()
    notifier.status("2 of 3\nmeters answer")
    notifier.stopping()
    received = [receiver.recv(4096) for _ in range(4)]
    assert received == [b"READY=1", b"WATCHDOG=1", b"STATUS=2 of 3 meters answer", b"STOPPING=1"]
    notifier.close()


def test_a_reload_comes_with_the_time_of_the_monotonic_clock(
    manager: tuple[socket.socket, str],
) -> None:
    receiver, name = manager
    notifier = Notifier.of_process({"NOTIFY_SOCKET": name})
    before_us = time.monotonic_ns() // 1000
    notifier.reloading()
    first, second = receiver.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert before_us <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notifier.close()


def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        notifier = Notifier.of_process(environ)
        notifier.ready()
        notifier.close()


def test_a_manager_that_does_not_listen_does_not_stop_us(
    manager: tuple[socket.socket, str],
) -> None:
    receiver, name = manager
    notifier = Notifier.of_process({"NOTIFY_SOCKET": name})
    started_s = time.monotonic()
    for _ in range(5000):  # more than the socket's queue takes
        notifier.alive()
    assert time.monotonic() - started_s < 5
    assert receiver.recv(4096) == b"WATCHDOG=1"
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_time_is_ours_or_none(
    environ: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.of_process(environ).watchdog_s == watchdog_s
