"""The live picture, drawn from made-up scenes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rich.console import Console

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.api import Clearing, Level, ListedTrade
from gridtokenx_sim.demo.files.statement import Balance, Summary
from gridtokenx_sim.demo.screen.picture import picture
from gridtokenx_sim.demo.screen.progress import progress_line
from gridtokenx_sim.demo.screen.scene import Event, MemberRow, Scene

HOUSES = len(town.MEMBERS)
NOON_MS = 1_781_776_800_000  # 2026-06-18 10:00 UTC, 12:00 in Vienna
KWH = 10**9
GRX = 10**6


def row(number: int, **changes: Any) -> MemberRow:
    fields: dict[str, Any] = {
        "member": f"Member {number}",
        "wallet": f"wallet{number}",
        "meter": f"EASTRON-{number}",
        "model": "Eastron SDM630",
        "bus": f"cabinet {number}",
        "order": "sell ≥ 0.118",
        "power_w": -4321 if number % 2 else 987,
        "balance": Balance(
            grid_uwh=12_345 * 10**6, grid_held_uwh=0, grx_ugrx=1_000_250_000, grx_held_ugrx=0
        ),
    }
    return MemberRow(**fields | changes)


def scene(**changes: Any) -> Scene:
    fields: dict[str, Any] = {
        "title": "Sonnenweg, Vienna",
        "time_zone": "Europe/Vienna",
        "time_ms": NOON_MS,
        "speed": 180.0,
        "sun_degrees": 64.2,
        "sun_w_m2": 901,
        "broker": "Mosquitto (/usr/sbin/mosquitto)",
        "member_rows": tuple(row(number) for number in range(1, HOUSES + 1)),
        "summary": Summary(
            readings_accepted=1234,
            readings_rejected=2,
            readings_quarantined=3,
            minted_uwh=56_789 * 10**6,
            orders=432,
            trades=321,
            settlements=320,
            frames=99,
            journal_seq=777,
        ),
        "bids": tuple(Level(price_ugrx=100_000 - step, quantity_uwh=KWH) for step in range(7)),
        "asks": tuple(
            Level(price_ugrx=110_000 + 1000 * step, quantity_uwh=2 * KWH) for step in range(7)
        ),
        "trades": tuple(
            ListedTrade(
                time_ms=NOON_MS - 60_000 * n,
                price_ugrx=105_000,
                quantity_uwh=457_000_000,
                buyer="wallet2",
                seller="wallet1",
                segment="realtime",
            )
            for n in range(12)
        ),
    }
    return Scene(**fields | changes)


def draw(drawn_scene: Scene, width: int = 100) -> list[str]:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(drawn_scene, width))
    return capture.get().splitlines()


def test_it_fits_a_hundred_by_thirty() -> None:
    drawn = draw(scene())
    assert len(drawn) <= 30
    assert max(map(len, drawn)) <= 100


@pytest.mark.parametrize("width", [97, 100, 120])
def test_no_cell_is_cut_however_long_the_towns_names_are(width: int) -> None:
    longest = {
        "member": "Bakery Lang",
        "model": "Carlo Gavazzi EM24-DIN",
        "bus": "bakery TCP",
        "order": "sell ≥ 0.105 ¼h",
        "power_w": -6_855,
        "balance": Balance(
            grid_uwh=122_565 * 10**6, grid_held_uwh=0, grx_ugrx=1_000_250_000, grx_held_ugrx=0
        ),
    }
    drawn = draw(scene(member_rows=tuple(row(n, **longest) for n in range(HOUSES))), width)
    assert max(map(len, drawn)) <= width
    table = "\n".join(drawn[2 : 4 + HOUSES])
    assert "…" not in table
    assert table.count("1,000.250") == table.count("122.565") == HOUSES
    assert table.count("GRX") == 1


def test_it_shows_time_speed_and_sun() -> None:
    (header, *_) = draw(scene())
    assert "Thu 18 Jun 2026 12:00" in header
    assert "×180" in header
    assert "64° 901 W/m²" in header


def test_it_says_that_it_is_night() -> None:
    assert "night" in draw(scene(sun_degrees=-3.0, sun_w_m2=0))[0]


def test_it_shows_totals() -> None:
    totals = draw(scene())[1]
    for figure in ("readings 1,234 ✓ 5 ✗", "56.789 GRID", "432 orders", "321 trades"):
        assert figure in totals
    assert "320 settled" in totals


def test_it_shows_every_house_with_meter_power_and_balance() -> None:
    rows = [line for line in draw(scene()) if line.startswith("Member 1 ")]
    assert len(rows) == 1
    for part in ("Eastron SDM630", "cabinet 1", "▲", "4,321 W", "sell ≥ 0.118", "12.345"):
        assert part in rows[0]
    assert "1,000.250" in rows[0]
    (consumer,) = [line for line in draw(scene()) if line.startswith("Member 2 ")]
    assert "▼   987 W" in consumer


def test_a_meter_with_a_fault_says_which() -> None:
    drawn = draw(scene(member_rows=(row(1, faults=("silence",)),)))
    assert any("silence" in line for line in drawn)


def test_the_best_prices_meet_in_the_middle_of_the_book() -> None:
    drawn = "\n".join(draw(scene()))
    assert drawn.index("0.113") < drawn.index("0.110") < drawn.index("0.100")
    assert "0.114" not in drawn


def test_trades_name_the_members() -> None:
    lines = [line for line in draw(scene()) if "Member 1 → Member 2" in line]
    assert len(lines) == 8
    assert "0.457" in lines[0]
    assert "0.0480" in lines[0]


def test_a_trade_of_an_unknown_wallet_shows_its_beginning() -> None:
    trade = ListedTrade(
        time_ms=NOON_MS,
        price_ugrx=105_000,
        quantity_uwh=KWH,
        buyer="9xQeWvG816bUx9EPf",
        seller="wallet1",
        segment="realtime",
    )
    assert any("Member 1 → 9xQeWvG8" in line for line in draw(scene(trades=(trade,))))


def test_the_widest_row_of_the_town_fits_a_hundred_characters() -> None:
    wide = row(
        1,
        member="Bakery Lang",
        model="Carlo Gavazzi EM24-DIN",
        bus="bakery TCP",
        order="sell ≥ 0.105 ¼h",
        power_w=-86_864,
        balance=Balance(
            grid_uwh=113_850 * 10**6, grid_held_uwh=0, grx_ugrx=1_000_700_000, grx_held_ugrx=0
        ),
    )
    (line,) = [drawn for drawn in draw(scene(member_rows=(wide,))) if drawn.startswith("Bakery")]
    assert line.split() == [
        *("Bakery", "Lang", "Carlo", "Gavazzi", "EM24-DIN", "bakery", "TCP"),
        *("▲86,864", "W", "▇▇▇▇▇▇▇", "sell", "≥", "0.105", "¼h", "113.850", "1,000.700"),
    ]


def test_a_trade_of_an_auction_is_marked() -> None:
    marked = ListedTrade(
        time_ms=NOON_MS,
        price_ugrx=105_000,
        quantity_uwh=KWH,
        buyer="wallet2",
        seller="wallet1",
        segment="interval",
    )
    lines = draw(scene(trades=(marked, msgspec.structs.replace(marked, segment="realtime"))))
    assert [line.count("12:00 ¼h") for line in lines if "Member 1 → Member 2" in line] == [1, 0]


@pytest.mark.parametrize(
    ("clearing", "told"),
    [
        (
            Clearing(interval_ms=NOON_MS - 900_000, price_ugrx=131_000, volume_uwh=1_234_000_000),
            "auction of 11:45 to 12:00: 1.234 kWh at 0.131",
        ),
        (
            Clearing(interval_ms=NOON_MS - 900_000, price_ugrx=None, volume_uwh=0),
            "auction of 11:45 to 12:00: no trade",
        ),
    ],
)
def test_the_newest_auction_is_told_below_the_trades(clearing: Clearing, told: str) -> None:
    drawn = draw(scene(clearing=clearing))
    assert any(told in line for line in drawn)
    assert len(drawn) == len(draw(scene()))


def test_before_anything_is_known_it_is_drawn_all_the_same() -> None:
    unknown = msgspec.structs.replace(row(1), power_w=None, balance=None)
    drawn = draw(scene(member_rows=(unknown,), summary=None, bids=(), asks=(), trades=()))
    assert any("waiting for the backend" in line for line in drawn)


def test_its_height_does_not_change_with_the_book_and_the_trades() -> None:
    full, empty = draw(scene()), draw(scene(bids=(), asks=(), trades=()))
    assert len(full) == len(empty)


def test_a_part_that_is_down_is_named_with_the_news() -> None:
    event = Event(NOON_MS, "backend ended (SIGKILL); starting it again")
    drawn = draw(scene(down=("backend",), restarts=2, events=(event,)))
    assert any("12:00 backend ended (SIGKILL)" in line for line in drawn)
    assert any("down: backend" in line and "2 restarts" in line for line in drawn)


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 95, 96, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, draw(scene(), width))) <= width


@pytest.mark.parametrize("width", [60, 80, 100])
def test_figures_are_never_cut(width: int) -> None:
    drawn = draw(scene(), width)
    assert sum("12.345" in line and "1,000.250" in line for line in drawn) == HOUSES


def test_a_time_zone_that_the_machine_does_not_know_is_utc() -> None:
    assert "10:00" in draw(scene(time_zone="Nowhere/Land"))[0]


def test_a_progress_line_has_the_totals() -> None:
    assert progress_line(scene()) == (
        "2026-06-18 12:00: 1234 readings accepted, 5 refused, 56.789 GRID minted,"
        " 432 orders, 320 trades settled"
    )


def test_a_progress_line_waits_for_the_backend() -> None:
    assert progress_line(scene(summary=None)) == "2026-06-18 12:00: waiting for the backend"


def test_a_long_runs_totals_still_fit() -> None:
    many = Summary(
        readings_accepted=98_765,
        readings_rejected=2,
        readings_quarantined=3,
        minted_uwh=12_345_678 * 10**6,
        orders=98_765,
        trades=87_654,
        settlements=87_654,
        frames=9_999,
        journal_seq=99_999,
    )
    totals = draw(scene(summary=many))[1]
    assert totals.rstrip().endswith("87,654 settled")
