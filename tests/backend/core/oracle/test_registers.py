"""The registers of a meter: what they have counted over rollovers and changes of the meter."""

from __future__ import annotations

from typing import Literal

import pytest

from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.oracle import registers

HOUR_MS = 3_600_000
START_MS = 1_780_000_000_000
ROUND_UWH = 1000
"""What the meter's registers count before they begin again at zero."""
LIMITS = OracleLimits(
    future_tolerance_ms=60_000, oldest_reading_ms=7 * 24 * HOUR_MS, ratio_window_ms=24 * HOUR_MS
)
CHANGE = None
"""Stands between two readings where the meter was changed."""

History = list[tuple[int, int] | None]


def meter(policy: Literal["export", "net"] = "export") -> Meter:
    rules = MeterRules(
        policy=policy,
        active=True,
        max_power_w=10_000,
        min_interval_ms=0,
        resolution_uwh=1,
        max_production_ratio=0,
        rollover_uwh=ROUND_UWH,
    )
    return Meter(id="ABB-1", device=bytes(16), owner="owner", rules=rules, epoch=0)


def read(of: Meter, history: History) -> list[int]:
    """Apply one reading of (import, export) an hour, and return the imported energies."""
    imported = []
    for hour, registers_uwh in enumerate(history):
        if registers_uwh is CHANGE:
            registers.begin_anew(of)
        else:
            time_ms = START_MS + hour * HOUR_MS
            imported.append(registers.advance(of, LIMITS, time_ms, *registers_uwh))
    return imported


@pytest.mark.parametrize(
    ("history", "counted", "base"),
    [
        pytest.param([(7, 3)], (7, 3), (0, 0), id="first reading"),
        pytest.param([(7, 3), (9, 8)], (9, 8), (0, 0), id="registers that moved on"),
        pytest.param([(990, 3), (5, 8)], (1005, 8), (1000, 0), id="import rolled over"),
        pytest.param([(7, 990), (9, 5)], (9, 1005), (0, 1000), id="export rolled over"),
        pytest.param([(990, 991), (5, 6)], (1005, 1006), (1000, 1000), id="both rolled over"),
        pytest.param(
            [(990, 0), (5, 0), (995, 0), (1, 0)], (2001, 0), (2000, 0), id="rolled over twice"
        ),
        pytest.param([(700, 300), CHANGE, (2, 4)], (702, 304), (700, 300), id="changed meter"),
        pytest.param(
            [(990, 0), (5, 0), CHANGE, (300, 4)], (1305, 4), (1005, 0), id="changed after rollover"
        ),
        pytest.param(
            [(700, 1), CHANGE, (990, 0), (5, 0)],
            (1705, 1),
            (1700, 1),
            id="rollover after change",
        ),
        pytest.param(
            [(70, 30), CHANGE, (2, 4), CHANGE, (1, 1)], (73, 35), (72, 34), id="changed twice"
        ),
        pytest.param([CHANGE, (7, 3)], (7, 3), (0, 0), id="changed before it was ever read"),
    ],
)
def test_counted_registers_go_on_over_rollovers_and_changes_of_the_meter(
    history: History, counted: tuple[int, int], base: tuple[int, int]
) -> None:
    of = meter()
    read(of, history)
    assert registers.counted_registers(of) == registers.CountedRegisters(
        time_ms=START_MS + (len(history) - 1) * HOUR_MS,
        import_uwh=counted[0],
        export_uwh=counted[1],
        base_import_uwh=base[0],
        base_export_uwh=base[1],
    )


def test_the_imported_energy_is_the_difference_to_the_reading_before() -> None:
    history: History = [(980, 0), (990, 7), (5, 7), CHANGE, (300, 0), (300, 9), (310, 9)]
    assert read(meter(), history) == [0, 10, 15, 0, 0, 10]


@pytest.mark.parametrize(
    ("history", "export_uwh", "net_uwh"),
    [
        pytest.param([(7, 3)], 3, -4, id="first reading"),
        pytest.param([(7, 990), (9, 5)], 1005, 996, id="export rolled over"),
        pytest.param([(990, 3), (5, 8)], 8, -997, id="import rolled over"),
        pytest.param([(7, 990), (9, 5), CHANGE, (1, 2)], 2, 1, id="counted from the change on"),
    ],
)
def test_the_surplus_counts_rollovers_since_the_registers_began(
    history: History, export_uwh: int, net_uwh: int
) -> None:
    exporting, netting = meter("export"), meter("net")
    read(exporting, history)
    read(netting, history)
    assert registers.surplus_uwh(exporting) == export_uwh
    assert registers.surplus_uwh(netting) == net_uwh


def test_a_changed_meter_awaits_a_baseline_and_remembers_when_it_was_last_read() -> None:
    of = meter()
    read(of, [(990, 3), (5, 8), CHANGE])
    assert (of.last_ms, of.settled_uwh, of.older_ms) == (-1, 0, -1)
    assert of.past is not None
    assert of.past.changed_ms == START_MS + HOUR_MS
    assert (of.past.wrapped_import_uwh, of.past.wrapped_export_uwh) == (0, 0)


def test_a_meter_without_rollovers_and_changes_keeps_no_past() -> None:
    of = meter()
    read(of, [(1, 1), (2, 2), (2, 2), (900, 900)])
    assert of.past is None
