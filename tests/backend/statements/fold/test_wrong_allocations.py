"""A core that shares energy wrongly by the community's key is noticed, in a line that says where.

Each case changes an interval's allocation as the core would have journaled it; the last test holds
what the module docstrings say is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable
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
)
from tests.backend.statements.wrong_core import (
    REPORT,
    Change,
    FailedCheck,
    failed_checks,
    go_wrong,
    moved_more,
)
from tests.backend.village import Resident, convert_terms

from gridtokenx_backend.core.messages.outcomes import IntervalCleared
from gridtokenx_backend.core.messages.sharing_outcomes import (
    Allocation,
    ConsumerAllocation,
    ProducerAllocation,
)
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.core.model.ledger import GRID, RETIRED
from gridtokenx_backend.core.model.rules_version import RULES_VERSION
from gridtokenx_backend.statements.fold.allocation_checks import AllocationCheck, SharingAgreement

replace = msgspec.structs.replace
EVENING_MS = local_ms("2026-06-15T21:00")
ANNA, BEN, CLEO = (Resident(name).wallet for name in ("anna", "ben", "cleo"))
STATIC = key("static", shares_percent={FLAT_B: "40", FLAT_C: "45"})


def village(mode: str, **sharing: Any) -> SharedMonth:
    """Two intervals: of 600 Wh the flats used 300 and 900, of 1000 Wh 100 and 100."""
    made = SharedMonth(EVENING_MS, [STATIC if mode == "static" else key(mode)], **sharing)
    made.quarter(600, 300, 900)
    made.quarter(1000, 100, 100)
    return made


def allocation(change: Callable[[Any], Any]) -> Change:
    """Return the change of a clearing in which the first interval's allocation is changed."""

    def changed(outcome: Any) -> Any:
        if not isinstance(outcome, IntervalCleared) or outcome.interval_ms != EVENING_MS:
            return outcome
        (shared,) = outcome.shared
        return replace(outcome, shared=[change(shared)])

    return changed


def consumers(change: Callable[[Any, Any], tuple[Any, Any]]) -> Change:
    """Return the change of the lines of flat-b and flat-c."""
    return allocation(lambda shared: replace(shared, consumers=[*change(*shared.consumers)]))


def producer(**changed: Any) -> Change:
    """Return the change of the plant's line; a callable gets the value that stood there."""

    def other(shared: Any) -> Any:
        (line,) = shared.producers
        values = {
            name: value(getattr(line, name)) if callable(value) else value
            for name, value in changed.items()
        }
        return replace(shared, producers=[replace(line, **values)])

    return allocation(other)


def swapped(flat_b: Any, flat_c: Any) -> tuple[Any, Any]:
    """Flat-b gets 100 Wh of flat-c's, and pays for it."""
    more_uwh = 100 * WH
    more_ugrx = 12_000
    return (
        replace(
            flat_b,
            received_uwh=flat_b.received_uwh + more_uwh,
            cost_ugrx=flat_b.cost_ugrx + more_ugrx,
        ),
        replace(
            flat_c,
            received_uwh=flat_c.received_uwh - more_uwh,
            cost_ugrx=flat_c.cost_ugrx - more_ugrx,
        ),
    )


def another_share(flat_b: Any, flat_c: Any) -> tuple[Any, Any]:
    return replace(flat_b, share_uwh=flat_b.share_uwh + WH), flat_c


def consumed_more(flat_b: Any, flat_c: Any) -> tuple[Any, Any]:
    return replace(flat_b, consumed_uwh=flat_b.consumed_uwh + WH), flat_c


def received_too_much(flat_b: Any, flat_c: Any) -> tuple[Any, Any]:
    return replace(flat_b, received_uwh=flat_b.consumed_uwh + WH), flat_c


def costs_more(flat_b: Any, flat_c: Any) -> tuple[Any, Any]:
    return replace(flat_b, cost_ugrx=flat_b.cost_ugrx + 1), flat_c


def under_another_wallet(flat_b: Any, flat_c: Any) -> tuple[Any, Any]:
    return flat_b, replace(flat_c, wallet=BEN)


def dearer(shared: Any) -> Any:
    return replace(shared, price_ugrx=shared.price_ugrx + 1000)


