"""A short month of a small neighbourhood passes every check, and each check notices its forgery.

The real broker and backend; readings a day late, both markets, certificates, bills.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.month import Scale, live
from bench.rig.month_audit import Entry, Month, run_checks
from bench.rig.month_checks import CHECKS

_TRADES, _MOVEMENTS, _RETIREMENTS = 6, 7, 9
"""Where a clearing's outcome has them."""
_PRICE, _QUANTITY, _FEE, _BUYER, _SELLER = 4, 5, 7, 2, 3
"""Where a trade has them."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Return two days of eight meters, and what is stored of them."""
    return live(Scale(days=2, prosumers=3, consumers=5), tmp_path_factory.mktemp("month")).month


@pytest.fixture
def month(lived: Month) -> Month:
    """Return a copy to forge."""
    return copy.deepcopy(lived)


def test_a_month_passes_every_check(month: Month) -> None:
    checks = run_checks(month, CHECKS)
    assert [check for check in checks if not check.passed] == []
    assert len(checks) >= 20
    assert month.trades > 100
    assert 0 < month.retired_uwh < month.minted_uwh


def _first(month: Month, kind: str, tag: str = "") -> Entry:
    return next(
        entry for entry in month.entries if entry.kind == kind and entry.tag == (tag or kind)
    )


def _traded(month: Month) -> list[Any]:
    """Return the outcome of the first clearing that traded."""
    return next(e.outcome for e in month.entries if e.kind == "clear" and e.outcome[_TRADES])


def _change_trade(place: int, change: Callable[[Any], Any]) -> Callable[[Month], None]:
    def forge(month: Month) -> None:
        trade = _traded(month)[_TRADES][0]
        trade[place] = change(trade[place])

    return forge


def _skip_an_entry(month: Month) -> None:
    del month.entries[5]


def _change_a_leaf(month: Month) -> None:
    month.entries[3].raw_leaf += b" "


def _change_a_movement(month: Month) -> None:
    _traded(month)[_MOVEMENTS][0][3] += 1


def _change_the_salt(month: Month) -> None:
    month.entries[4].salt = bytes(16)


def _swap_keys(month: Month) -> None:
    first, second, *_ = month.keys
    month.keys[first], month.keys[second] = month.keys[second], month.keys[first]


def _lose_a_frame(month: Month) -> None:
    month.entries.remove(_first(month, "frame"))


def _break_an_instruction(month: Month) -> None:
    entry = _first(month, "order", "standing")
    head, payload, _ = entry.input.split(b".")
    entry.input = b".".join((head, payload, b"A" * 86))


def _hide_a_register(month: Month) -> None:
    history = month.histories[0]
    del history.days[0][4]


def _show_another_register(month: Month) -> None:
    history = month.histories[1]
    history.days[0][4] = history.days[0][5]


def _drop_an_interval(month: Month) -> None:
    _first(month, "frame").outcome[8][0][1].pop()


def _mint_more(month: Month) -> None:
    for entry in month.entries:
        if entry.kind == "frame" and entry.movements:
            entry.outcome[_MOVEMENTS][0][3] += 1
            return


def _mint_to_nobody(month: Month) -> None:
    for entry in month.entries:
        if entry.kind == "frame" and entry.movements:
            entry.outcome[_MOVEMENTS][0][2] = "somebody"
            return


def _move_nothing(month: Month) -> None:
    _traded(month)[_MOVEMENTS][0][3] = 0


def _overdraw(month: Month) -> None:
    _traded(month)[_MOVEMENTS][0][3] = 10**15


def _deliver_without_payment(month: Month) -> None:
    del _traded(month)[_MOVEMENTS][0]


def _trade_with_oneself(month: Month) -> None:
    trade = _traded(month)[_TRADES][0]
    trade[_SELLER] = trade[_BUYER]


def _trade_beyond_a_limit(month: Month) -> None:
    entry = next(e for e in month.entries if e.kind == "order" and e.tag == "order" and e.trades)
    entry.outcome[6][0][_PRICE] = 1


