"""Clocks: the system's, and the scaled one that a demo's processes share."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from gridtokenx_wire.clock import ClockConfig, make_clock, write_stepped
from gridtokenx_wire.errors import ConfigError

WALL_MS = 1_782_036_000_000
NOON_MS = 1_750_000_000_000


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the wall's clock in nanoseconds, to be set by the test."""
    now_ns = [WALL_MS * 1_000_000]
    monkeypatch.setattr(time, "time_ns", lambda: now_ns[0])
    return now_ns


@pytest.mark.parametrize(
    ("config", "passed_ms", "shows_ms"),
    [
        (ClockConfig(), 0, WALL_MS),
        (ClockConfig(), 1234, WALL_MS + 1234),
        (ClockConfig(offset_ms=-90_000), 0, WALL_MS - 90_000),
        (ClockConfig(source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS), 0, NOON_MS),
        (
            ClockConfig(source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS, speed=180),
            1000,
            NOON_MS + 180_000,
        ),
        (
            ClockConfig(source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS, speed=180),
            -1000,
            NOON_MS - 180_000,
        ),
        (
            ClockConfig(source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS, speed=0.5),
            1000,
            NOON_MS + 500,
        ),
        (
            ClockConfig(
                source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS, speed=60, offset_ms=7
            ),
            1000,
            NOON_MS + 60_007,
        ),
    ],
)
def test_a_clock_shows_community_time(
    wall: list[int], config: ClockConfig, passed_ms: int, shows_ms: int
) -> None:
    clock = make_clock(config)
    wall[0] += passed_ms * 1_000_000
    assert clock.now_ms() == shows_ms


def test_processes_with_the_same_config_see_the_same_time(wall: list[int]) -> None:
    config = ClockConfig(source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS, speed=180)
    first = make_clock(config)
    wall[0] += 5_000_000_000
    second = make_clock(config)
    assert first.now_ms() == second.now_ms()


def test_a_scaled_clock_resolves_milliseconds_at_any_speed(wall: list[int]) -> None:
    clock = make_clock(ClockConfig(source="scaled", wall_ms=WALL_MS, community_ms=NOON_MS, speed=1))
    seen = set()
    for _ in range(1000):
        wall[0] += 1_000_000
        seen.add(clock.now_ms())
    assert len(seen) == 1000


def test_real_seconds_are_shorter_when_time_runs_faster() -> None:
    assert make_clock(ClockConfig()).real_seconds(10_000) == 10.0
    assert make_clock(ClockConfig(source="scaled", speed=180)).real_seconds(900_000) == 5.0


@pytest.mark.parametrize("speed", [0, -1, 100_001, float("nan"), float("inf")])
def test_a_clock_must_run_forward(speed: float) -> None:
    with pytest.raises(ValueError, match="speed above 0"):
        ClockConfig(source="scaled", speed=speed)


@pytest.mark.parametrize("table", [{"source": "gps"}, {"speed": "180"}, {"pace": 2}])
def test_a_clocks_config_is_strict(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, ClockConfig)


def test_a_stepped_clock_stands_until_its_file_is_moved(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    write_stepped(path, NOON_MS)
    clocks = [
        make_clock(ClockConfig(source="stepped", path=str(path), offset_ms=ms)) for ms in (0, 7)
    ]
    assert [clock.now_ms() for clock in clocks] == [NOON_MS, NOON_MS + 7]
    write_stepped(path, NOON_MS + 900_000)
    assert clocks[0].now_ms() == NOON_MS + 900_000


def test_a_stepped_clock_without_its_file_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"1234")
    for name in ("missing", "short"):
        with pytest.raises(ConfigError, match=f"{name}: expected eight bytes"):
            make_clock(ClockConfig(source="stepped", path=str(tmp_path / name)))
    with pytest.raises(ValueError, match="expected the path"):
        ClockConfig(source="stepped")
