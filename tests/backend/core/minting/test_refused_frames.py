"""Frames of which every reading was refused: kept by their hash, and applied again to the byte."""

from __future__ import annotations

import copy
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.refused_frames import (
    FEW,
    KINDS,
    MANY,
    REFUSED,
    Kind,
    RefusedKind,
    Sender,
    other_frame,
    village_of_two_meters,
)
from tests.backend.village import START_MS, Village, frame_input, meter_terms, reading

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import Input, parse
from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    FrameRefused,
    Outcome,
    is_journaled,
    movements_of,
    reading_counts,
)
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.messages.refused_frames import (
    RefusedFrame,
    RefusedFrameInput,
    RefusedFrameStored,
    refused_frame_input,
)
from gridtokenx_backend.core.minting.refused_frames import SMALLEST_BYTES
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_backend.journal.entry import Entry, decode_outcome, make_entry
from gridtokenx_backend.replay.replay import replay_entry
from gridtokenx_wire.frame import frame_hash
from gridtokenx_wire.verdict import Reason


class Double:
    """A core and the journal that its writer would keep; beside it, a core that replays that."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.village = village_of_two_meters()
        self.sender = Sender(self.village)
        self.replayed = copy.deepcopy(self.village.community)
        self.begun = self.village.community.snapshot()

    def apply(self, input_: Input) -> tuple[FrameAccepted | FrameRefused, Input]:
        """Apply an input to the core, and what is kept of it to the other one."""
        core = self.village.community
        outcome = machine.apply(core, input_, self.village.at_ms)
        assert isinstance(outcome, FrameAccepted | FrameRefused)
        if not is_journaled(outcome):
            return outcome, input_
        kept, stored = machine.kept_form(core, input_, outcome)
        entry = make_entry(core.entries, self.village.at_ms, kept, stored, bytes(16))
        assert entry.previous == outcome.previous
        self.entries.append(entry)
        replay_entry(self.replayed, entry)
        assert self.replayed.snapshot() == core.snapshot()
        return outcome, kept

    def replayed_from_the_beginning(self) -> Community:
        community = restore(self.begun)
        for entry in self.entries:
            replay_entry(community, entry)
        return community


EXPECTED: dict[RefusedKind, Reason] = {
    "unbound": Reason.UNBOUND_METER,
    "foreign": Reason.UNBOUND_METER,
    "future": Reason.FUTURE_TIME,
    "stale": Reason.STALE_TIME,
    "repeated": Reason.NOT_AFTER_LAST,
    "frequent": Reason.TOO_FREQUENT,
    "jump": Reason.IMPLAUSIBLE_JUMP,
    "rollback": Reason.REGISTER_ROLLBACK,
    "power": Reason.IMPLAUSIBLE_POWER,
    "unsynchronised": Reason.CLOCK_UNSYNCHRONISED,
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("form", ["frame", "summary"])
def test_a_large_frame_is_kept_by_its_hash_whatever_it_is_refused_for(
    kind: RefusedKind, form: str
) -> None:
    double = Double()
    double.apply(double.sender.first())
    double.village.at_ms += 60_000
    made = getattr(double.sender, form)(kind)
    outcome, kept = double.apply(made)
    assert isinstance(outcome, FrameAccepted)
    assert isinstance(kept, RefusedFrameInput)
    assert (kept.frame.frame_hash, kept.frame.size) == (frame_hash(made.raw), len(made.raw))
    assert kept.frame.head == double.sender.gateway.prev
    assert kept.frame.indexed_verdicts() == outcome.verdicts
    assert kept.frame.left_out == made.frame.left_out
    if kind in EXPECTED:
        assert kept.frame.verdicts == [(EXPECTED[kind], MANY)]
    assert len(kept.raw) < len(made.raw) / 4
    assert parse("refused", kept.raw) == kept
    assert double.replayed_from_the_beginning().snapshot() == double.village.community.snapshot()


@pytest.mark.parametrize(("kind", "count"), [("partly", MANY), ("unbound", FEW), ("good", 1)])
def test_a_small_frame_and_one_of_which_something_was_accepted_are_kept_whole(
    kind: Kind, count: int
) -> None:
    double = Double()
    double.apply(double.sender.first())
    double.village.at_ms += 60_000
    made = double.sender.frame(kind, count)
    assert double.apply(made)[1] is made


def test_what_is_kept_says_what_became_of_the_readings_and_moves_nothing() -> None:
    double = Double()
    double.apply(double.sender.first())
    double.apply(double.sender.frame("stale"))
    stored = decode_outcome(double.entries[-1].outcome)
    assert isinstance(stored, RefusedFrameStored)
    assert (reading_counts(stored), movements_of(stored)) == ((0, MANY), [])


def test_a_frame_of_which_the_core_has_to_remember_most_is_kept_whole() -> None:
    """A line of refused registers is as large as a reading, and each of these meters has one."""
    village = Village()
    names = [f"ABB-{number:03d}" for number in range(MANY)]
    meters = [meter_terms(name, village.north, village.anna) for name in names]
    village.configure(meter=meters)
    village.send(village.north, *(reading(name, START_MS - 60_000, 9) for name in names))
    made = frame_input(village.north.next([reading(name, START_MS) for name in names]))
    outcome = village.apply(made)
    assert isinstance(outcome, FrameAccepted)
    assert [why for _, why in outcome.verdicts] == [Reason.REGISTER_ROLLBACK] * MANY
    assert machine.kept_form(village.community, made, outcome) == (made, outcome)


@pytest.mark.parametrize("kinds", [("unbound", "stale"), ("jump", "rollback"), ("mixed", "jump")])
@pytest.mark.parametrize("readings", [1000])
def test_no_gateway_of_a_few_meters_can_make_the_journal_keep_its_refused_frames(
    kinds: tuple[Kind, Kind], readings: int
) -> None:
    """Whatever it mixes, and in whatever order."""
    double, chance = Double(), random.Random(7)
    double.apply(double.sender.first())
    for step in range(5):
        double.village.at_ms += 60_000
        made = [
            each for kind in kinds for each in double.sender.readings(kind, readings // 2, step)
        ]
        chance.shuffle(made)
        frame = frame_input(double.sender.gateway.next(made))
        _, kept = double.apply(frame)
        assert isinstance(kept, RefusedFrameInput)
        assert len(kept.raw) * 8 < len(frame.raw)


def test_behind_a_frame_that_is_kept_by_its_hash_duplicates_and_forks_are_told_apart() -> None:
    double = Double()
    sender, gateway = double.sender, double.sender.gateway
    double.apply(sender.first())
    outcome, kept = double.apply(sender.frame("jump"))
    assert isinstance(outcome, FrameAccepted)
    assert isinstance(kept, RefusedFrameInput)
    for community in (
        double.village.community,
        double.replayed,
        restore(double.replayed.snapshot()),
    ):
        again = machine.apply(community, frame_input(gateway.sent[1]), double.village.at_ms)
        assert isinstance(again, FrameRefused)
        assert again.reason is FrameRefusal.DUPLICATE
        assert again.verdicts == [(1, index, why) for index, why in outcome.verdicts]
        fork = machine.apply(community, other_frame(gateway, 1), double.village.at_ms)
        assert isinstance(fork, FrameRefused)
        assert fork.reason is FrameRefusal.FORKED


# --- journals that nobody has written -----------------------------------------------------------


def one_refused() -> tuple[Double, RefusedFrame]:
    """A double that is about to replay a refused frame, and that frame."""
    double = Double()
    double.apply(double.sender.first())
    double.village.at_ms += 60_000
    before = restore(double.replayed.snapshot())
    _, kept = double.apply(double.sender.frame("jump"))
    double.replayed = before
    assert isinstance(kept, RefusedFrameInput)
    return double, kept.frame


def forged(double: Double, frame: RefusedFrame, rules: int = 2) -> Entry:
    input_ = refused_frame_input(frame)
    outcome: Outcome = RefusedFrameStored(
        previous=3, device=frame.device, chain=frame.chain, seq=frame.seq, readings=frame.readings
    )
    seq, at_ms = double.replayed.entries + 1, double.village.at_ms
    return make_entry(seq, at_ms, input_, outcome, bytes(16), rules=rules)


def test_the_entry_itself_is_replayed() -> None:
    double, frame = one_refused()
    replay_entry(double.replayed, forged(double, frame))
    assert double.replayed.snapshot() == double.village.community.snapshot()


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 7},
        {"prev": b"x" * 32},
        {"device": b"x" * 16},
        {"chain": b"another."},
        {"suspects": ["ABB-2"]},
        {"suspects": ["ABB-9"]},
        {"seq": 0, "prev": bytes(32)},
    ],
    ids=str,
)
def test_an_entry_that_does_not_fit_its_gateway_is_refused(change: dict[str, object]) -> None:
    double, frame = one_refused()
    if names := change.get("suspects"):
        assert isinstance(names, list)
        change = {"suspects": [(name, frame.suspects[0][1]) for name in names]}
    before = double.replayed.snapshot()
    with pytest.raises(ReplayMismatch, match="refused when replayed"):
        replay_entry(double.replayed, forged(double, msgspec.structs.replace(frame, **change)))
    assert double.replayed.snapshot() == before


def test_by_the_rules_of_version_1_no_frame_is_kept_by_its_hash() -> None:
    double, frame = one_refused()
    assert double.replayed.newest_rules == 2
    double.replayed.newest_rules = 1
    with pytest.raises(ReplayMismatch, match="refused when replayed"):
        replay_entry(double.replayed, forged(double, frame, rules=1))


@pytest.mark.parametrize("raw", [b"", b"\x90", b"\xc0", b"{}"])
def test_what_is_no_refused_frame_is_not_taken_for_one(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse("refused", raw)


# --- the promise over any frames ----------------------------------------------------------------

Step = tuple[str, Kind, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["frame", "frame", "frame", "summary", "again", "fork", "restart"]),
        st.sampled_from(KINDS),
        st.sampled_from([FEW, MANY]),
        st.integers(0, 3),
        st.sampled_from([0, 1, 1000, 60_000, 16 * 60_000]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60)
@given(steps=STEPS)
def test_over_any_frames_a_replay_of_what_is_kept_gives_the_state_to_the_byte(
    steps: list[Step],
) -> None:
    """`Double.apply` compares the two after each input."""
    double = Double()
    double.apply(double.sender.first())
    gateway = double.sender.gateway
    for what, kind, count, step, later_ms in steps:
        double.village.at_ms += later_ms
        match what:
            case "again":
                outcome, _ = double.apply(frame_input(gateway.sent[-1]))
                assert isinstance(outcome, FrameRefused)
                assert outcome.reason is FrameRefusal.DUPLICATE
            case "fork":
                outcome, _ = double.apply(other_frame(gateway, gateway.seq - 1))
                assert isinstance(outcome, FrameRefused)
                assert outcome.reason is FrameRefusal.FORKED
            case "restart":
                double.replayed = restore(double.replayed.snapshot())
            case _:
                outcome, kept = double.apply(getattr(double.sender, what)(kind, count, step))
                assert isinstance(outcome, FrameAccepted)
                is_large = len(gateway.sent[-1]) >= SMALLEST_BYTES
                is_refused = len(outcome.verdicts) == outcome.readings
                assert isinstance(kept, RefusedFrameInput) is (is_large and is_refused)
    replayed = double.replayed_from_the_beginning()
    assert replayed.snapshot() == double.village.community.snapshot()