def paid_twice(shared: Any) -> Any:
    return replace(shared, paid_ugrx={name: 2 * paid for name, paid in shared.paid_ugrx.items()})


def less_retired(outcome: Any) -> Any:
    """The ledger moves less than was allocated."""
    if not isinstance(outcome, IntervalCleared) or outcome.interval_ms != EVENING_MS:
        return outcome
    return replace(outcome, movements=moved_more(outcome.movements, GRID, (BEN, RETIRED), -WH))


def less_given(outcome: Any) -> Any:
    if not isinstance(outcome, IntervalCleared) or outcome.interval_ms != EVENING_MS:
        return outcome
    return replace(outcome, movements=moved_more(outcome.movements, GRID, (ANNA, BEN), -WH))


@pytest.mark.parametrize(
    ("mode", "change", "whose", "text"),
    [
        ("dynamic", consumers(swapped), "ben", f"{FLAT_B}: received in an interval = its part"),
        ("static", consumers(swapped), "ben", f"{FLAT_B}: received in an interval = its share"),
        ("static", consumers(another_share), "ben", f"{FLAT_B}: share of an interval's offer"),
        ("dynamic", consumers(consumed_more), "ben", f"{FLAT_B}: consumed in an interval = the"),
        ("static", consumers(received_too_much), "ben", f"{FLAT_B}: received in an interval, at"),
        (
            "dynamic",
            consumers(received_too_much),
            REPORT,
            "received by the key, as far as known producers cover it = given",
        ),
        ("dynamic", consumers(costs_more), "ben", f"{FLAT_B}: cost in an interval = received"),
        ("dynamic", consumers(costs_more), REPORT, "cost of shared energy = what producers earned"),
        ("dynamic", consumers(under_another_wallet), "ben", f"{FLAT_C}: shared energy of an"),
        ("dynamic", producer(surplus_uwh=WH), "anna", "plant: offered in an interval = given +"),
        (
            "dynamic",
            producer(offered_uwh=601 * WH, surplus_uwh=WH),
            "anna",
            "plant: offered in an interval = the part of its export",
        ),
        (
            "dynamic",
            producer(earned_ugrx=lambda earned: earned + 1),
            REPORT,
            "earned by sharing in an interval = cost of what was received",
        ),
        ("dynamic", allocation(dearer), REPORT, "price of a shared kWh in an interval = the price"),
        (
            "dynamic",
            allocation(lambda shared: replace(shared, revision=1)),
            REPORT,
            "revision of an interval's allocation = the next one",
        ),
        (
            "dynamic",
            allocation(lambda shared: replace(shared, corrects=1)),
            REPORT,
            "entry that an allocation corrects = the one before",
        ),
        ("dynamic", less_retired, "ben", "received by the key = GRID retired for it"),
        ("dynamic", less_given, "anna", "given by the key = GRID that left for it"),
    ],
)
def test_a_wrong_allocation_fails_a_check_of_whom_it_concerns(
    mode: str, change: Change, whose: str, text: str, tmp_path: Path
) -> None:
    made = village(mode)
    entry = go_wrong(made, change)
    failed = failed_checks(made, tmp_path / "journal.db", made.month.name)
    (line,) = [line for line, _, _ in failed[whose] if line.startswith(text)]
    assert f"(entry {entry})" in line or "(" not in line


def test_money_that_moves_twice_for_shared_energy_fails_a_check(tmp_path: Path) -> None:
    made = village("dynamic", settle="grx")
    entry = go_wrong(made, allocation(paid_twice))
    failed = failed_checks(made, tmp_path / "journal.db", made.month.name)
    for name in ("anna", "ben", "cleo"):
        texts = [text for text, _, _ in failed[name]]
        assert "paid for shared energy = GRX that clearings moved" in texts
        text = "paid for shared energy of an interval, at most what is owed"
        assert f"{text} (entry {entry})" in texts


def test_a_failed_check_has_what_was_allocated_and_what_the_key_says(tmp_path: Path) -> None:
    made = village("dynamic")
    entry = go_wrong(made, consumers(swapped))
    failed = failed_checks(made, tmp_path / "journal.db", made.month.name)
    expected: list[FailedCheck] = [
        (
            f"{FLAT_B}: received in an interval = its part by consumption (entry {entry})",
            "0.250000000",
            "0.150000000",
        )
    ]
    assert [line for line in failed["ben"] if line[0].startswith(FLAT_B)] == expected


