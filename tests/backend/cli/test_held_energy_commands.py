"""`gridtokenx-backend held` against a backend: a process with the config's own defaults."""

from __future__ import annotations

import json
from pathlib import Path

from tests.backend.cli.test_settlement_commands import (  # noqa: F401 (fixtures)
    JUNE_MS,
    Run,
    _operator,
    backend,
    bring,
    done,
    refused,
)
from tests.backend.village import HOUR_MS, KWH, Village, meter_terms, reading, toml_of


def test_the_operator_looks_at_held_energy_and_decides(tmp_path: Path, operator: Run) -> None:
    village = Village()
    anna = village.anna.wallet
    village.document["community"]["time_zone"] = "Europe/Vienna"
    village.document["meter"] = [
        meter_terms("ABB-1", village.north, village.anna) | {"starts_at_zero": False}
    ]
    (tmp_path / "community.toml").write_text(toml_of(village.document))
    with backend(tmp_path, JUNE_MS) as api:
        assert json.loads(done(operator(api, "held", "list", "--json"))) == []
        bring(tmp_path, api, village.north, reading("ABB-1", JUNE_MS - 2 * HOUR_MS, 0))
        bring(tmp_path, api, village.north, reading("ABB-1", JUNE_MS - HOUR_MS, 3 * KWH))
        bring(tmp_path, api, village.north, reading("ABB-1", JUNE_MS, 4 * KWH))
        table = done(operator(api, "held", "list"))
        assert "CEST" in table
        assert "3.000000000" in table
        assert "a first reading of zero" in table
        refused(
            operator(api, "held", "void", "ABB-2", "--reason", "x"),
            2,
            "METER: expected a meter whose energy is held, got 'ABB-2'",
        )
        text = done(operator(api, "held", "release", "ABB-1", "--reason", "new, seen on site"))
        assert f"ABB-1: 4.000000000 kWh minted to {anna} (entry " in text
