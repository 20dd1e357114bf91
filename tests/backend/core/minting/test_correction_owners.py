"""Whose a correction is: who owned the meter in the span gains or owes, and nobody else."""

from __future__ import annotations

import pytest
from tests.backend.settling import NOON_MS, QUARTER_MS, Settling, why
from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, got
from tests.backend.village import KWH, Resident, assert_sound, convert_terms

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import Input, configuration_input, settlement_input
from gridtokenx_backend.core.messages.outcomes import Result, Ticked
from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.settlement import Correct
from gridtokenx_backend.core.state.community import Community

HOUR_MS = 4 * QUARTER_MS
ANNAS = (NOON_MS, NOON_MS + HOUR_MS)
CLEOS = (NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS)


@pytest.fixture(name="village")
def _village() -> Settling:
    """ABB-1 exported 2 kWh in anna's hour from noon on, and 3 kWh in cleo's hour after it."""
    village = Settling()
    village.read("ABB-1", export_uwh=2 * KWH, quarters=4)
    give(village, village.cleo)
    village.read("ABB-1", export_uwh=3 * KWH, quarters=4)
    return village


def give(village: Settling, to: Resident) -> None:
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0] |= {"owner": to.name}
    village.configure(meter=meters)


def grid(village: Settling) -> dict[str, int]:
    return {who.name: village.grid(who)[0] for who in (village.anna, village.ben, village.cleo)}


