"""Over every window of time a meter counts at most its power × time + one resolution step.

The readings are drawn so that they keep to it, up to the last µWh. Whatever corrections the core
accepts between them, in whatever order, has to keep to it as well.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backend.settling import NOON_MS, QUARTER_MS, Settling, why
from tests.backend.village import KWH

from gridtokenx_backend.core.messages.settlement_outcomes import MeterCorrected, SettlementRefused

POWER_UWH = 10 * KWH // 4
"""10 kW in a quarter of an hour."""
RESOLUTION_UWH = KWH // 10
FRACTIONS = [0, 1, 500, 999, 1000, 1000, 1000]

quarters = st.sampled_from(FRACTIONS).map(lambda permille: ("read", permille, 0, 0))
corrections = st.tuples(
    st.just("correct"), st.integers(0, 11), st.integers(1, 5), st.sampled_from([0, 1, 2, 3, 4])
)
steps = st.lists(quarters | corrections, min_size=2, max_size=24)


@given(steps)
@settings(max_examples=150)
def test_no_window_holds_more_than_its_power_allows(steps: list[tuple[str, int, int, int]]) -> None:
    village = Settling()
    registered: list[int] = []
    counted: list[int] = []
    corrected = 0
    for kind, first, length, how in steps:
        if kind == "read":
            energy_uwh = first * (POWER_UWH + RESOLUTION_UWH - _levels(registered)[-1]) // 1000
            sent = village.read("ABB-1", export_uwh=energy_uwh, quarters=1)
            assert sent.verdicts == []
            registered.append(energy_uwh)
            counted.append(energy_uwh)
            continue
        span = range(first, min(first + length, len(counted)))
        if not span:
            continue
        before_uwh = sum(counted[index] for index in span)
        most_uwh = len(span) * POWER_UWH - RESOLUTION_UWH
        wanted_uwh = [0, before_uwh, most_uwh, before_uwh + 1, most_uwh + 1][how]
        bounds = NOON_MS + span[0] * QUARTER_MS, NOON_MS + (span[-1] + 1) * QUARTER_MS
        said = village.correct("ABB-1", bounds, (0, wanted_uwh), (0, before_uwh))
        if wanted_uwh > max(most_uwh, before_uwh):
            assert isinstance(said, SettlementRefused)
            continue
        assert isinstance(said, MeterCorrected), said
        corrected += 1
        for index, row in zip(span, said.rows, strict=True):
            counted[index] = row.export_uwh
    # The even parts of each correction are rounded to the µWh.
    assert max(_levels(counted)) <= RESOLUTION_UWH + corrected
    wallet = village.anna.wallet
    owed_uwh = village.community.members[wallet].owed_uwh
    assert village.grid(village.anna)[0] - owed_uwh == sum(counted)


def _levels(energies_uwh: list[int]) -> list[int]:
    """After each interval: by how much the fullest window up to it is above its power × time."""
    levels = [0]
    for energy_uwh in energies_uwh:
        levels.append(max(0, levels[-1] + energy_uwh - POWER_UWH))
    return levels


@pytest.mark.parametrize(("more_uwh", "refusal"), [(0, ""), (1, "bad_amount")])
def test_two_corrections_side_by_side_keep_to_it_together(more_uwh: int, refusal: str) -> None:
    """Each alone with a step of its own would make it three steps with the readings around."""
    village = Settling()
    for _ in range(4):
        village.read("ABB-1", export_uwh=POWER_UWH, quarters=1)
    for index in (1, 2):
        span = NOON_MS + index * QUARTER_MS, NOON_MS + (index + 1) * QUARTER_MS
        most_uwh = POWER_UWH + more_uwh
        said = village.correct("ABB-1", span, (0, most_uwh), (0, POWER_UWH))
        assert why(said) == refusal if refusal else isinstance(said, MeterCorrected)


def test_the_interval_of_the_first_reading_counts_from_that_reading() -> None:
    village = Settling()
    meters = [dict(meter) for meter in village.document["meter"]]
    meters.append(meters[0] | {"id": "ABB-3"})
    village.configure(meter=meters)
    village.registers["ABB-3"], village.senders["ABB-3"] = (0, 0), village.north
    village.at_ms = NOON_MS + 10 * 60_000
    village.read("ABB-3")
    village.read("ABB-3", quarters=1)
    span = NOON_MS, NOON_MS + QUARTER_MS
    most_uwh = POWER_UWH // 3 - RESOLUTION_UWH
    assert why(village.correct("ABB-3", span, (0, most_uwh + 1), (0, 0))) == "bad_amount"
    assert isinstance(village.correct("ABB-3", span, (0, most_uwh), (0, 0)), MeterCorrected)
