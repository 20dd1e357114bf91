"""A register that begins again at zero: what was counted goes on, and nothing else does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backend.village import HOUR_MS, KWH, START_MS, Village, meter_terms, reading

from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.oracle import registers, validation
from gridtokenx_backend.core.state.community import restore
from gridtokenx_wire.verdict import Reason

LIMITS = OracleLimits(
    future_tolerance_ms=60_000, oldest_reading_ms=7 * 24 * HOUR_MS, ratio_window_ms=24 * HOUR_MS
)
ROUND = 1_000_000 * KWH
STEP = KWH // 100
HOUR_LIMIT = 10 * KWH + STEP
"""10 kW for an hour, and a step of the register."""


def meter(import_uwh: int, export_uwh: int, rollover_uwh: int = ROUND, **rules: Any) -> Meter:
    """A meter that was read an hour ago."""
    fields = {"max_production_ratio": 0, **rules}
    terms = MeterRules(
        policy="export",
        active=True,
        max_power_w=10_000,
        min_interval_ms=1000,
        resolution_uwh=STEP,
        max_production_ratio=fields["max_production_ratio"],
    )
    of = Meter(id="ABB-1", device=bytes(16), owner="owner", rules=terms, epoch=0)
    registers.advance(of, LIMITS, START_MS - HOUR_MS, import_uwh, export_uwh)
    of.rules = msgspec.structs.replace(terms, rollover_uwh=rollover_uwh)
    return of


def judge(of: Meter, import_uwh: int, export_uwh: int, time_ms: int = START_MS) -> Reason:
    reason = validation.judge(
        of, LIMITS, time_ms, time_ms, import_uwh, export_uwh, 0, synchronised=True, version=2
    )
    return reason or Reason.ACCEPTED


@pytest.mark.parametrize(
    ("last", "new", "rollover", "reason"),
    [
        pytest.param(ROUND - KWH, KWH, ROUND, Reason.ACCEPTED, id="over the end"),
        pytest.param(ROUND - STEP, 0, ROUND, Reason.ACCEPTED, id="to zero"),
        pytest.param(ROUND - 1, HOUR_LIMIT - 1, ROUND, Reason.ACCEPTED, id="as far as possible"),
        pytest.param(ROUND - 1, HOUR_LIMIT, ROUND, Reason.REGISTER_ROLLBACK, id="further"),
        pytest.param(ROUND - 20 * KWH, 0, ROUND, Reason.REGISTER_ROLLBACK, id="from too far"),
        pytest.param(500 * KWH, 499 * KWH, ROUND, Reason.REGISTER_ROLLBACK, id="back by a bit"),
        pytest.param(500 * KWH, 0, ROUND, Reason.REGISTER_ROLLBACK, id="a new meter"),
        pytest.param(ROUND - KWH, KWH, 0, Reason.REGISTER_ROLLBACK, id="that has no end"),
        pytest.param(ROUND - KWH, ROUND + KWH, ROUND, Reason.ACCEPTED, id="past that end"),
        pytest.param(ROUND + KWH, KWH, ROUND, Reason.REGISTER_ROLLBACK, id="from behind the end"),
        pytest.param(ROUND, 0, ROUND, Reason.REGISTER_ROLLBACK, id="from the end itself"),
        pytest.param(KWH, 0, 2 * KWH, Reason.REGISTER_ROLLBACK, id="a round shorter than the hour"),
        pytest.param(ROUND - KWH, ROUND - KWH, ROUND, Reason.ACCEPTED, id="nothing moved"),
    ],
)
@pytest.mark.parametrize("is_import", [False, True])
def test_a_register_may_fall_only_over_its_end_and_only_as_far_as_power_allows(
    last: int, new: int, rollover: int, reason: Reason, is_import: bool
) -> None:
    before, after = ((last, 5), (new, 5)) if is_import else ((5, last), (5, new))
    assert judge(meter(*before, rollover), *after) is reason


@pytest.mark.parametrize(
    ("import_uwh", "export_uwh", "reason"),
    [
        (KWH, KWH, Reason.ACCEPTED),
        (KWH, ROUND - 2 * KWH, Reason.REGISTER_ROLLBACK),
        (KWH, ROUND + 20 * KWH, Reason.IMPLAUSIBLE_JUMP),
        (20 * KWH, ROUND + 20 * KWH, Reason.REGISTER_ROLLBACK),
    ],
)
def test_each_register_is_judged_and_a_rollback_hides_a_jump(
    import_uwh: int, export_uwh: int, reason: Reason
) -> None:
    assert judge(meter(ROUND - KWH, ROUND - KWH), import_uwh, export_uwh) is reason


def test_the_ratio_of_production_is_that_of_what_was_counted() -> None:
    of = meter(ROUND - KWH, ROUND - KWH, max_production_ratio=2)
    of.older_ms, of.older_import_uwh, of.older_export_uwh = 0, ROUND - KWH, ROUND - KWH
    assert judge(of, 0, KWH + 2 * STEP) is Reason.ACCEPTED
    assert judge(of, 0, KWH + 2 * STEP + 1) is Reason.PRODUCTION_RATIO
    registers.advance(of, LIMITS, START_MS, 0, KWH)
    assert judge(of, 0, KWH + 2 * STEP + 1, START_MS + HOUR_MS) is Reason.PRODUCTION_RATIO


def test_a_forgotten_meter_has_forgotten_its_rollovers() -> None:
    of = meter(ROUND - KWH, ROUND - KWH)
    registers.advance(of, LIMITS, START_MS, KWH, KWH)
    assert registers.surplus_uwh(of) == ROUND + KWH
    past = of.past
    assert past is not None
    assert (past.wrapped_import_uwh, past.wrapped_export_uwh) == (ROUND, ROUND)
    registers.begin_anew(of)
    assert (past.wrapped_import_uwh, past.wrapped_export_uwh) == (0, 0)


# --- through the whole core ---------------------------------------------------------------------


def village_with(rollover_kwh: str, policy: str = "export", **more: Any) -> Village:
    village = Village()
    village.configure(meter=[terms_of(village, rollover_kwh, policy, **more)])
    return village


def terms_of(village: Village, rollover_kwh: str, policy: str, **more: Any) -> dict[str, Any]:
    return meter_terms(
        "ABB-1", village.north, village.anna, policy=policy, rollover_kwh=rollover_kwh, **more
    )


def send(village: Village, hour: int, import_uwh: int, export_uwh: int) -> FrameAccepted:
    village.at_ms = START_MS + hour * HOUR_MS
    outcome = village.send(village.north, reading("ABB-1", village.at_ms, export_uwh, import_uwh))
    assert isinstance(outcome, FrameAccepted)
    return outcome


_MOVES = st.lists(
    st.tuples(st.integers(0, 10 * KWH), st.integers(0, 10 * KWH)), min_size=1, max_size=40
)


@given(
    moves=_MOVES,
    rollover_kwh=st.sampled_from(["12", "20", "99.999999999", "1000000"]),
    policy=st.sampled_from(["export", "net"]),
    start=st.tuples(st.integers(0, 12 * KWH - 1), st.integers(0, 12 * KWH - 1)),
    restart_after=st.integers(0, 40),
)
def test_over_any_rollovers_all_energy_is_counted_once(
    moves: list[tuple[int, int]],
    rollover_kwh: str,
    policy: str,
    start: tuple[int, int],
    restart_after: int,
) -> None:
    village = village_with(rollover_kwh, policy)
    rollover = village.community.meters["ABB-1"].rules.rollover_uwh
    imported, exported = start
    send(village, 0, imported, exported)
    highest = 0
    for hour, (import_uwh, export_uwh) in enumerate(moves, start=1):
        imported, exported = imported + import_uwh, exported + export_uwh
        assert send(village, hour, imported % rollover, exported % rollover).verdicts == []
        surplus = exported - start[1] - (imported - start[0] if policy == "net" else 0)
        highest = max(highest, surplus)
        if hour == restart_after:
            village.community = restore(village.community.snapshot())
    assert village.grid(village.anna)[0] == highest
    assert village.community.members[village.anna.wallet].imported_uwh == imported - start[0]


def test_a_rollover_is_accepted_from_when_the_terms_tell_of_it() -> None:
    village = village_with("0")
    send(village, 0, 0, ROUND - KWH)
    assert send(village, 1, 0, KWH).verdicts == [(0, Reason.REGISTER_ROLLBACK)]
    village.configure(meter=[terms_of(village, "1000000", "export")])
    assert send(village, 2, 0, 2 * KWH).verdicts == []
    assert village.grid(village.anna)[0] == 3 * KWH


def test_what_was_counted_stays_when_the_terms_change_again() -> None:
    village = village_with("1000000")
    send(village, 0, 0, ROUND - KWH)
    send(village, 1, 0, KWH)
    village.configure(meter=[terms_of(village, "0", "export")])
    send(village, 2, 0, 2 * KWH)
    village.configure(meter=[terms_of(village, "0", "net")])
    send(village, 3, KWH, 4 * KWH)
    assert village.grid(village.anna)[0] == 4 * KWH
    village.configure(meter=[terms_of(village, "0", "net", epoch=1)])
    send(village, 4, 0, 100 * KWH)
    send(village, 5, 0, 101 * KWH)
    assert village.grid(village.anna)[0] == 5 * KWH
