"""`grid import` tells what of a file cannot be."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.cli.test_grid_data_commands import HEADING
from tests.backend.commands import Command
from tests.backend.running import write_configs
from tests.backend.sharing_village import SharingVillage

from gridtokenx_backend.cli.local_time import local_minute
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.local_time import TimeZone, local_text

KEY = """
[[sharing.key]]
version = 1
valid_from = "2026-01-01T00:00:00+00:00"
mode = "imported"
"""


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The config and the API's address of a new backend in the mode `imported`."""
    document = SharingVillage("imported").document
    del document["sharing"]
    config = write_configs(tmp_path, document, free_port())
    with (tmp_path / "community.toml").open("a") as terms:
        terms.write(KEY)
    (tmp_path / "data").mkdir(mode=0o700)
    with BackendProcess(tmp_path, config) as backend:
        yield config, backend.ready(60)["api"]


def test_an_import_tells_what_is_not_counted(
    site: tuple[Path, str], tmp_path: Path, command: Command
) -> None:
    config, api = site
    now_ms = time.time_ns() // 1_000_000
    first_ms = now_ms - now_ms % INTERVAL_MS - 8 * INTERVAL_MS
    starts = [local_text(TimeZone(), first_ms + number * INTERVAL_MS) for number in range(3)]
    first = local_minute(first_ms, UTC)
    file = tmp_path / "day.csv"
    lines = [HEADING]
    lines += [f"flat-b,received,{start},0.8,L1" for start in starts]
    lines += [f"flat-b,consumption,{start},0.5,L1" for start in starts]
    lines += [f"plant,generation,{start},0.4,L1" for start in starts]
    file.write_text("\n".join(lines) + "\n")
    arguments = ("grid", "import", str(file), "-c", str(config), "--api", api)
    ran = command(*arguments)
    assert ran.status == 0
    span = f"in 3 intervals from {first} on"
    assert ran.lines == [
        f"contradiction: flat-b received more than it consumed {span}: "
        "2.400000000 kWh, of which 1.500000000 kWh count",
        f"contradiction: all meters together received more than known producers generated {span}: "
        "1.500000000 kWh, of which 1.200000000 kWh count",
    ]
    told = json.loads(command(*arguments, "--json").out)["contradictions"]
    assert [each["meter"] for each in told] == ["flat-b", ""]