def _clear_twice(month: Month) -> None:
    first, second, *_ = [entry for entry in month.entries if entry.kind == "clear"]
    second.outcome[1] = first.outcome[1]


def _auction(month: Month) -> Any:
    return _traded(month)[3][0]


def _change_a_book(month: Month) -> None:
    _auction(month)[1][0][4] += 1


def _claim_less_volume(month: Month) -> None:
    _auction(month)[6] -= 1_000_000


def _leave_the_interval(month: Month) -> None:
    _auction(month)[5] = _auction(month)[4] + 1000


def _retire_twice(month: Month) -> None:
    retirements = next(
        e.outcome[_RETIREMENTS] for e in month.entries if e.kind == "clear" and e.retirements
    )
    retirements.append(retirements[0])


def _close_differently(month: Month) -> None:
    account = month.statements[0]["data"]["accounts"][0]
    account["closing"] = "12345.000000000"


def _forget_a_purchase(month: Month) -> None:
    said = [statement["data"]["energy"] for statement in month.statements]
    next(energy for energy in said if float(energy["bought_kwh"]) > 0)["bought_kwh"] = "0"


def _certify_nothing(month: Month) -> None:
    issued = copy.deepcopy(month.entries[-1])
    serial = ["bench-2026-06-HOUSE-00-1", "HOUSE-00", "solar", 202606, 0, 10**12]
    issued.outcome = ["rec_issue", 202606, [serial], []]
    month.entries.append(issued)


def _replay_elsewhere(month: Month) -> None:
    month.config = Path("/nowhere/backend.toml")


FORGERIES: list[tuple[str, Callable[[Month], None]]] = [
    ("journal_is_gapless", _skip_an_entry),
    ("leaf_hashes_hold", _change_a_leaf),
    ("leaves_tell_what_happened", _change_a_movement),
    ("commitments_hold", _change_the_salt),
    ("frames_are_signed", _swap_keys),
    ("frame_chains_are_gapless", _lose_a_frame),
    ("instructions_are_signed", _break_an_instruction),
    ("readings_in_are_judged", _hide_a_register),
    ("readings_are_the_meters", _show_another_register),
    ("intervals_add_up_to_the_registers", _drop_an_interval),
    ("minted_is_the_export", _mint_more),
    ("minted_is_held_retired_or_fed_in", _mint_to_nobody),
    ("assets_sum_to_zero", _move_nothing),
    ("no_account_goes_below_zero", _overdraw),
    ("charges_add_up", _change_trade(_FEE, lambda fee: fee + 1)),
    ("charges_add_up", _change_trade(_QUANTITY, lambda quantity: quantity + 1)),
    ("settlement_is_delivery_versus_payment", _deliver_without_payment),
    ("nobody_trades_with_itself", _trade_with_oneself),
    ("realtime_keeps_limits", _trade_beyond_a_limit),
    ("intervals_are_cleared_once_in_order", _clear_twice),
    ("books_have_their_hashes", _change_a_book),
    ("volumes_are_the_most", _claim_less_volume),
    ("prices_are_in_their_intervals", _leave_the_interval),
    ("energy_is_retired_once", _retire_twice),
    ("statements_are_the_ledger", _close_differently),
    ("statements_name_every_trade", _forget_a_purchase),
    ("certificates_are_no_more_than_was_minted", _certify_nothing),
    ("replay_agrees", _replay_elsewhere),
]


@pytest.mark.parametrize(("name", "forge"), FORGERIES)
def test_a_check_notices_its_forgery(
    month: Month, name: str, forge: Callable[[Month], None]
) -> None:
    (check,) = (each for each in CHECKS if each.__name__ == name)
    forge(month)
    (found,) = run_checks(month, (check,))
    assert not found.passed


def test_every_check_has_a_forgery_to_notice() -> None:
    assert {name for name, _ in FORGERIES} == {check.__name__ for check in CHECKS}
