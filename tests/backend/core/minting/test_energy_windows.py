"""Over every window of time a meter mints at most power × time and one resolution.

Readings come in any number, order and frame; registers jump, fall and roll over; late readings, new
meters and the operator's decisions come between. A mint belongs to the time between the last
accepted reading before it and the last one that it counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, meter_terms, reading

from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameHeld
from gridtokenx_backend.core.model.held_energy import HeldEnergy
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.settlement import DecideHeld

POWER_W = 10_000
STEP = KWH // 10
ROUND = 60 * KWH
TERMS = {"min_interval_s": 1, "resolution_kwh": "0.1", "rollover_kwh": "60", "policy": "export"}


def possible(elapsed_ms: int) -> int:
    return POWER_W * elapsed_ms * 10 // 36


class Minted(NamedTuple):
    """GRID that was minted for what a meter moved between two times."""

    from_ms: int
    to_ms: int
    amount_uwh: int


def assert_intervals_are_bounded(exported: dict[int, int]) -> None:
    """No run of intervals holds more either, but for the µWh that a boundary was rounded by."""
    excess_uwh = before_ms = 0
    for at_ms in sorted(exported):
        excess_uwh = max(0, excess_uwh - possible(at_ms - before_ms))
        excess_uwh = max(0, excess_uwh + exported[at_ms] - possible(INTERVAL_MS))
        assert exported[at_ms] >= 0
        assert excess_uwh <= STEP + 1, at_ms
        before_ms = at_ms + INTERVAL_MS


def assert_bounded(minted: list[Minted]) -> None:
    """Every window that begins and ends with a mint holds no more than power and time allow."""
    for begin in minted:
        for end in minted:
            if end.to_ms <= begin.from_ms:
                continue
            inside = sum(
                each.amount_uwh
                for each in minted
                if each.from_ms >= begin.from_ms and each.to_ms <= end.to_ms
            )
            most_uwh = possible(end.to_ms - begin.from_ms) + STEP
            assert inside <= most_uwh, (begin, end)


class Meter:
    """The community with one hostile gateway, and a note of what was minted for which time."""

    def __init__(self, **terms: Any) -> None:
        self.village = Village()
        self.terms = TERMS | terms
        self.epoch = 0
        self.configure()
        self.minted: list[Minted] = []
        self.rows: dict[int, int] = {}
        self.last_ms = START_MS

    def configure(self) -> None:
        terms = meter_terms("ABB-1", self.village.north, self.village.anna)
        self.village.configure(meter=[terms | self.terms | {"epoch": self.epoch}])

    @property
    def core(self) -> Any:
        return self.village.community.meters["ABB-1"]

    @property
    def held(self) -> HeldEnergy | None:
        held = self.core.guard.held if self.core.guard else None
        assert held is None or isinstance(held, HeldEnergy)
        return held

    def send(self, *readings: tuple[int, int, int]) -> FrameAccepted:
        """A frame of readings: (ms after the start, import, export)."""
        before_ms = self.last_ms
        sent = [
            reading("ABB-1", START_MS + ms, export_uwh=exported, import_uwh=imported)
            for ms, imported, exported in readings
        ]
        outcome = self.village.send(self.village.north, *sent)
        assert isinstance(outcome, FrameAccepted)
        amount_uwh = sum(movement.amount for movement in outcome.movements)
        if amount_uwh:
            self.minted.append(Minted(before_ms, self.core.last_ms, amount_uwh))
        self.last_ms = max(self.last_ms, self.core.last_ms)
        for name, rows in outcome.intervals:
            assert name == "ABB-1"
            self.rows |= {row.interval_ms: row.export_uwh for row in rows}
        return outcome

    def decide(self, decision: Any) -> None:
        """The operator decides on what is held; an impossible release is refused."""
        held = self.held
        if held is None:
            return
        steps = list(held.steps)
        command = DecideHeld(
            meter="ABB-1", entry=held.entry, steps=len(steps), decision=decision, reason="seen"
        )
        later_uwh, last_ms = sum(held.later_uwh.values()), self.last_ms
        before = self.village.grid(self.village.anna)[0]
        self.village.apply(settlement_input(command))
        got = self.village.grid(self.village.anna)[0] - before
        if self.held is not None:
            assert decision == "release"
            assert got == 0
            return
        released = steps if decision == "release" else []
        self.minted += [Minted(s.from_ms, s.to_ms, s.surplus_uwh) for s in released]
        if decision != "void_all" and later_uwh:
            self.minted.append(Minted(steps[0].to_ms, last_ms, later_uwh))
        kept = 0 if decision == "void_all" else later_uwh
        assert got == kept + sum(step.surplus_uwh for step in released)


TIMES = st.sampled_from([1_000, 10_000, 60_000, 5 * 60_000, INTERVAL_MS, HOUR_MS, 30 * HOUR_MS])
MOVES = st.one_of(
    st.just(("power", 0, 0)),
    st.tuples(st.just("power"), st.integers(0, 120), st.integers(-2, 2)),
    st.tuples(st.just("to"), st.integers(0, 60), st.integers(0, 1)),
    st.tuples(st.just("late"), st.integers(1, 99), st.integers(0, 100)),
)
ACTIONS = st.one_of(
    st.lists(st.tuples(TIMES, MOVES), min_size=1, max_size=4),
    st.lists(st.tuples(TIMES, MOVES), min_size=1, max_size=4),
    st.lists(st.tuples(TIMES, MOVES), min_size=1, max_size=4),
    st.sampled_from(["release", "void", "void_all", "epoch"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ACTIONS, min_size=1, max_size=25),
    st.sampled_from(["0", "1", "100"]),
    st.booleans(),
)
def test_no_sequence_of_readings_and_decisions_mints_more_than_power_and_time_allow(
    actions: list[Any], first_stretch: str, starts_at_zero: bool
) -> None:
    meter = Meter(first_energy_kwh=first_stretch, starts_at_zero=starts_at_zero)
    now_ms, shown, last_ms, before_ms = 0, 20 * KWH, 0, 0
    for action in actions:
        if action == "epoch":
            meter.epoch += 1
            meter.configure()
            continue
        if isinstance(action, str):
            meter.decide(action)
            continue
        frame = []
        for elapsed_ms, (kind, first, second) in action:
            if kind == "late":  # somewhere in the last gap, somewhere between its registers
                time_ms = before_ms + (last_ms - before_ms) * first // 100
                frame.append(
                    (time_ms, 5 * KWH, max(0, shown - possible(elapsed_ms) * second // 99))
                )
                continue
            now_ms += elapsed_ms
            before_ms, last_ms = last_ms, now_ms
            if kind == "power":
                shown = max(0, shown + possible(elapsed_ms) * first // 100 + second * STEP) % ROUND
            else:
                shown = first * KWH + second
            frame.append((now_ms, 5 * KWH, shown))
        meter.village.at_ms = START_MS + now_ms
        meter.send(*frame)
    assert_bounded(meter.minted)
    assert_intervals_are_bounded(meter.rows)


@pytest.mark.parametrize(
    ("readings", "elapsed_ms", "most_kwh"),
    [(1000, 60_000, 167), (3600, 1_000, 10.1), (72 * 60, 60_000, 720.1)],
    ids=["1,000 readings of 16.7 h in one frame", "one a second", "one a minute for three days"],
)
def test_a_resolution_step_in_each_reading_mints_one_step_in_all(
    readings: int, elapsed_ms: int, most_kwh: float
) -> None:
    meter = Meter(rollover_kwh="0")
    shown, sent = 0, []
    for index in range(readings + 1):
        time_ms = index * elapsed_ms
        shown += possible(elapsed_ms) + STEP if index else 0
        sent.append((time_ms, 0, shown))
    meter.village.at_ms = START_MS + readings * elapsed_ms
    for begin in range(0, len(sent), 1000):
        meter.send(*sent[begin : begin + 1000])
    minted_kwh = meter.village.grid(meter.village.anna)[0] / KWH
    assert minted_kwh <= most_kwh + 0.001


def test_held_frames_say_what_was_held() -> None:
    meter = Meter(starts_at_zero=False)
    meter.send((0, 0, 0))
    meter.village.at_ms += HOUR_MS
    outcome = meter.send((HOUR_MS, 0, 2 * KWH))
    assert isinstance(outcome, FrameHeld)
    assert [(each.reason, each.surplus_uwh) for each in outcome.held] == [
        ("first_reading", 2 * KWH)
    ]
