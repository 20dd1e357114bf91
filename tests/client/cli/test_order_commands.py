"""`gridtokenx order` against a real `gridtokenx-backend` process."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.client.test_with_backend import BIN, Said, api, as_json, folder

from gridtokenx_client.answers import Placed, Trade
from gridtokenx_client.cli.tables import placed_table

__all__ = ["api", "folder"]  # fixtures

Run = Callable[..., Said]


@pytest.fixture
def anna(folder: Path, api: str) -> Run:
    key = str(folder / "anna.key")

    def run(*words: str) -> Said:
        done = subprocess.run(
            [BIN / "gridtokenx", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "GRIDTOKENX_API": api, "GRIDTOKENX_KEY": key, "COLUMNS": "160"},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def order(anna: Run) -> Run:
    return functools.partial(anna, "order")


def test_an_order_is_placed_amended_and_cancelled_with_all_others(order: Run) -> None:
    placed = as_json(order("place", "buy", "3", "--price", "0.3", "--id", "o-1", "--json"))
    assert placed["status"] == "resting"
    assert order("amend", "o-1", "--kwh", "2").out == (
        "order o-1: resting, 2 kWh open at 0.3 GRX/kWh; it kept its place\n"
    )
    amended: dict[str, Any] = as_json(order("amend", "o-1", "--price", "0.4", "--json"))
    assert (amended["kept_priority"], amended["price_grx_per_kwh"]) == (False, "0.400000")
    as_json(order("place", "buy", "1", "--price", "0.2", "--post-only", "--json"))
    as_json(order("place", "buy", "1", "--price", "0.2", "--for-s", "3600", "--json"))
    assert order("cancel-all", "--side", "buy").out.startswith("3 orders cancelled (entry ")


def test_a_market_order_that_finds_nobody_ends(order: Run) -> None:
    placed = as_json(order("place", "buy", "1", "--json"))
    assert (placed["status"], placed["remaining_kwh"]) == ("cancelled", "1.000000000")


def test_orders_for_the_auction_wait_for_it_and_are_shown_with_the_others(
    anna: Run, order: Run
) -> None:
    assert "order fixed: waits for the next auction" in (
        order("place", "buy", "1", "--price", "0.2", "--segment", "interval", "--id", "fixed").out
    )
    order("place", "buy", "0.001", "--segment", "interval", "--id", "any-price")
    order("place", "buy", "3", "--price", "0.1", "--for-s", "3600", "--id", "timed")
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in anna("wallet", "orders").out.splitlines()
        if line.startswith("│")
    ]
    placed_by = {row[0]: row[2] for row in rows}
    assert placed_by["fixed"] == placed_by["any-price"] == "hand, auction"
    assert re.fullmatch(r"hand, until \d{4}-\d\d-\d\d \d\d:\d\d UTC", placed_by["timed"])
    assert order("cancel", "fixed").out == "order fixed: cancelled, 1 kWh were left\n"
    assert order("cancel-all", "--segment", "interval").out.startswith("1 order cancelled")
    assert order("cancel-all").out.startswith("1 order cancelled")


def test_how_long_an_order_rests_is_case_blind_for_people(order: Run) -> None:
    assert as_json(order("place", "buy", "1", "--price", "0.1", "--tif", "fok", "--json"))[
        "status"
    ] == ("cancelled")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("place", "buy", "1", "--tif", "GTC"), 1, "contradictory"),
        (("place", "buy", "1", "--price", "0.001"), 1, "not_settleable"),
        (("place", "buy", "1", "--price", "0.3", "--min", "2"), 1, "bad_quantity"),
        (("place", "buy", "1", "--price", "0.3", "--for-s", "9", "--tif", "IOC"), 2, "expected"),
        (("place", "buy", "1", "--price", "0.3", "--for-s", "1e-9"), 2, "--for-s: expected"),
        (("place", "buy", "1", "--tif", "IOC", "--segment", "interval"), 1, "contradictory"),
        (("amend", "nothing", "--kwh", "1"), 1, "unknown_order"),
        (("amend", "nothing"), 2, "expected --kwh, --price, or both"),
        (("cancel", "nothing"), 1, "unknown_order"),
    ],
    ids=str,
)
def test_a_refusal_is_one_line(order: Run, words: tuple[str, ...], code: int, said: str) -> None:
    done = order(*words)
    assert (done.code, done.out) == (code, "")
    [line] = done.err.splitlines()
    assert line.startswith(f"gridtokenx: {said}")


def trade(kwh: str, price: str, gross: str) -> Trade:
    return Trade(
        journal_seq=7,
        time_ms=0,
        price_grx_per_kwh=price,
        quantity_kwh=kwh,
        gross_grx=gross,
        fee_grx="0",
        buyer="anna",
        seller="ben",
    )


@pytest.mark.parametrize(
    ("placed", "segment", "title"),
    [
        (
            Placed(
                order="o",
                status="resting",
                filled_kwh="0",
                remaining_kwh="1",
                trades=[],
                journal_seq=7,
            ),
            "realtime",
            "order o: resting",
        ),
        (
            Placed(
                order="o",
                status="resting",
                filled_kwh="0",
                remaining_kwh="1",
                trades=[],
                journal_seq=7,
            ),
            "interval",
            "order o: waits for the next auction",
        ),
        (
            Placed(
                order="o",
                status="cancelled",
                filled_kwh="0",
                remaining_kwh="1",
                trades=[],
                journal_seq=7,
            ),
            "realtime",
            "order o: cancelled, nothing traded",
        ),
        (
            Placed(
                order="o",
                status="cancelled",
                filled_kwh="1",
                remaining_kwh="1",
                trades=[trade("1", "0.1", "0.1")],
                journal_seq=7,
            ),
            "realtime",
            "order o: partly filled, the rest cancelled",
        ),
    ],
)
def test_what_became_of_an_order_is_said_in_words(placed: Placed, segment: str, title: str) -> None:
    assert drawn(placed, segment)[0] == title


def test_trades_are_summed_up_by_price_and_in_all_at_their_mean_price() -> None:
    trades = [trade("1", "0.1", "0.1"), trade("1", "0.2", "0.2"), trade("2", "0.2", "0.4")]
    lines = drawn(
        Placed(
            order="o",
            status="filled",
            filled_kwh="4",
            remaining_kwh="0",
            trades=trades,
            journal_seq=7,
        ),
        "realtime",
    )
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert rows == [
        ["traded, entry 7", "1", "0.1", "0.1"],
        ["traded, entry 7, 2 trades", "3", "0.2", "0.6"],
        ["traded in all", "4", "⌀ 0.175000", "0.7"],
        ["open", "0", "", ""],
    ]


def drawn(placed: Placed, segment: str) -> list[str]:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(placed_table(placed, segment))
    return capture.get().splitlines()
