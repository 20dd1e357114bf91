"""The oracle's checks, each at its boundary, and in their order."""

from __future__ import annotations

from typing import Any

import pytest

from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter, MeterRules
from gridtokenx_backend.core.model.rules_version import RULES_VERSION
from gridtokenx_backend.core.oracle import registers, validation
from gridtokenx_wire.units import UWH_PER_KWH
from gridtokenx_wire.verdict import Reason

KWH = UWH_PER_KWH
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_780_000_000_000
LAST_MS = NOW_MS - HOUR_MS
LIMITS = OracleLimits(
    future_tolerance_ms=60_000, oldest_reading_ms=7 * DAY_MS, ratio_window_ms=DAY_MS
)
RULES = {
    "policy": "export",
    "active": True,
    "max_power_w": 10_000,
    "min_interval_ms": 1_000,
    "resolution_uwh": KWH // 10,
    "max_production_ratio": 50,
}
IMPORT_UWH, EXPORT_UWH = 1000 * KWH, 2000 * KWH
HOUR_LIMIT_UWH = 10 * KWH + KWH // 10
"""10 kW for an hour, and a step of the register."""


def meter(last_ms: int = LAST_MS, **rules: Any) -> Meter:
    """A meter that was last read an hour ago, and no ratio window behind it."""
    return Meter(
        id="ABB-1",
        device=bytes(16),
        owner="owner",
        rules=MeterRules(**(RULES | rules)),
        epoch=0,
        last_ms=last_ms,
        last_import_uwh=IMPORT_UWH,
        last_export_uwh=EXPORT_UWH,
        settled_uwh=EXPORT_UWH,
        mark_ms=LAST_MS,
    )


def judge(of: Meter, **changed: Any) -> Reason:
    """The verdict on a reading like the last one, but for what was changed."""
    said: dict[str, Any] = {
        "time_ms": NOW_MS,
        "import_uwh": IMPORT_UWH,
        "export_uwh": EXPORT_UWH,
        "power_w": 0,
        "synchronised": True,
        "version": RULES_VERSION,
    }
    return validation.judge(of, LIMITS, NOW_MS, **(said | changed)) or Reason.ACCEPTED


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        pytest.param({"time_ms": NOW_MS + 60_000}, Reason.ACCEPTED, id="60 s ahead"),
        pytest.param({"time_ms": NOW_MS + 60_001}, Reason.FUTURE_TIME, id="60.001 s ahead"),
        pytest.param({"time_ms": 2**63 - 1}, Reason.FUTURE_TIME, id="the end of time"),
        pytest.param({"time_ms": LAST_MS}, Reason.NOT_AFTER_LAST, id="the last time again"),
        pytest.param({"time_ms": LAST_MS - 1}, Reason.NOT_AFTER_LAST, id="before the last"),
        pytest.param({"time_ms": LAST_MS + 1}, Reason.TOO_FREQUENT, id="1 ms after the last"),
        pytest.param({"time_ms": LAST_MS + 999}, Reason.TOO_FREQUENT, id="999 ms after"),
        pytest.param({"time_ms": LAST_MS + 1000}, Reason.ACCEPTED, id="a second after"),
        pytest.param({"import_uwh": IMPORT_UWH - 1}, Reason.REGISTER_ROLLBACK, id="import back"),
        pytest.param({"export_uwh": EXPORT_UWH - 1}, Reason.REGISTER_ROLLBACK, id="export back"),
        pytest.param({"import_uwh": 0, "export_uwh": 0}, Reason.REGISTER_ROLLBACK, id="zeros"),
        pytest.param({}, Reason.ACCEPTED, id="nothing moved"),
        pytest.param(
            {"import_uwh": IMPORT_UWH + HOUR_LIMIT_UWH}, Reason.ACCEPTED, id="import as possible"
        ),
        pytest.param(
            {"import_uwh": IMPORT_UWH + HOUR_LIMIT_UWH + 1},
            Reason.IMPLAUSIBLE_JUMP,
            id="import beyond",
        ),
        pytest.param(
            {"export_uwh": EXPORT_UWH + HOUR_LIMIT_UWH}, Reason.ACCEPTED, id="export as possible"
        ),
        pytest.param(
            {"export_uwh": EXPORT_UWH + HOUR_LIMIT_UWH + 1},
            Reason.IMPLAUSIBLE_JUMP,
            id="export beyond",
        ),
        pytest.param({"export_uwh": 2**63 - 1}, Reason.IMPLAUSIBLE_JUMP, id="a full register"),
        pytest.param({"power_w": 10_000}, Reason.ACCEPTED, id="full power in"),
        pytest.param({"power_w": 10_001}, Reason.IMPLAUSIBLE_POWER, id="over power in"),
        pytest.param({"power_w": -10_000}, Reason.ACCEPTED, id="full power out"),
        pytest.param({"power_w": -10_001}, Reason.IMPLAUSIBLE_POWER, id="over power out"),
        pytest.param({"synchronised": False}, Reason.CLOCK_UNSYNCHRONISED, id="no clock"),
    ],
)
def test_a_reading_is_judged_against_the_last_one(reading: dict[str, Any], reason: Reason) -> None:
    assert judge(meter(), **reading) is reason


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        pytest.param({"time_ms": NOW_MS - 7 * DAY_MS}, Reason.ACCEPTED, id="seven days old"),
        pytest.param({"time_ms": NOW_MS - 7 * DAY_MS - 1}, Reason.STALE_TIME, id="and a bit"),
        pytest.param({"time_ms": 0}, Reason.STALE_TIME, id="1970"),
        pytest.param({"time_ms": NOW_MS + 60_001}, Reason.FUTURE_TIME, id="ahead"),
        pytest.param({"import_uwh": 0, "export_uwh": 0}, Reason.ACCEPTED, id="a new meter"),
        pytest.param({"export_uwh": 2**63 - 1}, Reason.ACCEPTED, id="any register"),
        pytest.param({"power_w": 10_001}, Reason.IMPLAUSIBLE_POWER, id="over power"),
        pytest.param({"synchronised": False}, Reason.CLOCK_UNSYNCHRONISED, id="no clock"),
    ],
)
def test_a_first_reading_has_no_last_one(reading: dict[str, Any], reason: Reason) -> None:
    assert judge(meter(last_ms=-1), **reading) is reason


