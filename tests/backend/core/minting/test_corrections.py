"""Corrections: the difference is minted or clawed back, and each interval is right after it."""

from __future__ import annotations

import pytest
from tests.backend.settling import NOON_MS, QUARTER_MS, Settling, why
from tests.backend.village import KWH, assert_sound

from gridtokenx_backend.core.messages.inputs import parse
from gridtokenx_backend.core.messages.outcomes import Result, Ticked, intervals_of, movements_of
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer
from gridtokenx_wire.units import energy_limit_uwh

HOUR = (NOON_MS, NOON_MS + 4 * QUARTER_MS)


@pytest.fixture(name="village")
def _village() -> Settling:
    """Anna exported 2 kWh from noon to one, ben imported 1 kWh."""
    village = Settling()
    village.read("ABB-1", export_uwh=2 * KWH, quarters=4)
    village.read("ABB-2", import_uwh=KWH)
    return village


def correct(
    village: Settling, meter: str, import_uwh: int, export_uwh: int, counted: tuple[int, int]
) -> MeterCorrected:
    outcome = village.correct(meter, HOUR, (import_uwh, export_uwh), counted)
    assert isinstance(outcome, MeterCorrected), outcome
    assert_sound(village.community)
    return outcome


def retired(village: Settling) -> int:
    outcome = village.tick()
    assert isinstance(outcome, Ticked)
    return sum(each.amount_uwh for each in outcome.retirements)


def test_more_than_was_counted_is_minted(village: Settling) -> None:
    outcome = correct(village, "ABB-1", 0, 3 * KWH, (0, 2 * KWH))
    assert outcome.movements == [
        Movement(asset=GRID, debit=issuer(GRID), credit=village.anna.wallet, amount=KWH)
    ]
    assert (outcome.surplus_uwh, outcome.owed_uwh) == (KWH, 0)
    assert outcome.reason == "the meter stood still"
    assert movements_of(outcome) == outcome.movements
    assert village.grid(village.anna) == (3 * KWH, 0)


