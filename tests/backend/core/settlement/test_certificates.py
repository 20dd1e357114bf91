"""Certificates: one for each full MWh, each µWh once, and used up once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backend.settling import MWH, NOON_MS, QUARTER_MS, Settling, roof_meters, why
from tests.backend.village import KWH, Resident, assert_sound, convert_terms

from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import Result
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificateMoved,
    CertificateRetired,
    CertificatesIssued,
    MeterCorrected,
    NothingIssued,
)
from gridtokenx_backend.core.model.ledger import REC, RETIRED, Movement, issuer
from gridtokenx_backend.core.model.local_time import month_start_ms, parse_month
from gridtokenx_backend.core.model.settlement import Certificate, IssueCertificates
from gridtokenx_wire.order import RecRetire, RecTransfer

JULY_MS, AUGUST_MS = (month_start_ms(look_up("UTC"), month) for month in (202607, 202608))
SPAN = (NOON_MS, NOON_MS + 4 * QUARTER_MS)


@pytest.fixture(name="village")
def _village() -> Settling:
    return Settling(meter=roof_meters())


def make(village: Settling, mwh_tenths: int, meter: str = "ABB-1") -> None:
    """So many tenths of a MWh are exported in an hour."""
    village.read(meter, export_uwh=mwh_tenths * MWH // 10, quarters=4)


def issue(village: Settling, month: str = "2026-06") -> list[Certificate]:
    outcome = village.order(IssueCertificates(month=parse_month(month)))
    assert_sound(village.community)
    if isinstance(outcome, NothingIssued):
        return []
    assert isinstance(outcome, CertificatesIssued), outcome
    return outcome.certificates


def serials(certificates: list[Certificate]) -> list[str]:
    return [each.serial for each in certificates]


def test_a_mwh_is_certified_for_who_owned_the_meter_when_it_was_full(village: Settling) -> None:
    make(village, 25)
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0] |= {"owner": "cleo"}
    village.configure(meter=meters)
    make(village, 20)
    village.at_ms = JULY_MS
    found = issue(village)
    anna, cleo = village.anna.wallet, village.cleo.wallet
    assert [each.owner for each in found] == [anna, anna, cleo, cleo]
    assert [village.balance(who, REC) for who in (village.anna, village.cleo)] == [(2, 0)] * 2
    assert found[2].serial == "lane-2026-06-ABB-1-3"


def test_what_a_former_owner_gains_by_a_correction_is_certified_for_them(
    village: Settling,
) -> None:
    make(village, 5)
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0] |= {"owner": "cleo"}
    village.configure(meter=meters)
    make(village, 4)
    said = village.correct("ABB-1", SPAN, (0, 7 * MWH // 10), (0, 5 * MWH // 10))
    assert isinstance(said, MeterCorrected)
    village.at_ms = JULY_MS
    (found,) = issue(village)
    assert found.owner == village.anna.wallet


def test_a_certificate_is_issued_for_each_full_mwh_of_a_month_that_is_over(
    village: Settling,
) -> None:
    make(village, 25)
    first = village.community.entries
    assert why(village.order(IssueCertificates(month=202606))) == "month_not_over"
    village.at_ms = JULY_MS
    found = issue(village)
    assert serials(found) == ["lane-2026-06-ABB-1-1", "lane-2026-06-ABB-1-2"]
    assert found[1] == Certificate(
        serial="lane-2026-06-ABB-1-2",
        meter="ABB-1",
        technology="solar",
        month=202606,
        from_uwh=MWH,
        to_uwh=2 * MWH,
        first_entry=first,
        last_entry=first,
        issued_entry=village.community.entries,
        issued_ms=JULY_MS,
        owner=village.anna.wallet,
    )
    assert village.balance(village.anna, REC) == (2, 0)
    assert village.balance(issuer(REC), REC)[0] == -2


def test_issuing_again_has_no_effect(village: Settling) -> None:
    make(village, 25)
    village.at_ms = JULY_MS
    issue(village)
    before = village.community.snapshot()
    assert village.order(IssueCertificates(month=202606)) == NothingIssued(202606)
    assert village.order(IssueCertificates(month=202605)) == NothingIssued(202605)
    assert village.community.snapshot() == before


def test_what_is_no_full_mwh_waits_for_the_month_that_completes_it(village: Settling) -> None:
    make(village, 9)
    village.at_ms = JULY_MS
    assert issue(village) == []
    make(village, 2)
    entry = village.community.entries
    village.at_ms = AUGUST_MS
    assert issue(village, "2026-06") == []  # the MWh was not full then
    (found,) = issue(village, "2026-07")
    assert (found.serial, found.to_uwh) == ("lane-2026-07-ABB-1-1", MWH)
    assert found.first_entry < found.last_entry == entry


def test_months_are_made_up_for_in_their_order(village: Settling) -> None:
    make(village, 15)
    village.at_ms = JULY_MS
    make(village, 16)
    village.at_ms = AUGUST_MS
    assert serials(issue(village, "2026-07")) == [
        "lane-2026-06-ABB-1-1",
        "lane-2026-07-ABB-1-2",
        "lane-2026-07-ABB-1-3",
    ]


def test_only_a_renewable_meter_is_certified(village: Settling) -> None:
    make(village, 20, "ABB-2")
    village.at_ms = JULY_MS
    assert issue(village) == []


def test_a_month_ends_where_the_community_is(village: Settling) -> None:
    village.document["community"] = {"name": "lane", "time_zone": "Europe/Vienna"}
    zone = look_up("Europe/Vienna")
    village.apply(inputs.configuration_input(convert_terms(village.document), b"", zone))
    village.at_ms = JULY_MS - 9 * QUARTER_MS
    village.read("ABB-1", export_uwh=MWH)
    village.read("ABB-1", export_uwh=MWH, quarters=1)  # it is July there
    assert serials(issue(village)) == ["lane-2026-06-ABB-1-1"]


def test_energy_that_was_corrected_away_makes_the_next_certificate_wait(village: Settling) -> None:
    make(village, 15)
    village.at_ms = JULY_MS
    assert len(issue(village)) == 1
    corrected = village.correct("ABB-1", SPAN, (0, MWH // 2), (0, 15 * MWH // 10))
    assert isinstance(corrected, MeterCorrected)  # now 0.5 MWh were certified that are none
    make(village, 10)
    village.at_ms = AUGUST_MS
    assert issue(village, "2026-07") == []  # 1.5 in all, 1 certified
    make(village, 5)
    village.at_ms += 32 * 96 * QUARTER_MS
    assert serials(issue(village, "2026-08")) == ["lane-2026-08-ABB-1-2"]


def test_a_correction_before_the_issuing_counts(village: Settling) -> None:
    make(village, 15)
    village.at_ms = JULY_MS
    village.correct("ABB-1", SPAN, (0, MWH // 2), (0, 15 * MWH // 10))
    assert issue(village, "2026-06") == []


def test_the_certified_count_outlives_another_register(village: Settling) -> None:
    make(village, 15)
    meters = [dict(meter) for meter in village.document["meter"]]
    meters[0]["epoch"] = 1
    village.configure(meter=meters)
    village.registers["ABB-1"] = (0, 0)
    village.read("ABB-1", quarters=1)
    make(village, 5)
    village.at_ms = JULY_MS
    assert [(each.from_uwh, each.to_uwh) for each in issue(village)] == [(0, MWH), (MWH, 2 * MWH)]


# --- transfer and retirement --------------------------------------------------------------------


def head(village: Settling, who: Resident, name: str) -> dict[str, Any]:
    return who._head(name, village.at_ms, "lane")


def transfer(village: Settling, who: Resident, serial: str, to: str, name: str = "t") -> Result:
    return village.tell(RecTransfer(**head(village, who, name), serial=serial, to=to))


def retire(village: Settling, who: Resident, serial: str, text: str, name: str = "r") -> Result:
    return village.tell(RecRetire(**head(village, who, name), serial=serial, beneficiary=text))


@pytest.fixture(name="serial")
def _serial(village: Settling) -> str:
    """Of anna's one certificate."""
    make(village, 10)
    village.at_ms = JULY_MS
    return issue(village)[0].serial


