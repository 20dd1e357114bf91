"""Tables at every width that people have: nothing is cut, and an id stays in one piece."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from gridtokenx_terminal.table import Column, TerminalTable

WALLET = "3cuQ7ktXCfiYhZstjRdZvRDBYoH5edou9GrhMT7NfXXQ"
ORDER = "5f0c2a9b71d34e68a1b2c3d4e5f60718"
PLACED = "standing order, auction, until 2026-06-18 12:15 CEST"
AMOUNTS = ("123456.123456789", "0.000000001", "1250.123456")
WIDTHS = [45, 60, 80, 100, 140]


def shown(table: TerminalTable, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return out.getvalue()


def orders(*, has_frame: bool = True) -> TerminalTable:
    columns = [Column("order"), Column("placed by", wraps=True)]
    amounts = [Column(name, is_number=True) for name in ("kWh", "still open", "GRX/kWh")]
    table = TerminalTable([*columns, *amounts], has_frame=has_frame)
    table.add(ORDER, PLACED, *AMOUNTS)
    table.add("", "hand", "1", "", "0.1")
    return table


@pytest.mark.parametrize("has_frame", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_ids_and_amounts_are_in_one_piece_and_no_word_is_lost(width: int, has_frame: bool) -> None:
    found = shown(orders(has_frame=has_frame), width)
    assert all(len(line) <= width for line in found.splitlines())
    for whole in (ORDER, *AMOUNTS):
        assert whole in found
    assert "…" not in found
    for word in PLACED.split():
        assert word in found


@pytest.mark.parametrize(("width", "is_beside"), [(80, False), (140, True)])
def test_where_columns_do_not_fit_each_row_is_a_block(width: int, is_beside: bool) -> None:
    lines = shown(orders(), width).splitlines()
    assert any("order" in line and "still open" in line for line in lines) is is_beside


def test_words_wrap_before_a_table_becomes_blocks() -> None:
    table = TerminalTable([Column("meter"), Column("why", wraps=True)])
    table.add("EASTRON-10000001", "its first reading brings more than a first reading may")
    lines = shown(table, 45).splitlines()
    assert "meter" in lines[1]
    assert "why" in lines[1]
    assert sum("│" in line for line in lines) > 1


def test_an_id_as_long_as_the_line_has_a_line_of_its_own() -> None:
    table = TerminalTable([Column("wallet"), Column("owned", is_number=True)])
    table.add(WALLET, "1.5")
    assert shown(table, 45).splitlines() == ["wallet", WALLET, "owned   1.5"]


def test_nothing_is_said_of_an_empty_cell_of_a_block() -> None:
    assert "still open" not in shown(orders(), 45).split("\n\n")[1]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_others_wrote_is_no_markup_and_no_command(width: int) -> None:
    table = TerminalTable([Column("name", wraps=True), Column("reference")])
    table.add("[red]x[/] [/] \x1b[31m", "[/] x" * 7)
    found = shown(table, width)
    assert "[red]x[/]" in found
    assert "\x1b" not in found
    assert "\\x1b[31m" in found
    assert "[/] x" * 7 in found.replace("\n", "")


def test_a_cell_of_a_text_keeps_its_style() -> None:
    table = TerminalTable([Column("state")])
    table.add(Text("down", style="red"))
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, color_system="standard").print(table)
    assert "\x1b[31mdown" in out.getvalue()
