"""The first reading after a change of owner: what was moved before it is the former owner's."""

from __future__ import annotations

import pytest
from tests.backend.core.minting.test_correction_owners import give, grid
from tests.backend.settling import NOON_MS, QUARTER_MS, Settling
from tests.backend.village import KWH, assert_sound, reading

from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected
from gridtokenx_backend.core.model.ledger import GRID, Movement, issuer


def test_a_reading_across_the_change_is_divided_at_the_interval_of_the_change() -> None:
    village = Settling()
    village.at_ms = NOON_MS + 4 * QUARTER_MS + 1
    give(village, village.cleo)
    village.at_ms = NOON_MS
    sent = village.read("ABB-1", export_uwh=8 * KWH, quarters=8)
    assert sent.movements == [
        Movement(asset=GRID, debit=issuer(GRID), credit=who.wallet, amount=4 * KWH)
        for who in (village.cleo, village.anna)
    ]
    village.read("ABB-1", export_uwh=KWH, quarters=4)
    assert grid(village) == {"anna": 4 * KWH, "ben": 0, "cleo": 5 * KWH}
    assert_sound(village.community)


def test_what_was_minted_before_is_not_minted_again_in_the_first_interval() -> None:
    village = Settling()
    for minutes, export_uwh in ((5, KWH // 2), (10, KWH)):
        village.at_ms = NOON_MS + minutes * 60_000
        village.send(village.north, reading("ABB-1", village.at_ms, export_uwh))
    village.at_ms = NOON_MS + QUARTER_MS
    give(village, village.cleo)
    village.at_ms = NOON_MS + 20 * 60_000
    village.send(village.north, reading("ABB-1", village.at_ms, 2 * KWH))
    assert grid(village) == {"anna": 3 * KWH // 2, "ben": 0, "cleo": KWH // 2}


def test_a_frame_of_an_offline_gateway_over_several_changes_is_divided() -> None:
    village = Settling()
    for quarters, owner in ((4, village.cleo), (6, village.ben)):
        village.at_ms = NOON_MS + quarters * QUARTER_MS
        give(village, owner)
    village.at_ms = NOON_MS + 8 * QUARTER_MS
    kept = [reading("ABB-1", NOON_MS + number * QUARTER_MS, number * KWH) for number in range(1, 9)]
    village.send(village.north, *kept)
    assert grid(village) == {"anna": 4 * KWH, "ben": 2 * KWH, "cleo": 2 * KWH}


@pytest.mark.parametrize("export_uwh", [0, 4 * KWH, 9 * KWH])
def test_a_correction_takes_back_from_who_was_given(export_uwh: int) -> None:
    village = Settling()
    village.at_ms = NOON_MS + 4 * QUARTER_MS
    give(village, village.cleo)
    village.at_ms = NOON_MS
    village.read("ABB-1", export_uwh=8 * KWH, quarters=8)
    span = NOON_MS, NOON_MS + 4 * QUARTER_MS
    said = village.correct("ABB-1", span, (0, export_uwh), (0, 4 * KWH))
    assert isinstance(said, MeterCorrected)
    assert said.owed_uwh == 0
    assert grid(village) == {"anna": export_uwh, "ben": 0, "cleo": 4 * KWH}
