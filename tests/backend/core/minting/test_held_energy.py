"""Energy that may never have been measured is held until the operator says what it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.village import (
    HOUR_MS,
    KWH,
    NO_NTP,
    NTP,
    START_MS,
    Village,
    assert_sound,
    meter_terms,
    reading,
)

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.messages.settlement_outcomes import (
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.model.held_energy import HeldEnergy
from gridtokenx_backend.core.model.settlement import Correct, DecideHeld
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.verdict import Reason

Row = tuple[float, float]
"""The hour, and the export register in kWh."""


class Site:
    """Anna's meter of 10 kW, with the terms that a config has by default."""

    def __init__(self, **terms: Any) -> None:
        self.village = Village()
        self.terms = {"starts_at_zero": False, "first_energy_kwh": "10"} | terms
        self.configure()

    def configure(self, **changed: Any) -> None:
        self.terms |= changed
        terms = meter_terms("ABB-1", self.village.north, self.village.anna) | self.terms
        self.village.configure(meter=[terms])

    def read(self, *rows: Row, clock: ClockStatus = NTP, **other: Any) -> list[int]:
        """The verdict on each reading, one a frame."""
        said = []
        for hour, export_kwh in rows:
            self.village.at_ms = START_MS + round(hour * HOUR_MS)
            read = reading("ABB-1", self.village.at_ms, round(export_kwh * KWH), **other)
            outcome = self.village.send(self.village.north, read, clock=clock)
            assert isinstance(outcome, FrameAccepted)
            said.append(outcome.verdicts[0][1] if outcome.verdicts else 0)
            self.village.tick()
        assert_sound(self.village.community)
        return said

    @property
    def minted_kwh(self) -> float:
        return self.village.grid(self.village.anna)[0] / KWH

    @property
    def held(self) -> HeldEnergy | None:
        guard = self.village.community.meters["ABB-1"].guard
        return guard.held if guard else None

    @property
    def held_kwh(self) -> tuple[list[float], float]:
        """The doubtful steps, and what came later."""
        held = self.held
        if held is None:
            return [], 0
        steps = [step.surplus_uwh / KWH for step in held.steps]
        return steps, sum(held.later_uwh.values()) / KWH

    def decide(self, decision: Any, **other: Any) -> Any:
        held = self.held
        command = {
            "meter": "ABB-1",
            "entry": held.entry if held else 1,
            "steps": len(held.steps) if held else 1,
            "decision": decision,
            "reason": "seen on site",
        }
        return self.village.apply(settlement_input(DecideHeld(**(command | other))))


ZERO_THEN_TRUTH = [(0, 0.0), *((24 * day, 3737 + 12.0 * day) for day in range(1, 19))]


@pytest.mark.parametrize("power_kw", ["10", "20", "200"])
def test_a_zero_after_a_power_cut_is_no_baseline_however_long_one_waits(power_kw: str) -> None:
    site = Site(max_power_kw=power_kw)
    site.read(*ZERO_THEN_TRUTH)
    assert site.minted_kwh == 0
    steps, later = site.held_kwh
    assert sum(steps) >= 3737
    assert isinstance(site.decide("void"), HeldDecided)
    assert site.minted_kwh == later <= 204
    site.read((24 * 19, 3737 + 12.0 * 19))
    assert site.minted_kwh == later + 12


def test_a_new_meter_that_begins_at_zero_waits_for_the_operator_or_for_its_terms() -> None:
    site = Site()
    assert site.read((0, 0), (1, 0), (2, 3), (3, 5)) == [0, 0, 0, 0]
    assert (site.minted_kwh, site.held_kwh) == (0, ([3], 2))
    site.decide("release")
    assert (site.minted_kwh, site.held_kwh) == (5, ([], 0))
    declared = Site(starts_at_zero=True)
    declared.read((0, 0), (2, 3), (3, 5))
    assert (declared.minted_kwh, declared.held_kwh) == (5, ([], 0))


@pytest.mark.parametrize(
    ("second_kwh", "held_kwh", "minted_kwh"),
    [(110, ([], 0), 11), (110.000000001, ([10.000000001], 0.999999999), 0)],
    ids=["as declared", "more than declared"],
)
def test_a_first_stretch_is_believed_up_to_what_is_declared(
    second_kwh: float, held_kwh: Any, minted_kwh: float
) -> None:
    site = Site()
    site.read((0, 100), (5, second_kwh), (6, 111))
    assert (site.held_kwh, site.minted_kwh) == (held_kwh, minted_kwh)


def test_a_new_epoch_has_a_first_reading_and_a_first_stretch_again() -> None:
    site = Site()
    site.read((0, 100), (1, 105))
    site.configure(epoch=1)
    site.read((2, 0), (3, 1))
    assert (site.held_kwh, site.minted_kwh) == (([1], 0), 5)


def test_one_wrong_reading_is_refused_and_forgotten() -> None:
    site = Site()
    site.read((0, 40_482.8), (1, 40_483))
    for wrong, reason in ((0, Reason.REGISTER_ROLLBACK), (50_000, Reason.IMPLAUSIBLE_JUMP)):
        hour = 2 if wrong == 0 else 4
        said = site.read((hour, wrong), (hour + 1, 40_483 + hour))
        assert said == [reason, 0]
    assert site.held is None
    assert site.minted_kwh == pytest.approx(4.2)


def test_zeros_for_some_minutes_are_forgotten() -> None:
    site = Site()
    zeros: list[Row] = [(1 + n / 60, 0.0) for n in range(15)]
    said = site.read((0, 500), (1, 501), *zeros[1:], (1.25, 502))
    assert said == [0, 0] + [Reason.REGISTER_ROLLBACK] * 14 + [0]
    assert (site.minted_kwh, site.held) == (2, None)