def test_a_metering_point_is_compared_with_the_part_of_it_that_takes_part(tmp_path: Path) -> None:
    half = {"meter": FLAT_B, "valid_from": "2026-01-01T00:00:00Z", "percent": "50"}
    made = village("dynamic", participation=[half])
    assert not any(failed_checks(made, tmp_path / "right.db", made.month.name).values())
    wrong = village("dynamic", participation=[half])
    entry = go_wrong(wrong, consumers(consumed_more))
    failed = failed_checks(wrong, tmp_path / "wrong.db", wrong.month.name)
    text = f"{FLAT_B}: consumed in an interval = the part of its import that takes part"
    assert (f"{text} (entry {entry})", "0.151000000", "0.150000000") in failed["ben"]


def two_producers(**changed: Any) -> Allocation:
    """An interval in which the plant and flat-b gave half of what they offered to flat-c."""
    plant = ProducerAllocation(
        meter=PLANT,
        wallet=ANNA,
        offered_uwh=600 * WH,
        given_uwh=300 * WH,
        held_uwh=0,
        surplus_uwh=300 * WH,
        earned_ugrx=36_000,
        quality=Quality.MEASURED,
    )
    flat_b = replace(
        plant,
        meter=FLAT_B,
        wallet=BEN,
        offered_uwh=200 * WH,
        given_uwh=100 * WH,
        surplus_uwh=100 * WH,
        earned_ugrx=12_000,
    )
    flat_c = ConsumerAllocation(
        meter=FLAT_C,
        wallet=CLEO,
        consumed_uwh=400 * WH,
        share_uwh=None,
        received_uwh=400 * WH,
        held_uwh=0,
        cost_ugrx=48_000,
        quality=Quality.MEASURED,
    )
    return Allocation(
        interval_ms=EVENING_MS,
        revision=0,
        corrects=0,
        key=1,
        mode="dynamic",
        quality=Quality.MEASURED,
        price_ugrx=120_000,
        producers=[plant, replace(flat_b, **changed)],
        consumers=[flat_c],
    )


def findings(allocation: Allocation) -> list[FailedCheck]:
    made = village("dynamic")
    agreement = SharingAgreement()
    agreement.apply_terms(convert_terms(made.document), 0, RULES_VERSION)
    check = AllocationCheck(
        entry=1, allocation=allocation, agreement=agreement, meters={}, month=made.month
    )
    return [(each.text, each.found, each.expected) for each in check.findings()]


def test_producers_give_and_earn_in_proportion() -> None:
    assert findings(two_producers()) == []
    wrong = two_producers(given_uwh=101 * WH, surplus_uwh=99 * WH)
    lines_found = [line for line in findings(wrong) if "its part by what it offered" in line[0]]
    assert [(text.partition(":")[0], found, expected) for text, found, expected in lines_found] == [
        (PLANT, "0.300000000", "0.300750000"),
        (FLAT_B, "0.101000000", "0.100250000"),
    ]
    earned = [line[0] for line in findings(two_producers(earned_ugrx=12_100))]
    assert f"{FLAT_B}: earned in an interval = its part by what it gave" in earned


def test_an_allocation_by_another_key_or_in_another_mode_is_a_finding() -> None:
    ((text, found, expected),) = findings(replace(two_producers(), key=2))
    assert text == "version of the key that allocated an interval = the one in force"
    assert (found, expected) == ("2", "1")
    ((text, _, _),) = findings(replace(two_producers(), mode="imported"))
    assert text == "intervals allocated in another mode than the key's"


def test_what_the_docstrings_call_unnoticed_passes_every_check(tmp_path: Path) -> None:
    """An interval that should have been allocated and was not."""
    made = village("dynamic")

    def left_out(outcome: Any) -> Any:
        if not isinstance(outcome, IntervalCleared) or outcome.interval_ms != EVENING_MS:
            return outcome
        return replace(outcome, shared=[], movements=[])

    go_wrong(made, left_out)
    failed = failed_checks(made, tmp_path / "journal.db", made.month.name)
    assert failed == {"anna": [], "ben": [], "cleo": [], REPORT: []}
