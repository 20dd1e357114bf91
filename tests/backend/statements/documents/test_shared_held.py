"""A month that shares, in which energy was held: statement and report check what was offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.backend.statements.shared_month import (
    FLAT_B,
    FLAT_C,
    PLANT,
    WH,
    SharedMonth,
    key,
    local_ms,
    statements,
)
from tests.backend.statements.wrong_core import failed_checks, go_wrong
from tests.backend.village import meter_terms

from gridtokenx_backend.core.messages.held_outcomes import HeldDecided
from gridtokenx_backend.core.messages.inputs import settlement_input
from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.model.settlement import DecideHeld
from gridtokenx_wire.units import format_kwh

BEGIN_MS = local_ms("2026-06-15T11:00")
KEYS = {
    "dynamic": key("dynamic"),
    "static": key("static", shares_percent={FLAT_B: "50", FLAT_C: "50"}),
}


def held_month(mode: str, decision: str = "") -> SharedMonth:
    """The plant shows zero and then 500 Wh, which is held, and 400 Wh later; then a decision."""
    village = SharedMonth(BEGIN_MS, [KEYS[mode]])
    plant = meter_terms(PLANT, village.north, village.anna) | {"starts_at_zero": False}
    village.configure(meter=[plant, *village.document["meter"][1:]])
    village.quarter(500, 300, 300)
    village.quarter(400, 300, 300)
    if decision:
        guard = village.community.meters[PLANT].guard
        assert guard is not None
        assert guard.held is not None
        command: Any = DecideHeld(
            meter=PLANT, entry=guard.held.entry, steps=1, decision=decision, reason="seen"
        )
        assert isinstance(village.apply(settlement_input(command)), HeldDecided)
    village.quarter(100, 300, 300)
    return village


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("decision", "given_wh"),
    [("", 0), ("release", 1000), ("void", 500), ("void_all", 100)],
)
def test_what_was_shared_is_what_is_neither_held_nor_void(
    mode: str, decision: str, given_wh: int, tmp_path: Path
) -> None:
    found, _ = statements(held_month(mode, decision), tmp_path / "journal.db")
    assert found["anna"].energy.given_kwh == format_kwh(given_wh * WH)


def test_a_core_that_shares_held_energy_is_noticed(tmp_path: Path) -> None:
    village = held_month("dynamic")

    def wrong(outcome: Any) -> Any:
        if not isinstance(outcome, IntervalCleared):
            return outcome
        if outcome.interval_ms != BEGIN_MS + 900_000:
            return outcome
        (shared,) = outcome.shared
        (plant,) = shared.producers
        plant = msgspec.structs.replace(plant, offered_uwh=400 * WH, surplus_uwh=400 * WH)
        shared = msgspec.structs.replace(shared, producers=[plant])
        return msgspec.structs.replace(outcome, shared=[shared])

    go_wrong(village, wrong)
    found = failed_checks(village, tmp_path / "journal.db", "2026-06")
    texts = [text for text, _, _ in found["anna"]]
    assert any("plant: offered in an interval of energy that is held or void" in t for t in texts)
