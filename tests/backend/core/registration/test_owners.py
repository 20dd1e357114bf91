"""Who owned a meter when: kept from terms to terms, by whole intervals."""

from __future__ import annotations

from tests.backend.settling import NOON_MS, QUARTER_MS, Settling
from tests.backend.village import KWH, Resident, convert_terms

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import configuration_input
from gridtokenx_backend.core.model.ownership import FORMER_OWNERS_KEPT, FormerOwner
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.state.community import Community, restore


def give(village: Settling, to: Resident, at_ms: int, **terms: object) -> Meter:
    """Let ABB-1 be another member's from `at_ms` on."""
    village.at_ms = at_ms
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0] |= {"owner": to.name, **terms}
    village.configure(meter=meters)
    return village.community.meters["ABB-1"]


def test_an_interval_in_which_the_owner_changes_is_the_new_owners() -> None:
    village = Settling()
    meter = give(village, village.cleo, NOON_MS + 4 * QUARTER_MS + 1)
    owners = [meter.owner_at(NOON_MS + number * QUARTER_MS) for number in range(6)]
    assert owners == [village.anna.wallet] * 4 + [village.cleo.wallet] * 2
    assert all(meter.is_owner_known_at(at_ms) for at_ms in (0, NOON_MS))


def test_who_owned_no_whole_interval_is_left_out() -> None:
    village = Settling()
    give(village, village.ben, NOON_MS + QUARTER_MS + 1)
    meter = give(village, village.cleo, NOON_MS + QUARTER_MS + 2)
    assert [former.wallet for former in meter.former_owners] == [village.anna.wallet]
    assert meter.owner_at(NOON_MS + QUARTER_MS) == village.cleo.wallet


def test_the_same_owner_again_is_no_change() -> None:
    village = Settling()
    assert give(village, village.anna, NOON_MS + QUARTER_MS).former_owners == ()


def test_of_many_changes_the_newest_are_kept_and_what_was_before_is_not_known() -> None:
    village = Settling()
    changes = FORMER_OWNERS_KEPT + 2
    for number in range(1, changes + 1):
        owner = village.cleo if number % 2 else village.anna
        meter = give(village, owner, NOON_MS + number * QUARTER_MS)
    assert len(meter.former_owners) == FORMER_OWNERS_KEPT
    assert meter.owners_from_ms == NOON_MS + 2 * QUARTER_MS
    assert not meter.is_owner_known_at(NOON_MS + QUARTER_MS)
    assert meter.owner_at(NOON_MS + 2 * QUARTER_MS) == village.anna.wallet


def test_a_meter_of_an_older_journal_is_known_from_the_first_terms_by_newer_rules_on() -> None:
    village = Settling()
    terms = configuration_input(convert_terms(village.document))
    village.community = Community()
    machine.apply(village.community, terms, NOON_MS, 1)
    machine.apply(village.community, terms, NOON_MS + QUARTER_MS, 1)
    assert village.community.meters["ABB-1"].owners_from_ms == -1
    meter = give(village, village.cleo, NOON_MS + 5 * QUARTER_MS)
    assert meter.former_owners == (
        FormerOwner(wallet=village.anna.wallet, until_ms=NOON_MS + 5 * QUARTER_MS),
    )
    assert not meter.is_owner_known_at(NOON_MS + 4 * QUARTER_MS)
    assert meter.is_owner_known_at(NOON_MS + 5 * QUARTER_MS)


def test_a_net_meters_missing_surplus_stays_with_the_former_owner() -> None:
    village = Settling()
    meter = give(village, village.anna, NOON_MS, policy="net")
    village.read("ABB-1", import_uwh=3 * KWH, quarters=4)
    meter = give(village, village.cleo, NOON_MS + 4 * QUARTER_MS)
    assert meter.former_owners[0].deficit_uwh == 3 * KWH
    village.read("ABB-1", export_uwh=KWH, quarters=4)
    assert village.grid(village.cleo) == (KWH, 0)


def test_the_time_of_a_meters_first_reading_is_kept() -> None:
    village = Settling()
    assert village.community.meters["ABB-1"].first_ms == NOON_MS
    village.read("ABB-1", quarters=1)
    give(village, village.anna, village.at_ms, epoch=1)
    village.read("ABB-1", quarters=1)
    assert village.community.meters["ABB-1"].first_ms == NOON_MS
    assert restore(village.community.snapshot()).snapshot() == village.community.snapshot()


def test_a_meter_that_the_terms_no_longer_name_keeps_its_rating() -> None:
    village = Settling()
    village.configure(meter=village.document["meter"][1:])
    rules = village.community.meters["ABB-1"].rules
    assert (rules.active, rules.max_power_w) == (False, 10_000)