def test_every_reason_hides_those_after_it() -> None:
    at_fault = meter(active=False, max_production_ratio=1)
    at_fault.older_ms = LAST_MS - DAY_MS
    reading: dict[str, Any] = {
        "time_ms": NOW_MS + 60_001,
        "import_uwh": 0,
        "export_uwh": EXPORT_UWH + HOUR_LIMIT_UWH + 1,
        "power_w": 10_001,
        "synchronised": False,
    }
    mended: list[tuple[Reason, dict[str, Any]]] = [
        (Reason.FUTURE_TIME, {"time_ms": NOW_MS - 7 * DAY_MS - 1}),
        (Reason.STALE_TIME, {"time_ms": LAST_MS}),
        (Reason.NOT_AFTER_LAST, {"time_ms": LAST_MS + 1}),
        (Reason.TOO_FREQUENT, {"time_ms": NOW_MS}),
        (Reason.REGISTER_ROLLBACK, {"import_uwh": IMPORT_UWH}),
        (Reason.IMPLAUSIBLE_JUMP, {"export_uwh": EXPORT_UWH + HOUR_LIMIT_UWH}),
        (Reason.IMPLAUSIBLE_POWER, {"power_w": 10_000}),
        (Reason.CLOCK_UNSYNCHRONISED, {"synchronised": True}),
        (Reason.PRODUCTION_RATIO, {"export_uwh": EXPORT_UWH}),
    ]
    at_fault.older_import_uwh = IMPORT_UWH
    at_fault.older_export_uwh = EXPORT_UWH
    assert judge(at_fault, **reading) is Reason.INACTIVE_METER
    at_fault.rules = MeterRules(**(RULES | {"max_production_ratio": 1}))
    said = []
    for reason, mend in mended:
        assert judge(at_fault, **reading) is reason
        said.append(reason)
        reading |= mend
    assert judge(at_fault, **reading) is Reason.ACCEPTED
    assert said == sorted(said)
    untold = set(Reason) - set(said)
    assert untold == {Reason.ACCEPTED, Reason.UNBOUND_METER, Reason.INACTIVE_METER}


