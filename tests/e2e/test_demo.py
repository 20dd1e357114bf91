"""The demo as a stranger runs it: real processes, real lines, a real broker, and nothing left."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

NAME = ".gridtokenx-demo"
DEMO = [sys.executable, "-m", "gridtokenx_sim", "demo"]
SETTLED = ("--until-settled", "--json")
KEYS = {
    "readings_accepted",
    "readings_rejected",
    "minted_uwh",
    "orders",
    "trades",
    "auction_trades",
    "settlements",
    "checks_passed",
    "checks_total",
    "elapsed_s",
}
FAST = ("--speed", "600")


def run_demo(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments], cwd=place, capture_output=True, text=True, timeout=100, check=False
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the one JSON object of a run that passed every check."""
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result: dict[str, Any] = json.loads(line)
    assert result["checks_passed"] == result["checks_total"] >= 12
    return result


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return a first start, from nothing to a settled trade in both markets."""
    place = tmp_path_factory.mktemp("first")
    return place, result_of(run_demo(place, *SETTLED))


@pytest.fixture
def place(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """Return a folder in which a demo has run before, so that its keys need not be made again."""
    shutil.copytree(first[0] / NAME, tmp_path / NAME)
    return tmp_path


class Demo:
    """A demo that runs until it is told to stop."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [*DEMO, *arguments],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, stream: IO[str] | None, text: str) -> str:
        """Return the first line with `text`."""
        assert stream is not None
        for line in stream:
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}")

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self.place / NAME / "pids.json").read_text())
        return pids

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., Demo]]:
    demos: list[Demo] = []

    def build(*arguments: str) -> Demo:
        demos.append(Demo(place, *arguments))
        return demos[-1]

    yield build
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.communicate(timeout=10)