def test_a_refused_jump_is_not_accepted_because_time_has_passed() -> None:
    site = Site()
    assert site.read((0, 100), (1, 101), (2, 200)) == [0, 0, Reason.IMPLAUSIBLE_JUMP]
    assert site.read((1000, 200)) == [0]  # a thousand hours later it is where the meter goes on
    assert (site.minted_kwh, site.held_kwh) == (1, ([99], 0))


def test_a_jump_that_is_told_once_more_at_once_is_refused_again() -> None:
    site = Site()
    assert site.read((0, 100), (1, 200), (1.1, 200), (1.2, 200.5)) == [0, 8, 8, 8]
    assert site.read((1.26, 200.6)) == [0]
    assert site.held_kwh == ([100], pytest.approx(0.6))


@pytest.mark.parametrize("doubtful", [{"clock": NO_NTP}, {"power_w": 10_001}])
def test_a_jump_in_a_reading_that_is_wrong_anyway_says_nothing_of_the_next(
    doubtful: dict[str, Any],
) -> None:
    site = Site()
    site.read((0, 100), (1, 101))
    assert site.read((2, 200), **doubtful) == [Reason.IMPLAUSIBLE_JUMP]
    assert site.read((40, 200)) == [0]
    assert (site.minted_kwh, site.held) == (100, None)


def test_a_replaced_meter_without_a_number_is_held_from_where_it_goes_on() -> None:
    site = Site()
    assert site.read((0, 5000), (1, 5001)) == [0, 0]
    assert site.read((2, 0.5), (3, 3)) == [Reason.REGISTER_ROLLBACK, 0]
    site.read((4, 5))
    assert (site.minted_kwh, site.held_kwh) == (1, ([0], 4.5))
    site.decide("void")
    assert site.minted_kwh == 5.5


def test_everything_can_be_void() -> None:
    site = Site()
    site.read((0, 100), (1, 900), (2, 901), (3, 902))
    assert site.held_kwh == ([800], 2)
    decided = site.decide("void_all")
    assert (decided.minted_uwh, sum(decided.voided_uwh.values())) == ({}, 802 * KWH)
    assert site.minted_kwh == 0
    site.read((4, 903))
    assert site.minted_kwh == 1


def test_a_step_beyond_the_meters_power_is_released_only_after_its_power_is_right() -> None:
    site = Site()
    site.read((0, 100), (1, 101), (3, 131), (4, 132))  # 30 kWh in two hours
    assert site.held_kwh == ([30], 1)
    refused = site.decide("release")
    assert isinstance(refused, SettlementRefused)
    assert refused.reason is SettlementRefusal.BAD_AMOUNT
    assert "expected at most 19.900000000 kWh" in refused.detail
    site.configure(max_power_kw="20")
    assert isinstance(site.decide("release"), HeldDecided)
    assert site.minted_kwh == 32


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"meter": "ABB-9"}, SettlementRefusal.UNKNOWN_METER),
        ({"reason": ""}, SettlementRefusal.BAD_TEXT),
        ({"reason": "a\nb"}, SettlementRefusal.BAD_TEXT),
        ({"entry": 1}, SettlementRefusal.OUTDATED),
        ({"steps": 2}, SettlementRefusal.OUTDATED),
    ],
)
def test_a_decision_names_what_it_decides_on(
    changed: dict[str, Any], reason: SettlementRefusal
) -> None:
    site = Site()
    site.read((0, 0), (1, 2))
    refused = site.decide("void", **changed)
    assert isinstance(refused, SettlementRefused)
    assert refused.reason is reason
    assert site.held_kwh == ([2], 0)


def test_a_meter_without_held_energy_has_nothing_to_decide() -> None:
    site = Site()
    assert site.decide("void").reason is SettlementRefusal.UNKNOWN_METER


def test_who_owned_the_meter_gets_what_is_released() -> None:
    site = Site(starts_at_zero=False)
    village = site.village
    site.read((0, 0), (1, 2), (2, 3))
    village.configure(
        meter=[meter_terms("ABB-1", village.north, village.ben) | {"starts_at_zero": False}]
    )
    site.read((3, 7))
    decided = site.decide("release")
    assert decided.minted_uwh == {village.anna.wallet: 3 * KWH, village.ben.wallet: 4 * KWH}
    assert village.grid(village.ben)[0] == 4 * KWH


def test_held_energy_can_be_neither_sold_nor_corrected() -> None:
    site = Site()
    village = site.village
    site.read((0, 0), (2, 5))
    outcome = village.tell(village.anna.order("a", "sell", "1", "0.1", issued_ms=village.at_ms))
    assert outcome.reason.value == "insufficient_balance"
    meter = village.community.meters["ABB-1"]
    command = Correct(
        meter="ABB-1",
        from_ms=meter.interval_start_ms - 900_000,
        to_ms=meter.interval_start_ms,
        import_uwh=0,
        export_uwh=KWH,
        counted_import_uwh=0,
        counted_export_uwh=0,
        revision=0,
        reason="guess",
    )
    refused = village.apply(settlement_input(command))
    assert isinstance(refused, SettlementRefused)
    assert "held" in refused.detail
    site.decide("release")
    again = village.apply(settlement_input(command))
    assert isinstance(again, SettlementRefused), "the step that was released holds this energy"
    assert "released" in again.detail


def test_no_more_than_sixteen_steps_wait() -> None:
    site = Site()
    site.read((0, 0))
    for jump in range(1, 30):
        site.read((2 * jump, 1000.0 * jump), (2 * jump + 1, 1000.0 * jump))
    held = site.held
    assert held is not None
    assert len(held.steps) == 16
    assert site.minted_kwh == 0
