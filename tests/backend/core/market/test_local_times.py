"""What the core says of times, it says in the community's time zone."""

from __future__ import annotations

from tests.backend.village import HOUR_MS, START_MS, Village, convert_terms, reading

from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages.inputs import configuration_input, settlement_input
from gridtokenx_backend.core.messages.settlement_outcomes import SettlementRefused
from gridtokenx_backend.core.model.settlement import Correct


def test_a_pause_and_a_refused_span_are_told_in_local_time() -> None:
    village = Village()
    vienna = {"community": {"name": "lane", "time_zone": "Europe/Vienna"}}
    terms = convert_terms(village.document | vienna)
    village.apply(configuration_input(terms, zone=look_up("Europe/Vienna")))
    trading = village.community.market.trading
    (zone,) = trading.zones.values()
    zone.paused_until_ms = START_MS + HOUR_MS
    assert trading.closed(zone.name, START_MS).endswith("until 2026-05-28T23:26:40+02:00")
    for hour in (0, 1):
        village.at_ms = START_MS + hour * HOUR_MS
        village.send(village.north, reading("ABB-1", village.at_ms))
    refused = village.apply(
        settlement_input(
            Correct(
                meter="ABB-1",
                from_ms=0,
                to_ms=900_000,
                import_uwh=0,
                export_uwh=0,
                counted_import_uwh=0,
                counted_export_uwh=0,
                revision=0,
                reason="a wrong year",
            )
        )
    )
    assert isinstance(refused, SettlementRefused)
    assert "from 2026-05-28T22:15+02:00 on, where the meter was first read" in refused.detail