def test_less_than_was_counted_is_clawed_back(village: Settling) -> None:
    outcome = correct(village, "ABB-1", 0, KWH // 2, (0, 2 * KWH))
    assert outcome.movements == [
        Movement(asset=GRID, debit=village.anna.wallet, credit=issuer(GRID), amount=3 * KWH // 2)
    ]
    assert village.grid(village.anna) == (KWH // 2, 0)
    assert village.community.counters.minted_uwh == KWH // 2


def test_what_cannot_be_clawed_back_now_is_taken_from_the_next_mints(village: Settling) -> None:
    village.trade(village.anna, village.ben, "1.5")
    outcome = correct(village, "ABB-1", 0, 0, (0, 2 * KWH))
    assert outcome.owed_uwh == 3 * KWH // 2
    assert village.grid(village.anna) == (0, 0)
    wallet = village.anna.wallet
    sent = village.read("ABB-1", export_uwh=KWH, quarters=4)
    assert sent.movements == [
        Movement(asset=GRID, debit=issuer(GRID), credit=wallet, amount=KWH),
        Movement(asset=GRID, debit=wallet, credit=issuer(GRID), amount=KWH),
    ]
    village.read("ABB-1", export_uwh=KWH, quarters=4)
    assert village.grid(village.anna) == (KWH // 2, 0)
    assert village.community.members[wallet].owed_uwh == 0
    assert village.community.counters.minted_uwh == 2 * KWH  # 4 were exported, 2 were none


def test_what_is_offered_for_sale_is_not_clawed_back_but_owed(village: Settling) -> None:
    order = village.anna.order("x", "sell", "1.5", "0.9", issued_ms=village.at_ms)
    village.accept(order)
    assert correct(village, "ABB-1", 0, 0, (0, 2 * KWH)).owed_uwh == 3 * KWH // 2
    assert village.grid(village.anna) == (3 * KWH // 2, 3 * KWH // 2)


def test_the_spans_intervals_are_substitutes_that_add_up(village: Settling) -> None:
    outcome = correct(village, "ABB-1", 2, 3, (0, 2 * KWH))
    assert outcome.rows == [
        IntervalEnergy(
            interval_ms=NOON_MS + number * QUARTER_MS,
            import_uwh=imported_uwh,
            export_uwh=exported_uwh,
            quality=Quality.SUBSTITUTE,
            revision=1,
        )
        for number, (imported_uwh, exported_uwh) in enumerate([(0, 0), (1, 1), (0, 1), (1, 1)])
    ]
    assert intervals_of(outcome) == [("ABB-1", outcome.rows)]


def test_import_that_was_missed_can_be_covered(village: Settling) -> None:
    village.trade(village.anna, village.ben, "2")
    assert retired(village) == KWH
    correct(village, "ABB-2", 3 * KWH // 2, 0, (KWH, 0))
    assert retired(village) == KWH // 2


def test_import_that_no_tick_has_taken_is_corrected_in_place(village: Settling) -> None:
    village.trade(village.anna, village.ben, "2")
    correct(village, "ABB-2", KWH // 4, 0, (KWH, 0))
    assert retired(village) == KWH // 4


def test_import_that_was_covered_and_was_none_covers_the_next(village: Settling) -> None:
    village.trade(village.anna, village.ben, "2")
    assert retired(village) == KWH
    correct(village, "ABB-2", 0, 0, (KWH, 0))
    village.read("ABB-2", import_uwh=3 * KWH // 2, quarters=4)
    assert retired(village) == KWH // 2
    assert village.grid(village.ben) == (KWH // 2, 0)


def test_a_correction_can_be_corrected(village: Settling) -> None:
    correct(village, "ABB-1", 0, KWH, (0, 2 * KWH))
    correct(village, "ABB-1", 0, 2 * KWH, (0, KWH))
    assert village.grid(village.anna) == (2 * KWH, 0)
    assert village.community.counters.minted_uwh == 2 * KWH


def test_of_a_net_meter_import_counts_against_the_surplus() -> None:
    village = Settling()
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0]["policy"] = "net"
    village.configure(meter=meters)
    village.read("ABB-1", export_uwh=2 * KWH, quarters=4)
    outcome = village.correct("ABB-1", HOUR, (KWH, 2 * KWH), (0, 2 * KWH))
    assert isinstance(outcome, MeterCorrected)
    assert outcome.surplus_uwh == -KWH
    assert village.grid(village.anna) == (KWH, 0)


LIMIT = energy_limit_uwh(10_000, 4 * QUARTER_MS) - KWH // 10
"""One resolution step less than the power allows, see `correction_spans`."""


@pytest.mark.parametrize(
    ("meter", "span", "moved", "reason", "refusal"),
    [
        ("ABB-9", HOUR, (0, 0), "why", "unknown_meter"),
        ("ABB-1", HOUR, (0, 0), "", "bad_text"),
        ("ABB-1", (HOUR[0] + 1, HOUR[1]), (0, 0), "why", "bad_span"),
        ("ABB-1", (HOUR[0], HOUR[1] - 1), (0, 0), "why", "bad_span"),
        ("ABB-1", (HOUR[1], HOUR[0]), (0, 0), "why", "bad_span"),
        ("ABB-1", (HOUR[0], HOUR[0]), (0, 0), "why", "bad_span"),
        ("ABB-1", (HOUR[0], HOUR[1] + QUARTER_MS), (0, 0), "why", "bad_span"),
        ("ABB-1", (HOUR[1] - 2977 * QUARTER_MS, HOUR[1]), (0, 0), "why", "bad_span"),
        ("ABB-1", (-QUARTER_MS, HOUR[1]), (0, 0), "why", "bad_span"),
        ("ABB-1", HOUR, (-1, 0), "why", "bad_amount"),
        ("ABB-1", HOUR, (0, -1), "why", "bad_amount"),
        ("ABB-1", HOUR, (0, LIMIT + 1), "why", "bad_amount"),
        ("ABB-1", HOUR, (LIMIT, LIMIT), "why", ""),
    ],
)
def test_a_correction_that_cannot_be_is_refused(
    village: Settling,
    meter: str,
    span: tuple[int, int],
    moved: tuple[int, int],
    reason: str,
    refusal: str,
) -> None:
    before = village.community.snapshot()
    outcome = village.correct(meter, span, moved, (0, 2 * KWH), reason)
    if not refusal:
        assert isinstance(outcome, MeterCorrected)
        return
    assert why(outcome) == refusal
    assert village.community.snapshot() == before


def test_what_has_changed_since_it_was_looked_up_is_looked_up_again(village: Settling) -> None:
    command = _command(village)
    correct(village, "ABB-1", 0, KWH, (0, 2 * KWH))
    assert why(_again(village, command)) == "outdated"


def _command(village: Settling) -> bytes:
    """A correction as it would be journaled, made of what is counted now."""
    taken: list[bytes] = []
    apply = village.apply
    village.apply = lambda input_, at_ms=None: taken.append(input_.raw) or apply(input_, at_ms)  # type: ignore[method-assign]
    village.correct("ABB-9", HOUR, (0, KWH), (0, 2 * KWH))
    village.apply = apply  # type: ignore[method-assign]
    return taken[0].replace(b"ABB-9", b"ABB-1")


def _again(village: Settling, raw: bytes) -> Result:
    return village.apply(parse("settlement", raw))