def test_a_certificate_passes_from_wallet_to_wallet(village: Settling, serial: str) -> None:
    anna, ben = village.anna.wallet, village.ben.wallet
    outcome = transfer(village, village.anna, serial, ben)
    assert outcome == CertificateMoved(
        serial=serial,
        wallet=anna,
        to=ben,
        movements=[Movement(asset=REC, debit=anna, credit=ben, amount=1)],
    )
    assert village.community.settlement.certificates[serial].owner == ben
    assert why(transfer(village, village.anna, serial, ben, "again")) == "unknown_certificate"
    assert why(retire(village, village.anna, serial, "me")) == "unknown_certificate"


def test_a_certificate_is_used_up_once(village: Settling, serial: str) -> None:
    anna = village.anna.wallet
    outcome = retire(village, village.anna, serial, "Bakery Sonnenweg")
    movement = Movement(asset=REC, debit=anna, credit=RETIRED, amount=1)
    assert outcome == CertificateRetired(
        serial=serial, wallet=anna, beneficiary="Bakery Sonnenweg", movements=[movement]
    )
    certificate = village.community.settlement.certificates[serial]
    assert (certificate.status, certificate.beneficiary) == ("retired", "Bakery Sonnenweg")
    assert (certificate.retired_entry, certificate.retired_ms) == (
        village.community.entries,
        JULY_MS,
    )
    assert why(retire(village, village.anna, serial, "me too", "again")) == "unknown_certificate"
    to_ben = transfer(village, village.anna, serial, village.ben.wallet)
    assert why(to_ben) == "unknown_certificate"
    assert village.balance(RETIRED, REC)[0] == 1


def test_what_was_issued_is_told_as_it_was_whatever_became_of_it(village: Settling) -> None:
    make(village, 10)
    village.at_ms = JULY_MS
    (told,) = issue(village)
    retire(village, village.anna, told.serial, "me")
    assert (told.status, told.retired_entry) == ("issued", 0)


@pytest.mark.parametrize("to", ["", "nobody", "anna"])
def test_a_certificate_goes_to_another_member(village: Settling, serial: str, to: str) -> None:
    wallet = village.anna.wallet if to == "anna" else to
    assert why(transfer(village, village.anna, serial, wallet)) == "unknown_wallet"


@pytest.mark.parametrize("text", ["", " ", "a\nb", "x" * 201])
def test_a_beneficiary_is_a_readable_text(village: Settling, serial: str, text: str) -> None:
    assert why(retire(village, village.anna, serial, text)) == "malformed"


@pytest.mark.parametrize("month", [0, 202600, 202613, 99999999, -202606])
def test_what_is_no_month_is_refused(village: Settling, month: int) -> None:
    assert why(village.order(IssueCertificates(month=month))) == "month_not_over"


def test_a_small_surplus_is_no_certificate(village: Settling) -> None:
    village.read("ABB-1", export_uwh=MWH - 1, quarters=4)
    village.at_ms = JULY_MS
    assert issue(village) == []
    village.read("ABB-1", export_uwh=1, quarters=1)
    assert village.grid(village.anna) == (1000 * KWH, 0)
    village.at_ms = AUGUST_MS
    assert len(issue(village, "2026-07")) == 1
