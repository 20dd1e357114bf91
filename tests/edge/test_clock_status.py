"""What frames say of the gateway's clock."""

from __future__ import annotations

import pytest

from gridtokenx_edge.clock_status import ClockWatch, kernel_synchronised
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.frame import ClockStatus


class Clocks:
    def __init__(self) -> None:
        self.wall_ms = 1_782_000_000_000
        self.boot_ms = 5_000
        self.synchronised = True

    def pass_ms(self, wall_ms: int, boot_ms: int | None = None) -> None:
        self.wall_ms += wall_ms
        self.boot_ms += wall_ms if boot_ms is None else boot_ms

    def watch(self, source: str = "system") -> ClockWatch:
        config = ClockConfig(source=source)  # type: ignore[arg-type]
        return ClockWatch(
            config, lambda: self.synchronised, lambda: self.wall_ms, lambda: self.boot_ms
        )


def test_the_kernel_says_whether_the_clock_is_kept() -> None:
    assert kernel_synchronised() in (True, False)


@pytest.mark.parametrize(("synchronised", "source"), [(True, "ntp"), (False, "none")])
def test_a_system_clock_is_as_good_as_the_kernel_says(synchronised: bool, source: str) -> None:
    clocks = Clocks()
    clocks.synchronised = synchronised
    assert clocks.watch().status() == ClockStatus(synchronised, False, source)


def test_a_scaled_clock_is_synchronised_by_definition() -> None:
    clocks = Clocks()
    clocks.synchronised = False
    assert clocks.watch("scaled").status() == ClockStatus(True, False, "scaled")


@pytest.mark.parametrize(
    ("wall_ms", "boot_ms", "stepped"),
    [
        (10_000, 10_000, False),
        (10_000, 9_100, False),
        (10_000, 8_900, True),
        (10_000, 11_100, True),
        (-3_600_000, 10_000, True),
        (86_400_000, 86_400_000, False),  # asleep for a day: the uptime counts it
    ],
)
def test_a_step_of_more_than_a_second_since_the_last_frame_is_told_once(
    wall_ms: int, boot_ms: int, stepped: bool
) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    assert not watch.status().stepped
    clocks.pass_ms(wall_ms, boot_ms)
    assert watch.status().stepped is stepped
    clocks.pass_ms(10_000)
    assert not watch.status().stepped
