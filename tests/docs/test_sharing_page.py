"""The figures, files and keys of docs/sharing.md come out of the code."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.backend.commands import Command
from tests.backend.config.test_check_config import write
from tests.backend.grid_data.test_share_table import GOOD as TABLED
from tests.docs.markdown import DOCS, block, blocks, section, tables

from gridtokenx_backend.core.messages.grid_data import QUANTITIES
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.core.model.rounding import apportion
from gridtokenx_backend.core.model.sharing_keys import WHOLE_PPM
from gridtokenx_backend.core.model.sharing_price import CommunityPrice, interval_price
from gridtokenx_backend.core.model.sharing_terms import SharingTerms
from gridtokenx_backend.core.sharing.allocation import (
    AllocatedEnergy,
    MeteredFlow,
    by_consumption,
    by_shares,
)
from gridtokenx_backend.grid_data.consumption_record import CODES
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.units import energy_limit_uwh, parse_grx

PAGE = (DOCS / "sharing.md").read_text()
WH = 1_000_000
PLANTS = [MeteredFlow(id="mill", energy_uwh=500 * WH), MeteredFlow(id="roof", energy_uwh=1000 * WH)]
FILE = """\
meter,quantity,start,energy_kwh,quality
AT0020000000000000000000020089835,consumption,2026-03-29 01:45,0.250,L1
AT0020000000000000000000020089835,received,2026-03-29 01:45,0.100,L1
AT0020000000000000000000020089835,consumption,2026-03-29 03:00,0.260,L2
AT0020000000000000000000020089835,received,2026-03-29 03:00,,missing
"""


def received(allocated: AllocatedEnergy) -> list[int]:
    """In Wh, and what is surplus."""
    parts = [line.received_uwh or 0 for line in allocated.consumers]
    return [part // WH for part in [*parts, sum(p.surplus_uwh for p in allocated.producers)]]


def test_the_interval_of_the_page_is_allocated_so() -> None:
    (rows,) = tables(section(PAGE, "An interval, worked out"))
    *meters, _ = rows
    using = [MeteredFlow(id=name, energy_uwh=int(consumed) * WH) for name, consumed, *_ in meters]
    shares = {name: int(share.split()[0]) * WHOLE_PPM // 100 for name, _, share, *_ in meters}
    fixed, pro_rata = by_shares(PLANTS, using, shares), by_consumption(PLANTS, using)
    assert received(fixed) == [int(row[3]) for row in rows]
    assert received(pro_rata) == [int(row[4]) for row in rows]
    by_roof = sum(pair.energy_uwh for pair in pro_rata.pairs if pair.producer == "roof")
    assert by_roof * 3 == 2 * sum(pair.energy_uwh for pair in pro_rata.pairs)
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]


def test_with_a_meter_missing_the_page_is_right_too() -> None:
    ceiling_uwh = energy_limit_uwh(9200, INTERVAL_MS) + 100 * WH
    assert ceiling_uwh == 2400 * WH
    using = [
        MeteredFlow(id="flat-1", energy_uwh=300 * WH),
        MeteredFlow(id="flat-2", energy_uwh=900 * WH),
        MeteredFlow(id="flat-3", energy_uwh=None, quality=Quality.MISSING, ceiling_uwh=ceiling_uwh),
    ]
    allocated = by_consumption(PLANTS, using)
    assert received(allocated) == [125, 375, 0, 0]
    assert sum(line.held_uwh for line in allocated.producers) == 1000 * WH
    assert allocated.quality is Quality.PROVISIONAL


def test_the_prices_of_the_page_are_those_of_the_band() -> None:
    (rows,) = tables(section(PAGE, "On the ledger"))
    terms = CommunityPrice(
        rule="balance",
        reference_ugrx=120_000,
        floor_ugrx=100_000,
        ceiling_ugrx=200_000,
        tick_ugrx=1_000,
    )
    for offered, consumed, price, _ in rows:
        assert interval_price(terms, int(offered) * WH, int(consumed) * WH) == parse_grx(price)


def test_the_keys_of_the_page_are_read(tmp_path: Path) -> None:
    text = block(PAGE, "toml")
    (tmp_path / "sharing.toml").write_text(text[text.index("[sharing]") :].replace("sharing.", ""))
    document = tomllib.loads(text)
    assert document["community"]["mode"] == "static"
    lines = (tmp_path / "sharing.toml").read_text().replace("[sharing]\n", "")
    (tmp_path / "sharing.toml").write_text(lines)
    terms = load_toml(tmp_path / "sharing.toml", SharingTerms)
    assert terms.key[0].shares_percent == {"flat-1": 400_000, "flat-2": 600_000}


def test_the_meter_codes_and_quantities_of_the_page_are_the_readers() -> None:
    columns, codes = tables(section(PAGE, "Files of the grid operator"))
    assert {code.strip("`"): quantity for code, quantity in codes} == CODES
    said = next(text for name, text in columns if name == "`quantity`")
    for quantity in QUANTITIES:
        assert f"`{quantity.removesuffix('_part')}`" in said


def test_the_outputs_of_the_page_are_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, capsys)
    shown = [lines for lines in console() if "grid show" in lines[0]]
    path = tmp_path / "march.csv"
    for content, (asked, answer) in zip([FILE.replace("03:00", "02:30"), FILE], shown, strict=True):
        path.write_text(content)
        words = asked.removeprefix("$ gridtokenx-backend ").replace("march.csv", str(path)).split()
        ran = command(*words)
        assert (ran.out + ran.err).strip().replace(str(path), "march.csv") == answer


def console() -> list[list[str]]:
    return [each.text.splitlines() for each in blocks(PAGE) if each.info == "console"]


@pytest.mark.parametrize("number", [0, 1])
def test_the_tables_of_the_page_are_read_and_a_mistake_is_told_as_shown(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, capsys)
    config = write(tmp_path, TABLED.replace("ABB-", "flat-"))
    table = [each.text for each in blocks(PAGE) if each.info == "csv"][number]
    (tmp_path / "shares.csv").write_text(table)
    assert command("check-config", "-c", config).status == 0
    (tmp_path / "shares.csv").write_text(table.replace(",60", ",60.0001"))
    ran = command("check-config", "-c", config)
    (answer,) = (lines[1:] for lines in console() if "check-config" in lines[0])
    if number == 0:
        assert ran.err.replace(str(tmp_path), "/etc/gridtokenx").splitlines() == answer