def processes_of(place: Path) -> list[str]:
    """Return every process on this machine that works in or for `place`."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.info["status"] != psutil.STATUS_ZOMBIE and (
            str(place) in words or process.info["cwd"] == str(place)
        ):
            found.append(words)
    return found


def nothing_is_left(place: Path) -> None:
    assert processes_of(place) == []
    configs = [path.read_text() for path in (place / NAME / "config").iterdir()]
    ports = {
        int(port) for text in configs for port in re.findall(r"(?:port =|listener) (\d+)", text)
    }
    assert len(ports) == 4
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, port
    assert [path.name for path in place.iterdir()] == [NAME]
    assert list((place / NAME / "lines").iterdir()) == []


def soon(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_settles_a_trade_and_checks_everything_that_it_stored(
    first: tuple[Path, dict[str, Any]],
) -> None:
    place, result = first
    assert set(result) == KEYS
    assert result["readings_accepted"] > 0
    assert result["readings_rejected"] == 0
    assert result["minted_uwh"] > 0
    assert result["trades"] == result["settlements"] > result["auction_trades"] > 0
    assert result["elapsed_s"] < 90
    nothing_is_left(place)


def test_started_again_it_goes_on_with_the_same_keys_and_the_same_journal(
    first: tuple[Path, dict[str, Any]], place: Path
) -> None:
    before = first[1]
    kept = ("identities.json", "keys/north.device.key", "data/backend/ack.key")
    contents = [(place / NAME / name).read_bytes() for name in kept]
    clock = json.loads((place / NAME / "clock.json").read_text())
    after = result_of(run_demo(place, *SETTLED, *FAST))
    assert [(place / NAME / name).read_bytes() for name in kept] == contents
    assert (
        json.loads((place / NAME / "clock.json").read_text())["community_ms"] > clock["newest_ms"]
    )
    assert after["readings_accepted"] > before["readings_accepted"]
    assert after["readings_rejected"] == 0
    assert after["minted_uwh"] > before["minted_uwh"]
    nothing_is_left(place)


def test_fresh_starts_over(first: tuple[Path, dict[str, Any]], place: Path) -> None:
    wallets = json.loads((place / NAME / "identities.json").read_text())["wallets"]
    result_of(run_demo(place, *SETTLED, *FAST, "--fresh"))
    new = json.loads((place / NAME / "identities.json").read_text())["wallets"]
    assert set(new) == set(wallets)
    assert not set(new.values()) & set(wallets.values())
    nothing_is_left(place)


def test_the_embedded_broker_serves_as_well(place: Path) -> None:
    done = run_demo(place, *SETTLED, *FAST, "--broker", "amqtt")
    result_of(done)
    assert "amqtt" in done.stderr
    nothing_is_left(place)


def test_without_json_it_prints_a_table_of_the_checks(place: Path) -> None:
    done = run_demo(place, "--until-settled", *FAST)
    assert done.returncode == 0, done.stderr
    assert "✓ │ journal is gapless" in done.stdout
    assert "✗" not in done.stdout
    assert "settlements" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_that_it_started(
    place: Path, start: Callable[..., Demo], number: signal.Signals
) -> None:
    demo = start(*FAST)
    demo.read_until(demo.process.stdout, "readings accepted")
    assert len(processes_of(place)) >= 6
    assert demo.end(number) == 0
    nothing_is_left(place)


def test_a_signal_while_it_starts_stops_it_too(place: Path, start: Callable[..., Demo]) -> None:
    demo = start(*SETTLED)
    demo.read_until(demo.process.stderr, "starting")
    assert demo.end(signal.SIGINT) == 130
    assert processes_of(place) == []


def test_killed_it_leaves_no_orphan_and_the_next_start_finds_everything_sound(
    place: Path, start: Callable[..., Demo]
) -> None:
    demo = start(*FAST)
    demo.read_until(demo.process.stdout, "readings accepted")
    assert len(demo.pids()) == 6
    demo.process.kill()
    demo.process.wait()
    soon(lambda: processes_of(place) == [])
    result_of(run_demo(place, *SETTLED, *FAST))
    nothing_is_left(place)


def test_parts_that_are_killed_are_started_again_and_nothing_is_lost(
    place: Path, start: Callable[..., Demo]
) -> None:
    demo = start(*FAST)
    demo.read_until(demo.process.stdout, "readings accepted")
    before = demo.pids()
    for name in ("broker", "meters", "backend", "gateway-north", "gateway-south"):
        os.kill(before[name], signal.SIGKILL)
    again = {name for name in before if name != "demo"}
    while again:
        line = demo.read_until(demo.process.stderr, "runs again")
        again.discard(line.split()[0])
    after = demo.pids()
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in before if name != "demo")
    assert demo.end(signal.SIGTERM) == 0
    result_of(run_demo(place, *SETTLED, *FAST))


def test_what_dlms_meters_recorded_while_their_gateway_was_gone_is_sent_afterwards(
    place: Path, start: Callable[..., Demo]
) -> None:
    demo = start(*FAST)
    demo.read_until(demo.process.stdout, "readings accepted")
    log = place / NAME / "logs" / "gateway-north.log"
    soon(lambda: '"meter": "ISKRAEMECO-40012345"' in log.read_text())
    os.kill(demo.pids()["gateway-north"], signal.SIGKILL)
    demo.read_until(demo.process.stderr, "gateway-north runs again")
    soon(lambda: "gap_repaired" in log.read_text(), within_s=40.0)
    assert demo.end(signal.SIGTERM) == 0
    result_of(run_demo(place, *SETTLED, *FAST))


def test_a_second_demo_in_the_same_folder_is_refused(
    place: Path, start: Callable[..., Demo]
) -> None:
    demo = start(*FAST)
    demo.read_until(demo.process.stderr, "community")
    second = run_demo(place, *SETTLED)
    assert second.returncode == 2
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert f"another demo is running here (process {demo.process.pid})" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--json",), "--json: expected --until-settled"),
        (("--speed", "0.5"), "--speed: expected 1 to 3600, got 0.5"),
        (("--speed", "1e9"), "--speed: expected 1 to 3600"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    done = run_demo(tmp_path, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(expected)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "thesis.txt").write_text("years of work")
    done = run_demo(tmp_path, "--fresh")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / NAME / "thesis.txt").exists()


def test_a_part_that_cannot_start_is_named_with_its_log(place: Path) -> None:
    (place / NAME / "data" / "backend" / "ack.key").write_text("no key")
    done = run_demo(place, *SETTLED)
    assert done.returncode == 1
    reason = done.stderr.splitlines()[-1]
    assert reason.startswith("backend: ended with exit code 2")
    assert str(place / NAME / "logs" / "backend.log") in reason
    assert processes_of(place) == []


def test_a_forged_journal_fails_the_checks_by_name(place: Path) -> None:
    with sqlite3.connect(place / NAME / "data" / "backend" / "journal.db") as rows:
        rows.execute("UPDATE trade SET fee_ugrx = fee_ugrx + 1")
    rows.close()
    done = run_demo(place, *SETTLED, *FAST)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    failed = [line.partition(":")[0] for line in done.stderr.splitlines()[-2:]]
    assert result["checks_passed"] == result["checks_total"] - len(failed)
    assert sorted(failed) == ["history_is_the_journal", "replay_agrees"]


def test_on_a_terminal_it_draws_the_community_and_ctrl_c_ends_it(place: Path) -> None:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [*DEMO, *FAST],
        cwd=place,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(terminal)
    seen = b""
    while not (b"order book" in seen and b"settled" in seen):
        seen += os.read(controller, 65536)
    assert b"\x1b[?1049h" in seen  # the other screen
    process.send_signal(signal.SIGINT)
    while chunk := _read(controller):
        seen += chunk
    assert process.wait(30) == 0
    assert b"\x1b[?1049l" in seen  # and back
    assert b"start it again to go on" in seen
    os.close(controller)
    nothing_is_left(place)


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # the other end is closed
        return b""
