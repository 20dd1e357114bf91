"""Revisions of an interval's allocation: gapless, and each names the entry that it corrects."""

from __future__ import annotations

from tests.backend.sharing_village import FIRST_MS, WH, SharingVillage, only

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.ledger import GRID, Movement


def test_a_clearing_that_moves_nothing_of_a_waiting_interval_is_no_revision_of_it() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=600 * WH, flat_c=0)
    anna = village.anna.wallet
    away = Movement(asset=GRID, debit=anna, credit="community:fed-in", amount=500 * WH)
    assert village.community.ledger.post([away]) is None
    assert only(village.clear(0).allocations).revision == 0
    for number in (1, 2):
        village.quarter(number, plant=0, flat_b=0, flat_c=0)
        new = only(village.clear(number).allocations)
        assert new.interval_ms == FIRST_MS + number * INTERVAL_MS
    back = Movement(asset=GRID, debit="community:fed-in", credit=anna, amount=500 * WH)
    assert village.community.ledger.post([back]) is None
    village.quarter(3, plant=0, flat_b=0, flat_c=0)
    late, _ = village.clear(3).allocations
    assert (late.interval_ms, late.revision, late.corrects) == (FIRST_MS, 1, village.cleared_by[0])


def test_by_rules_version_1_it_was_one() -> None:
    village = SharingVillage()
    village.quarter(0, plant=600 * WH, flat_b=600 * WH, flat_c=0)
    away = Movement(
        asset=GRID, debit=village.anna.wallet, credit="community:fed-in", amount=500 * WH
    )
    assert village.community.ledger.post([away]) is None
    village.community.rules = 1
    for number in (0, 1):
        only(village.clear(number).allocations)
    assert village.community.sharing.known_of(FIRST_MS).revision == 1
