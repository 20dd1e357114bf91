"""Energy that is held or void is never shared, over random sequences of readings and decisions.

After all decisions the allocations are those of a run in which nothing was ever held, where it was
released, and of one in which it was never generated, where it is void.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.sharing_village import FIRST_MS, SharingVillage, key
from tests.backend.village import KWH, meter_terms, reading

from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameHeld
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.settlement import DecideHeld

HALF_MS = INTERVAL_MS // 2
UNIT = 12_252_240
"""A multiple of 1 to 18: each half interval of a longer step has whole µWh."""
STEPS = st.tuples(
    st.booleans(),  # whether the plant is read in the middle of the interval
    st.booleans(),  # whether it is read at its end
    st.integers(0, 3),  # what it makes in each half, in units of a size
    st.tuples(st.integers(0, 700), st.integers(0, 700)),  # what the flats use
    st.sampled_from([""] * 4 + ["release", "void", "void_all", "new meter"]),
    st.booleans(),  # whether that comes in the middle or at the end
)


class Movement(NamedTuple):
    """What the plant made between two readings; `held` says whether as a step, or later."""

    from_ms: int
    to_ms: int
    energy_uwh: int
    held: str


class Lane(SharingVillage):
    """A village whose plant may make anything, and a note of what it made when."""

    def __init__(self, mode: str, **terms: Any) -> None:
        super().__init__(mode, key(mode, shares_percent=SHARES if mode == "static" else {}))
        self.terms = terms
        self.epoch = 0
        self.free: list[Movement] = []
        self.held: list[Movement] = []
        self.void: list[Movement] = []
        self.made_uwh = KWH
        self.newest: dict[int, Allocation] = {}
        self.entry: dict[int, int] = {}
        self.new_meter()

    def new_meter(self) -> None:
        """The plant's next reading is a new baseline."""
        self.epoch += 1
        plant = meter_terms("plant", self.north, self.anna) | self.terms | {"epoch": self.epoch}
        self.configure(meter=[plant, *self.document["meter"][1:]])
        self.last_ms = -1
        self.waiting_uwh = 0

    def make(self, at_ms: int, energy_uwh: int, *, is_read: bool) -> FrameAccepted | None:
        """The plant makes energy up to a time, and is perhaps read then."""
        self.at_ms = max(self.at_ms, at_ms)
        self.made_uwh += energy_uwh
        self.waiting_uwh += energy_uwh
        if not is_read:
            return None
        outcome = self.send(self.north, reading("plant", at_ms, self.made_uwh))
        assert isinstance(outcome, FrameAccepted)
        assert not outcome.verdicts
        if self.last_ms >= 0 and self.waiting_uwh:
            reasons = (
                [each.reason for each in outcome.held] if isinstance(outcome, FrameHeld) else []
            )
            held = "" if not reasons else "step" if reasons[0] else "later"
            moved = Movement(self.last_ms, at_ms, self.waiting_uwh, held)
            (self.held if held else self.free).append(moved)
        self.last_ms, self.waiting_uwh = at_ms, 0
        return outcome

    def decide(self, decision: Any) -> None:
        guard = self.community.meters["plant"].guard
        if guard is None or guard.held is None:
            return
        command = DecideHeld(
            meter="plant",
            entry=guard.held.entry,
            steps=len(guard.held.steps),
            decision=decision,
            reason="seen",
        )
        self.apply(settlement_input(command))
        for each in self.held:
            is_free = decision == "release" or (decision == "void" and each.held == "later")
            (self.free if is_free else self.void).append(each)
        self.held = []

    def share(self, number: int) -> None:
        """The clearing of an interval: revisions have no gap, and name what they correct."""
        for each in self.clear(number).allocations:
            before = self.newest.get(each.interval_ms)
            assert each.revision == (before.revision + 1 if before else 0)
            assert each.corrects == self.entry.get(each.interval_ms, 0)
            self.newest[each.interval_ms], self.entry[each.interval_ms] = each, self.cleared_by[-1]
            given_uwh = sum(out.given_uwh for out in each.producers)
            offered_uwh = sum(out.offered_uwh or 0 for out in each.producers)
            assert given_uwh == sum(line.received_uwh or 0 for line in each.consumers)
            assert given_uwh <= offered_uwh <= self.free_uwh(each.interval_ms)

    def free_uwh(self, interval_ms: int) -> int:
        """What was made in an interval and is neither held nor void."""
        total_uwh = 0
        for each in self.free:
            from_ms = max(each.from_ms, interval_ms)
            to_ms = min(each.to_ms, interval_ms + INTERVAL_MS)
            if from_ms < to_ms:
                part, rest = divmod(each.energy_uwh * (to_ms - from_ms), each.to_ms - each.from_ms)
                assert not rest
                total_uwh += part
        return total_uwh

    def energies(self) -> dict[int, list[Any]]:
        """What the newest allocation of each interval says, but for qualities of energies."""
        return {
            interval_ms: [
                [
                    (out.meter, out.offered_uwh, out.given_uwh, out.surplus_uwh, out.earned_ugrx)
                    for out in each.producers
                    if out.offered_uwh != 0
                ],
                [(line.meter, line.received_uwh, line.cost_ugrx) for line in each.consumers],
                each.price_ugrx,
                each.waiting_uwh,
            ]
            for interval_ms, each in self.newest.items()
        }


