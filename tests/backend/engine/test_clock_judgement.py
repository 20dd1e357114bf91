"""Whether the clock can be believed, as a table of evidence."""

from __future__ import annotations

from typing import Any

import pytest

from gridtokenx_backend.engine.clock_judgement import ClockEvidence, ClockFault, judge_clock

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
QUIET: dict[str, Any] = {
    "offset_ms": 0,
    "trusted_ms": 0,
    "newest_ms": -SECOND,
    "gateways": (),
    "is_synchronised": False,
    "is_confirmed": False,
}
CASES: list[tuple[str, dict[str, Any], ClockFault | None]] = [
    ("nothing happened", {}, None),
    ("a leap second", {"offset_ms": SECOND}, None),
    ("a day forward", {"offset_ms": DAY}, ClockFault.STEPPED),
    ("a minute forward", {"offset_ms": MINUTE}, ClockFault.STEPPED),
    ("a minute back", {"offset_ms": -MINUTE}, ClockFault.STEPPED),
    ("a day, by a time service", {"offset_ms": DAY, "is_synchronised": True}, None),
    ("a day, as several gateways sign", {"offset_ms": DAY, "gateways": (DAY, DAY - SECOND)}, None),
    ("a day, as one gateway signs", {"offset_ms": DAY, "gateways": (DAY,)}, ClockFault.STEPPED),
    (
        "a day, by a time service that gateways contradict",
        {"offset_ms": DAY, "is_synchronised": True, "gateways": (0, -SECOND)},
        ClockFault.STEPPED,
    ),
    (
        "half a minute, which gateways tell apart",
        {"offset_ms": 30 * SECOND, "gateways": (29 * SECOND, 30 * SECOND)},
        None,
    ),
    (
        "a day, which only a minority of gateways signs",
        {"offset_ms": DAY, "gateways": (DAY, DAY, 0, 0)},
        ClockFault.STEPPED,
    ),
    ("behind the journal", {"newest_ms": HOUR}, ClockFault.BEHIND_JOURNAL),
    (
        "behind the journal with a time service",
        {"newest_ms": HOUR, "is_synchronised": True},
        ClockFault.BEHIND_JOURNAL,
    ),
    ("a little behind the journal", {"newest_ms": 30 * SECOND}, None),
    ("the first start", {"trusted_ms": None, "newest_ms": None}, None),
    ("a start after a minute", {"trusted_ms": None, "newest_ms": -MINUTE}, None),
    (
        "a start after a day",
        {"trusted_ms": None, "newest_ms": -DAY},
        ClockFault.UNCONFIRMED_START,
    ),
    (
        "a start after a day with a time service",
        {"trusted_ms": None, "newest_ms": -DAY, "is_synchronised": True},
        None,
    ),
    (
        "a start after a day, as several gateways sign",
        {"trusted_ms": None, "newest_ms": -DAY, "gateways": (0, -SECOND)},
        None,
    ),
    (
        "a start in the past",
        {"trusted_ms": None, "newest_ms": DAY, "is_synchronised": True},
        ClockFault.BEHIND_JOURNAL,
    ),
    ("gateways ahead", {"gateways": (HOUR, HOUR)}, ClockFault.GATEWAYS_AHEAD),
    ("one gateway ahead", {"gateways": (HOUR,)}, None),
    ("a minority of gateways ahead", {"gateways": (HOUR, HOUR, 0, 0)}, None),
    ("gateways ahead of a time service", {"gateways": (HOUR, HOUR), "is_synchronised": True}, None),
    ("gateways ahead of the operator", {"gateways": (HOUR, HOUR), "is_confirmed": True}, None),
    ("gateways with a backlog", {"gateways": (-HOUR, -DAY)}, None),
]


@pytest.mark.parametrize(
    ("changed", "fault"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_clock_is_believed_as_its_witnesses_say(
    changed: dict[str, Any], fault: ClockFault | None
) -> None:
    assert judge_clock(ClockEvidence(**QUIET | changed)) is fault