@pytest.mark.parametrize(
    ("max_power_w", "elapsed_ms", "resolution_uwh", "most_uwh", "before_uwh"),
    [
        (1, 1, 0, 0, 1),  # 0.27… µWh, rounded down; by rules of version 1 it was rounded up
        (1, 36, 0, 10, 10),
        (10_000, 1, 0, 2_777, 2_778),
        (10_000, HOUR_MS, 0, 10 * KWH, 10 * KWH),
        (10_000, HOUR_MS, KWH, 11 * KWH, 11 * KWH),
        (0, HOUR_MS, 5, 5, 5),
    ],
)
def test_energy_is_bounded_by_power_times_time(
    max_power_w: int, elapsed_ms: int, resolution_uwh: int, most_uwh: int, before_uwh: int
) -> None:
    of = meter(
        last_ms=NOW_MS - elapsed_ms,
        max_power_w=max_power_w,
        min_interval_ms=0,
        resolution_uwh=resolution_uwh,
    )
    for version, bound_uwh in ((2, most_uwh), (1, before_uwh)):
        most = EXPORT_UWH + bound_uwh
        assert judge(of, export_uwh=most, version=version) is Reason.ACCEPTED
        assert judge(of, export_uwh=most + 1, version=version) is Reason.IMPLAUSIBLE_JUMP


@pytest.mark.parametrize(
    ("ratio", "consumed", "produced", "reason"),
    [
        pytest.param(2, 1 * KWH, 22 * KWH // 10, Reason.ACCEPTED, id="at the limit"),
        pytest.param(2, 1 * KWH, 22 * KWH // 10 + 1, Reason.PRODUCTION_RATIO, id="beyond it"),
        pytest.param(2, 0, 2 * KWH // 10, Reason.ACCEPTED, id="a step of nothing consumed"),
        pytest.param(2, 0, 2 * KWH // 10 + 1, Reason.PRODUCTION_RATIO, id="more than that"),
        pytest.param(0, 0, 10 * KWH, Reason.ACCEPTED, id="switched off"),
    ],
)
def test_production_is_compared_with_consumption_since_the_older_mark(
    ratio: int, consumed: int, produced: int, reason: Reason
) -> None:
    of = meter(max_production_ratio=ratio)
    of.older_ms = LAST_MS - DAY_MS
    of.older_import_uwh, of.older_export_uwh = IMPORT_UWH, EXPORT_UWH
    moved = {"import_uwh": IMPORT_UWH + consumed, "export_uwh": EXPORT_UWH + produced}
    assert judge(of, **moved) is reason
    of.older_ms = -1
    assert judge(of, **moved) is Reason.ACCEPTED


def test_the_ratio_is_judged_over_one_to_two_windows() -> None:
    of = Meter(id="ABB-1", device=bytes(16), owner="owner", rules=MeterRules(**RULES), epoch=0)
    marks = []
    for hour, export_uwh in ((0, 0), (1, 1), (23, 2), (24, 3), (47, 4), (48, 5), (71, 6), (96, 7)):
        registers.advance(of, LIMITS, NOW_MS + hour * HOUR_MS, 10 * export_uwh, export_uwh)
        older = None if of.older_ms < 0 else (of.older_ms - NOW_MS) // HOUR_MS
        marks.append((hour, older, of.older_import_uwh, of.older_export_uwh))
    assert marks == [
        (0, None, 0, 0),
        (1, None, 0, 0),
        (23, None, 0, 0),
        (24, 0, 0, 0),
        (47, 0, 0, 0),
        (48, 24, 30, 3),
        (71, 24, 30, 3),
        (96, 48, 50, 5),
    ]


@pytest.mark.parametrize(("policy", "surplus"), [("export", 2000 * KWH), ("net", 1000 * KWH)])
def test_surplus_is_what_the_policy_says(policy: str, surplus: int) -> None:
    assert registers.surplus_uwh(meter(policy=policy)) == surplus


def test_a_net_surplus_may_be_below_zero() -> None:
    of = meter(policy="net")
    of.last_export_uwh = 0
    assert registers.surplus_uwh(of) == -1000 * KWH


def test_a_forgotten_meter_begins_anew() -> None:
    of = meter()
    of.older_ms = LAST_MS
    registers.begin_anew(of)
    assert judge(of, import_uwh=0, export_uwh=0) is Reason.ACCEPTED
    fresh = Meter(id=of.id, device=of.device, owner=of.owner, rules=of.rules, epoch=of.epoch)
    for what in (of, fresh):
        registers.advance(what, LIMITS, NOW_MS, 1, 2)
    assert (of.last_ms, of.mark_ms, of.older_ms) == (fresh.last_ms, fresh.mark_ms, fresh.older_ms)
