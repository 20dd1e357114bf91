"""`gridtokenx order` against a real `gridtokenx-backend` process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.test_with_backend import BIN, Said, api, as_json, folder

__all__ = ["api", "folder"]  # fixtures

Run = Callable[..., Said]


@pytest.fixture
def order(folder: Path, api: str) -> Run:
    key = str(folder / "anna.key")

    def run(*words: str) -> Said:
        done = subprocess.run(
            [BIN / "gridtokenx", "order", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "GRIDTOKENX_API": api, "GRIDTOKENX_KEY": key},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("place", "buy", "1", "--tif", "GTC"), 1, "contradictory"),
        (("place", "buy", "1", "--price", "0.001"), 1, "not_settleable"),
        (("place", "buy", "1", "--price", "0.3", "--min", "2"), 1, "bad_quantity"),
        (("place", "buy", "1", "--price", "0.3", "--for-s", "9", "--tif", "IOC"), 2, "expected"),
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