SHARES = {"flat-b": "40", "flat-c": "50"}
Step = tuple[bool, bool, int, tuple[int, int], str, bool]


def run(lane: Lane, steps: list[Step], zeros: set[int], anew: set[int]) -> list[str]:
    """Runs a sequence; in `zeros` the plant makes nothing, and its register begins in `anew`.

    Both are half intervals. Returns what became of what was read in each: nothing, or a decision on
    a held step or on what came later.
    """
    fates: list[str] = []
    open_halves: list[int] = []
    for number, (is_middle, is_end, size, used, act, is_early) in enumerate(steps):
        for half in (0, 1):
            index, at_ms = 2 * number + half, FIRST_MS + number * INTERVAL_MS + (half + 1) * HALF_MS
            is_read = (is_end or number == len(steps) - 1) if half else is_middle
            if index in anew:
                lane.new_meter()
            energy_uwh = 0 if index in zeros else size * UNIT * 20
            held_before = len(lane.held)
            lane.make(at_ms, energy_uwh, is_read=is_read)
            fates.append("")
            if len(lane.held) > held_before:
                fates[-1] = lane.held[-1].held
                open_halves.append(index)
            if half:
                flat_b, flat_c = used
                lane.quarter(number, flat_b=flat_b * KWH // 1000, flat_c=flat_c * KWH // 1000)
            if act and is_early != bool(half):
                if act == "new meter":
                    lane.new_meter()
                    continue
                lane.decide(act)
                for each in open_halves:
                    fates[each] += f" {act}"
                open_halves = []
        lane.share(number)
    lane.decide("release")
    for each in open_halves:
        fates[each] += " release"
    lane.read(FIRST_MS + (len(steps) + 1) * INTERVAL_MS, flat_b=0, flat_c=0)
    lane.make(FIRST_MS + (len(steps) + 1) * INTERVAL_MS, 0, is_read=True)
    lane.share(len(steps))
    return fates


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["dynamic", "static"]), st.lists(STEPS, min_size=2, max_size=5))
def test_what_is_held_or_void_is_never_shared_and_what_is_released_is(
    mode: str, steps: list[Step]
) -> None:
    lane = Lane(mode, starts_at_zero=False, first_energy_kwh="0", max_power_kw="100")
    fates = run(lane, steps, set(), set())
    assert not lane.held
    for interval_ms, each in lane.newest.items():
        if all(out.offered_uwh is not None for out in each.producers):
            offered_uwh = sum(out.offered_uwh or 0 for out in each.producers)
            assert offered_uwh == lane.free_uwh(interval_ms)
    never = Lane(mode, max_power_kw="100")
    zeros, anew = _never_made(steps, fates)
    run(never, [_undecided(step) for step in steps], zeros, anew)
    assert lane.energies() == never.energies()


def _undecided(step: Step) -> Step:
    return (*step[:4], step[4] if step[4] == "new meter" else "", step[5])


def _never_made(steps: list[Step], fates: list[str]) -> tuple[set[int], set[int]]:
    """The halves in which the plant makes nothing where all was void, and those it begins at."""
    zeros: set[int] = set()
    anew: set[int] = set()
    begin = 0
    for index, fate in enumerate(fates):
        number, half = divmod(index, 2)
        is_read = (steps[number][1] or number == len(steps) - 1) if half else steps[number][0]
        if fate in ("step void", "step void_all"):
            anew.add(index)
        elif fate == "later void_all":
            zeros |= set(range(begin, index + 1))
        if is_read:
            begin = index + 1
    return zeros, anew
