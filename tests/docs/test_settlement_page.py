"""The figures of docs/market.md on settlement and certificates come out of the core."""

from __future__ import annotations

import re

from tests.backend.settling import MWH, NOON_MS, QUARTER_MS, Settling, roof_meters
from tests.backend.village import KWH
from tests.docs.markdown import DOCS, section, tables

from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages.outcomes import Ticked
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificatesIssued,
    MeterCorrected,
    NothingIssued,
)
from gridtokenx_backend.core.model.local_time import month_start_ms, next_month, parse_month
from gridtokenx_backend.core.model.registry import StandingOrder
from gridtokenx_backend.core.model.settlement import IssueCertificates
from gridtokenx_backend.core.orders.standing_orders import price_at
from gridtokenx_client.wallet import read_curve
from gridtokenx_wire.units import parse_grx, parse_kwh

PAGE = (DOCS / "market.md").read_text()
QUARTERS = {"12:00": NOON_MS, "12:15": NOON_MS + QUARTER_MS}


def test_the_prices_of_the_page_follow_the_hours() -> None:
    part = section(PAGE, "Standing orders")
    shown = re.search(r"price ([0-9.]+) and the curve `([0-9:.,]+)`", part)
    assert shown is not None
    curve = tuple((hour, parse_grx(price)) for hour, price in read_curve(shown[2]))
    order = StandingOrder(price_ugrx=parse_grx(shown[1]), keep_uwh=0, curve=curve)
    (table,) = tables(part)
    assert {row[0]: parse_grx(row[1]) for row in table} == {
        row[0]: price_at(order, int(row[0])) for row in table
    }


def test_the_retirements_of_the_page_are_the_cores() -> None:
    village = Settling()
    village.read("ABB-1", export_uwh=KWH, quarters=1)
    entries = []
    for kwh in re.findall(r"buys ([0-9.]+) kWh, then ([0-9.]+) kWh", PAGE)[0]:
        village.trade(village.anna, village.ben, kwh)
        entries.append(village.community.entries)
    imports = re.findall(r"([0-9.]+) kWh from 12:", PAGE)
    village.read("ABB-2", import_uwh=parse_kwh(imports[0]))
    village.read("ABB-2", import_uwh=parse_kwh(imports[1]), quarters=1)
    outcome = village.tick()
    assert isinstance(outcome, Ticked)
    (table,) = tables(section(PAGE, "Retirement"))
    assert [
        (QUARTERS[at], entries[int(purchase) - 1], parse_kwh(kwh)) for at, purchase, kwh in table
    ] == [(each.interval_ms, each.bought_entry, each.amount_uwh) for each in outcome.retirements]
    assert parse_kwh(imports[1]) - 35 * KWH // 100 == 15 * KWH // 100


def test_the_correction_of_the_page_is_the_cores() -> None:
    village = Settling()
    village.read("ABB-1", export_uwh=2 * KWH, quarters=1)
    village.trade(village.anna, village.ben, "1.5")
    member = village.community.members[village.anna.wallet]
    states = [(village.grid(village.anna)[0], member.owed_uwh)]
    span = (NOON_MS, NOON_MS + QUARTER_MS)
    corrected = village.correct("ABB-1", span, (0, KWH // 4), (0, 2 * KWH))
    assert isinstance(corrected, MeterCorrected)
    assert corrected.surplus_uwh == -7 * KWH // 4
    states.append((village.grid(village.anna)[0], member.owed_uwh))
    for _ in range(2):
        village.read("ABB-1", export_uwh=KWH, quarters=1)
        states.append((village.grid(village.anna)[0], member.owed_uwh))
    (table,) = tables(section(PAGE, "Corrections"))
    assert states == [(parse_kwh(row[1]), parse_kwh(row[2])) for row in table]


def test_the_certificates_of_the_page_are_the_cores() -> None:
    village = Settling(meter=roof_meters())
    (table,) = tables(section(PAGE, "Certificates"))
    count = 0
    for month, minted, counted, certificates in table:
        village.read("ABB-1", export_uwh=parse_kwh(minted) * 1000, quarters=4)
        count += parse_kwh(minted) * 1000
        assert count == parse_kwh(counted) * 1000
        number = parse_month(month)
        village.at_ms = month_start_ms(look_up("UTC"), next_month(number))
        outcome = village.order(IssueCertificates(month=number))
        assert isinstance(outcome, CertificatesIssued | NothingIssued)
        found = outcome.certificates if isinstance(outcome, CertificatesIssued) else []
        assert [each.serial for each in found] == re.findall("`([^`]+)`", certificates)
        assert all(each.to_uwh - each.from_uwh == MWH for each in found)
