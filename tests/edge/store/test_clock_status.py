"""What the gateway knows of its clock, and what becomes of readings taken before it was set."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_edge.store.clock_status import ClockMark, ClockWatch, Run, kernel_synchronised
from gridtokenx_edge.store.held_readings import HeldReadings, Limits
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.reading import Reading, ReadingFlag

WALL_MS = 1_782_000_000_000
LIMITS = Limits(readings=100, readings_per_frame=10, group_s=60.0, hold_s=600.0)


class Clocks:
    """A machine that came up five seconds ago."""

    def __init__(self, synchronised: bool = True, wall_ms: int = WALL_MS) -> None:
        self.wall_ms = wall_ms
        self.boot_ms = 5_000
        self.synchronised = synchronised

    def pass_ms(self, wall_ms: int, boot_ms: int | None = None) -> None:
        self.wall_ms += wall_ms
        self.boot_ms += wall_ms if boot_ms is None else boot_ms

    def watch(self, source: str = "system", boot: str = "boot-1") -> ClockWatch:
        config = ClockConfig(source=source)  # type: ignore[arg-type]
        return ClockWatch(
            config, lambda: self.synchronised, lambda: self.wall_ms, lambda: self.boot_ms, boot
        )


def test_the_kernel_says_whether_the_clock_is_kept() -> None:
    assert kernel_synchronised() in (True, False)


@pytest.mark.parametrize(("synchronised", "source"), [(True, "ntp"), (False, "none")])
def test_a_system_clock_is_as_good_as_the_kernel_says(synchronised: bool, source: str) -> None:
    run = Clocks(synchronised).watch().look()
    assert (run.synchronised, run.stepped, run.source) == (synchronised, False, source)


def test_a_scaled_clock_is_synchronised_by_definition() -> None:
    run = Clocks(synchronised=False).watch("scaled").look()
    assert (run.synchronised, run.source) == (True, "scaled")


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
def test_a_step_of_more_than_a_second_begins_another_run_of_the_clock(
    wall_ms: int, boot_ms: int, stepped: bool
) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    before = watch.look()
    clocks.pass_ms(wall_ms, boot_ms)
    after = watch.look()
    assert (after != before, after.stepped) == (stepped, stepped)
    clocks.pass_ms(10_000)
    assert watch.look() == after


def test_being_set_without_a_step_begins_another_run_too() -> None:
    clocks = Clocks(synchronised=False)
    watch = clocks.watch()
    before = watch.look()
    clocks.synchronised = True
    clocks.pass_ms(400, 10)
    after = watch.look()
    assert (before.number, after.number) == (0, 1)
    assert (after.synchronised, after.stepped) == (True, False)


@pytest.mark.parametrize(
    ("boot", "step_ms", "stepped"),
    [("boot-1", 3_600_000, True), ("boot-1", 900, False), ("boot-2", 3_600_000, False)],
)
def test_a_step_while_no_agent_ran_is_told_by_the_next_on_the_same_boot(
    boot: str, step_ms: int, stepped: bool
) -> None:
    clocks = Clocks()
    former = clocks.watch()
    mark = former.mark(former.look())
    assert mark == ClockMark("boot-1", WALL_MS - 5_000)
    clocks.pass_ms(30_000 + step_ms, 30_000)
    watch = clocks.watch(boot=boot)
    watch.restore(mark)
    assert watch.look().stepped is stepped


# --- readings held ------------------------------------------------------------------------------


def reading(clocks: Clocks, meter: str = "M-1", flags: int = 0) -> Reading:
    return Reading(
        meter=meter, time_ms=clocks.wall_ms, import_uwh=1, export_uwh=2, power_w=3, flags=flags
    )


def taken(held: HeldReadings) -> list[tuple[Run, list[Reading]]]:
    found = []
    while len(held):
        batch, run = held.take()
        found.append((run, batch))
    return found


def test_readings_from_before_the_clock_was_set_get_the_time_that_it_was() -> None:
    clocks = Clocks(synchronised=False, wall_ms=0)  # a Pi without a battery
    watch, held = clocks.watch(), HeldReadings(LIMITS)
    for _ in range(3):
        held.add(reading(clocks), watch.look(), clocks.boot_ms / 1000)
        clocks.pass_ms(10_000)
    clocks.synchronised = True
    clocks.wall_ms = WALL_MS
    run = watch.look()
    assert held.retime(run) == 3
    held.add(reading(clocks), run, clocks.boot_ms / 1000)
    (former, retimed), (now, fresh) = taken(held)
    assert [each.time_ms for each in retimed] == [
        WALL_MS - 30_000,
        WALL_MS - 20_000,
        WALL_MS - 10_000,
    ]
    assert {each.flags for each in retimed} == {ReadingFlag.RETIMED}
    assert (former.synchronised, former.stepped, former.retimed) == (True, True, True)
    assert (now, fresh) == (run, [reading(clocks)]), "never in one frame with what came after"


def test_a_time_of_the_meters_own_is_left_as_it_is() -> None:
    clocks = Clocks(synchronised=False, wall_ms=0)
    watch, held = clocks.watch(), HeldReadings(LIMITS)
    own = Reading(
        meter="M-1",
        time_ms=WALL_MS + 7,
        import_uwh=1,
        export_uwh=2,
        power_w=3,
        flags=ReadingFlag.METER_TIME,
    )
    held.add(own, watch.look(), 5.0)
    clocks.synchronised, clocks.wall_ms = True, WALL_MS
    held.retime(watch.look())
    assert held.take()[0] == [own]


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        ({"synchronised": False}, 2),
        ({"wall_ms": WALL_MS + 7_200_000}, 2),
        ({"wall_ms": WALL_MS - 7_200_000}, 2),
        ({"wall_ms": WALL_MS + 900}, 1),
    ],
)
def test_a_frame_never_mixes_readings_from_before_and_after_a_change_of_the_clock(
    change: dict[str, Any], runs: int
) -> None:
    clocks = Clocks()
    watch, held = clocks.watch(), HeldReadings(LIMITS)
    held.is_first = False
    held.add(reading(clocks), watch.look(), 5.0)
    vars(clocks).update(change)
    held.add(reading(clocks), watch.look(), 5.0)
    assert held.wait_s(5.0, is_polling=False) == (60.0 if runs == 1 else 0.0)
    assert len(taken(held)) == runs


def test_without_a_hold_readings_are_sealed_by_the_round_as_ever() -> None:
    clocks = Clocks(synchronised=False)
    held = HeldReadings(msgspec.structs.replace(LIMITS, hold_s=0.0, group_s=0.0))
    held.add(reading(clocks), clocks.watch().look(), 100.0)
    assert held.wait_s(100.5, is_polling=True) == 1.5
    assert held.wait_s(100.5, is_polling=False) == 0.0


@pytest.mark.parametrize(
    ("since_s", "count", "wait_s"),
    [
        (0, 1, 1.0),  # looks every second whether the clock is set
        (599.5, 1, 0.5),
        (600, 1, 0.0),  # a first frame waits for no others
        (0, 50, 1.0),
        (0, 51, 0.0),  # half of the room is taken
    ],
)
def test_without_a_clock_readings_wait_for_it_but_not_for_ever(
    since_s: float, count: int, wait_s: float
) -> None:
    clocks = Clocks(synchronised=False)
    run, held = clocks.watch().look(), HeldReadings(LIMITS)
    for _ in range(count):
        held.add(reading(clocks), run, 100.0)
    assert held.wait_s(100.0 + since_s, is_polling=False) == wait_s
    batch, of = held.take()
    assert not of.synchronised
    assert not batch[0].flags


@given(
    st.lists(
        st.tuples(
            st.integers(2_000, 60_000),  # to the next reading
            st.sampled_from([0, 0, 0, 5_000, -5_000, 10**9, -(10**6)]),  # a step before it
        ),
        max_size=40,
    )
)
def test_the_order_of_a_meters_readings_stays_whatever_the_clock_did_before_it_was_set(
    life: list[tuple[int, int]],
) -> None:
    clocks = Clocks(synchronised=False)
    watch, held = clocks.watch(), HeldReadings(LIMITS)
    for pause_ms, step_ms in life:
        clocks.pass_ms(pause_ms)
        clocks.wall_ms += step_ms
        held.add(reading(clocks), watch.look(), clocks.boot_ms / 1000)
    boots = [clocks.boot_ms]
    for pause_ms, _ in reversed(life):
        boots.append(boots[-1] - pause_ms)
    clocks.synchronised, clocks.wall_ms = True, WALL_MS * 2
    held.retime(watch.look())
    times = [each.time_ms for _, batch in taken(held) for each in batch]
    offset_ms = clocks.wall_ms - clocks.boot_ms
    assert times == [boot_ms + offset_ms for boot_ms in reversed(boots[:-1])]