@pytest.mark.parametrize(
    ("span", "export_uwh", "counted_uwh", "owner", "after"),
    [
        (ANNAS, KWH // 2, 2 * KWH, "anna", {"anna": KWH // 2, "ben": 0, "cleo": 3 * KWH}),
        (ANNAS, 9 * KWH, 2 * KWH, "anna", {"anna": 9 * KWH, "ben": 0, "cleo": 3 * KWH}),
        (CLEOS, 9 * KWH, 3 * KWH, "cleo", {"anna": 2 * KWH, "ben": 0, "cleo": 9 * KWH}),
        (CLEOS, KWH, 3 * KWH, "cleo", {"anna": 2 * KWH, "ben": 0, "cleo": KWH}),
    ],
)
def test_who_owned_the_interval_gains_or_owes(
    village: Settling,
    span: tuple[int, int],
    export_uwh: int,
    counted_uwh: int,
    owner: str,
    after: dict[str, int],
) -> None:
    outcome = village.correct("ABB-1", span, (0, export_uwh), (0, counted_uwh))
    assert isinstance(outcome, MeterCorrected)
    assert outcome.owner == getattr(village, owner).wallet
    assert grid(village) == after
    assert_sound(village.community)


def test_what_a_former_owner_sold_already_is_owed_by_them(village: Settling) -> None:
    village.trade(village.anna, village.ben, "2")
    outcome = village.correct("ABB-1", ANNAS, (0, 0), (0, 2 * KWH))
    assert isinstance(outcome, MeterCorrected)
    assert outcome.owed_uwh == 2 * KWH
    assert village.community.members[village.anna.wallet].owed_uwh == 2 * KWH
    assert village.community.members[village.cleo.wallet].owed_uwh == 0
    assert village.grid(village.cleo) == (3 * KWH, 0)


def test_a_member_that_left_with_the_meter_still_gains_for_their_time(village: Settling) -> None:
    village.configure(meter=village.document["meter"][1:], member=village.document["member"][1:])
    outcome = village.correct("ABB-1", ANNAS, (0, 3 * KWH), (0, 2 * KWH))
    assert isinstance(outcome, MeterCorrected)
    assert village.grid(village.anna) == (3 * KWH, 0)


def test_a_span_of_two_owners_is_corrected_in_two(village: Settling) -> None:
    span = (ANNAS[0], CLEOS[1])
    outcome = village.correct("ABB-1", span, (0, 6 * KWH), (0, 5 * KWH))
    assert why(outcome) == "bad_span"
    assert "another from 2026-06-01T13:00" in str(outcome)


def test_import_is_covered_for_who_imported_it() -> None:
    """The interval that closed before the change and that no tick took is its owner's, too."""
    village = Settling()
    village.read("ABB-1", export_uwh=5 * KWH, quarters=4)
    village.read("ABB-2", import_uwh=KWH)
    village.trade(village.anna, village.ben, "2")
    village.trade(village.anna, village.cleo, "2")
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[1] |= {"owner": "cleo"}
    village.configure(meter=meters)
    assert retired(village) == {village.ben.wallet: KWH}
    outcome = village.correct("ABB-2", ANNAS, (3 * KWH // 2, 0), (KWH, 0))
    assert isinstance(outcome, MeterCorrected)
    assert retired(village) == {village.ben.wallet: KWH // 2}


def retired(village: Settling) -> dict[str, int]:
    outcome = village.tick()
    assert isinstance(outcome, Ticked)
    amounts: dict[str, int] = {}
    for each in outcome.retirements:
        amounts[each.wallet] = amounts.get(each.wallet, 0) + each.amount_uwh
    return amounts


@pytest.mark.parametrize("years", [1, 10])
def test_a_wrong_year_is_refused(village: Settling, years: int) -> None:
    earlier_ms = years * 365 * 86_400_000
    span = (ANNAS[0] - earlier_ms, ANNAS[1] - earlier_ms)
    outcome = village.correct("ABB-1", span, (0, 3 * KWH), (0, 0))
    assert why(outcome) == "bad_span"
    assert "from 2026-06-01T12:00+00:00 on, where the meter was first read" in str(outcome)


def test_a_net_meter_mints_no_more_than_its_surplus_after_a_correction() -> None:
    village = Settling()
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0]["policy"] = "net"
    village.configure(meter=meters)
    village.read("ABB-1", import_uwh=5 * KWH, quarters=4)
    village.read("ABB-1", export_uwh=3 * KWH, quarters=4)
    assert village.grid(village.anna) == (0, 0)
    outcome = village.correct("ABB-1", ANNAS, (0, 0), (5 * KWH, 0))
    assert isinstance(outcome, MeterCorrected)
    assert outcome.surplus_uwh == 3 * KWH
    assert village.grid(village.anna) == (3 * KWH, 0)
    village.read("ABB-1", export_uwh=KWH, quarters=1)
    assert village.grid(village.anna) == (4 * KWH, 0)


def test_what_a_former_owner_of_a_net_meter_lacked_is_made_up_by_their_correction() -> None:
    village = Settling()
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0]["policy"] = "net"
    village.configure(meter=meters)
    village.read("ABB-1", import_uwh=5 * KWH, quarters=4)
    give_net = [dict(meter) | {"owner": "cleo"} for meter in meters[:1]] + meters[1:]
    village.configure(meter=give_net)
    for import_uwh, counted_uwh, minted_uwh in ((3 * KWH, 5 * KWH, 0), (0, 3 * KWH, 0)):
        outcome = village.correct("ABB-1", ANNAS, (import_uwh, 0), (counted_uwh, 0))
        assert isinstance(outcome, MeterCorrected)
        assert outcome.surplus_uwh == minted_uwh
    outcome = village.correct("ABB-1", ANNAS, (0, KWH), (0, 0))
    assert isinstance(outcome, MeterCorrected)
    assert (grid(village)["anna"], grid(village)["cleo"]) == (KWH, 0)


# --- by a journal of rules version 1 ------------------------------------------------------------


class ByRules(Settling):
    """It is decided for by rules version 1, until `rules` is set to a newer one."""

    rules = 1

    def apply(self, input_: Input, at_ms: int | None = None) -> Result:
        self.at_ms = self.at_ms if at_ms is None else at_ms
        return machine.apply(self.community, input_, self.at_ms, self.rules)


@pytest.fixture(name="older")
def _older() -> ByRules:
    """As `village`, but all of it was decided by rules version 1."""
    older = ByRules()
    older.read("ABB-1", export_uwh=2 * KWH, quarters=4)
    give(older, older.cleo)
    older.read("ABB-1", export_uwh=3 * KWH, quarters=4)
    older.rules = 2
    return older


def correct_of(owner: str, counted_from_ms: int) -> Correct:
    return Correct(
        meter="ABB-1",
        from_ms=ANNAS[0],
        to_ms=ANNAS[1],
        import_uwh=0,
        export_uwh=3 * KWH,
        counted_import_uwh=0,
        counted_export_uwh=2 * KWH,
        revision=0,
        reason="the meter stood still",
        owner=owner,
        counted_from_ms=counted_from_ms,
    )


def say(village: Settling, owner: str, counted_from_ms: int) -> Result:
    return village.apply(settlement_input(correct_of(owner, counted_from_ms)))


def test_of_an_older_journal_the_command_says_whose_it_was(older: ByRules) -> None:
    outcome = say(older, older.anna.wallet, ANNAS[0])
    assert isinstance(outcome, MeterCorrected)
    assert grid(older) == {"anna": 3 * KWH, "ben": 0, "cleo": 3 * KWH}


@pytest.mark.parametrize(
    ("owner", "counted_from_ms", "expected"),
    [
        ("", ANNAS[0], "one member owned the meter"),
        ("nobody", ANNAS[0], "one member owned the meter"),
        ("anna", ANNAS[0] + QUARTER_MS, "begins with a counted interval"),
        ("anna", -1, "begins with a counted interval"),
    ],
)
def test_of_an_older_journal_nobody_gains_while_that_is_not_known(
    older: ByRules, owner: str, counted_from_ms: int, expected: str
) -> None:
    before = older.community.snapshot()
    wallet = older.anna.wallet if owner == "anna" else owner
    outcome = say(older, wallet, counted_from_ms)
    assert why(outcome) == "bad_span"
    assert expected in str(outcome)
    assert older.community.snapshot() == before


def test_an_entry_of_an_older_journal_is_applied_again_by_its_rules(older: ByRules) -> None:
    older.rules = 1
    outcome = say(older, "", -1)
    assert isinstance(outcome, MeterCorrected)
    assert outcome.owner == older.cleo.wallet


# --- shared energy ------------------------------------------------------------------------------


def test_an_interval_that_is_allocated_again_stays_its_owners() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=300 * WH)
    village.clear(0)
    village.quarter(1, plant=0, flat_b=0)
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0] |= {"owner": "cleo"}
    village.at_ms += 1
    village.configure(meter=meters)
    village.read(FIRST_MS + QUARTER_MS, flat_c=300 * WH)
    village.at_ms = max(village.at_ms, FIRST_MS + 2 * QUARTER_MS)
    village.read(FIRST_MS + 2 * QUARTER_MS, flat_c=0)
    late, _ = village.clear(1).allocations
    assert got(late) == {"flat-b": 300 * WH, "flat-c": 300 * WH}
    assert [line.wallet for line in late.producers] == [village.anna.wallet]
    assert village.grid(village.anna) == (0, 0)


def test_terms_by_older_rules_leave_no_trace_of_owners() -> None:
    village = Settling()
    community = Community()
    terms = configuration_input(convert_terms(village.document))
    machine.apply(community, terms, NOON_MS, 1)
    assert community.meters["ABB-1"].former_owners == ()
