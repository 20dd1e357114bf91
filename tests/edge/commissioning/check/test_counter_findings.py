"""Counters judged beside their power: mistakes are named, and a site in order is never blamed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_edge.commissioning.check.counter_findings import judge_counters
from gridtokenx_edge.commissioning.check.evidence import RegisterEvidence
from gridtokenx_edge.commissioning.check.finding import Finding, Severity
from gridtokenx_edge.commissioning.check.register_series import Sample
from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import Profile, load_profile

MODELS = ["abb_b23", "eastron_sdm120", "carlo_gavazzi_em340", "schneider_iem3155"]
METER = MeterConfig(id="M-1", profile="abb_b23", address=1)
START_UWH = 1234 * 10**9
_BASE_UNITS = {"kWh": 10**9, "Wh": 10**6, "W": 1, "kW": 1000}


def encode(point: Point, value: int) -> tuple[int, ...]:
    """Base units → words, as the maker's document has them; energies are cut off."""
    count = Fraction(value) / (Fraction(point.scale) * _BASE_UNITS[point.unit])
    if point.type == "float32":
        step = Fraction(point.resolution)
        raw = struct.pack(">f", float(count // step * step))
    else:
        raw = int(count // 1).to_bytes(2 * point.count, "big", signed=point.type[0] == "i")
    words = struct.unpack(f">{point.count}H", raw)
    return words if point.word_order == "msw_first" else words[::-1]


class Site:
    """A power in W for each span of ms, the last for ever, and the counters that follow."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        self.spans = [*spans, (10**9, spans[-1][1])]

    def power_w(self, at_ms: int) -> int:
        for lasts_ms, power_w in self.spans:
            if at_ms < lasts_ms:
                return power_w
            at_ms -= lasts_ms
        raise AssertionError("the last span is as good as endless")

    def energy_uwh(self, at_ms: int, sign: int) -> int:
        w_ms = 0
        for lasts_ms, power_w in self.spans:
            w_ms += max(0, sign * power_w) * max(0, min(lasts_ms, at_ms))
            at_ms -= lasts_ms
        return START_UWH + w_ms * 10 // 36

    def samples(
        self, profile: Profile, every_ms: int, count: int, counter_lag_ms: int = 0
    ) -> list[Sample]:
        points = profile.points()
        samples = []
        for time_ms in range(5_000, 5_000 + every_ms * count, every_ms):
            seen_ms = time_ms - counter_lag_ms
            words = {
                "energy_import": encode(points["energy_import"], self.energy_uwh(seen_ms, 1)),
                "energy_export": encode(points["energy_export"], self.energy_uwh(seen_ms, -1)),
                "active_power": encode(points["active_power"], self.power_w(time_ms)),
            }
            samples.append(Sample(time_ms, words))
        return samples


def judged(
    profile: Profile, samples: Sequence[Sample], *, invert: bool = False, flow: Any = ""
) -> dict[str, Finding]:
    meter = msgspec.structs.replace(METER, invert=invert)
    evidence = RegisterEvidence(profile, samples, invert=invert)
    return {each.name: each for each in judge_counters(meter, evidence, flow)}


def altered(profile: Profile, **change: Callable[[Point], Point]) -> Profile:
    points = {name: alter(getattr(profile, name)) for name, alter in change.items()}
    return msgspec.structs.replace(profile, **points)


def with_order(point: Point) -> Point:
    order = "lsw_first" if point.word_order == "msw_first" else "msw_first"
    return msgspec.structs.replace(point, word_order=order)


def times(factor: str) -> Callable[[Point], Point]:
    """The point with its scale wrong by a factor, and its resolution too."""

    def text(decimal: str) -> str:
        return f"{float(Fraction(decimal) * Fraction(factor)):.9f}".rstrip("0").rstrip(".")

    def scale(point: Point) -> Point:
        resolution = text(point.resolution) if point.resolution else ""
        return msgspec.structs.replace(point, scale=text(point.scale), resolution=resolution)

    return scale


LONG = Site([(3_600_000, 6_000)])
FEEDING = Site([(3_600_000, -6_000)])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("site", [LONG, FEEDING], ids=["draws", "feeds in"])
@pytest.mark.parametrize("invert", [False, True])
def test_a_meter_in_order_agrees_and_its_direction_is_told(
    model: str, site: Site, invert: bool
) -> None:
    profile = load_profile(model)
    found = judged(profile, site.samples(profile, 6_000, 100), invert=invert)
    assert found["counter"].severity is Severity.OK
    draws = (site is LONG) != invert
    assert found["direction"].seen.startswith("draws 6000 W" if draws else "feeds in 6000 W")
    assert f"set invert = {'false' if invert else 'true'}" in found["direction"].do


@pytest.mark.parametrize("flow", ["import", "export"])
@pytest.mark.parametrize("invert", [False, True])
def test_a_flow_that_the_installer_knows_is_compared(flow: str, invert: bool) -> None:
    profile = load_profile("abb_b23")
    found = judged(profile, LONG.samples(profile, 6_000, 100), invert=invert, flow=flow)
    if (flow == "import") != invert:
        assert found["direction"].severity is Severity.OK
    else:
        assert found["inverted"].severity is Severity.ERROR
        assert f"set invert = {'false' if invert else 'true'}" in found["inverted"].do


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("site", [LONG, FEEDING], ids=["draws", "feeds in"])
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("mistake", "name", "said"),
    [
        ("exchanged", "exchanged", "import and export are exchanged against the power"),
        ("energy_order", "word_order", "swapped, import would be 123"),
        ("power_order", "word_order", "swapped, the power would be"),
        ("both_orders", "word_order", "swapped, import would be 123"),
        ("thousand", "scale", "1000 times too high: is its unit Wh and not kWh?"),
        ("ten", "scale", "10 times too high"),
        ("tenth", "scale", "10 times too low"),
    ],
)
def test_a_mistake_in_a_profile_is_named(
    model: str, site: Site, invert: bool, mistake: str, name: str, said: str
) -> None:
    right = load_profile(model)
    wrong = {
        "exchanged": lambda: msgspec.structs.replace(
            right, energy_import=right.energy_export, energy_export=right.energy_import
        ),
        "energy_order": lambda: altered(right, energy_import=with_order, energy_export=with_order),
        "power_order": lambda: altered(right, active_power=with_order),
        "both_orders": lambda: altered(
            right, energy_import=with_order, energy_export=with_order, active_power=with_order
        ),
        "thousand": lambda: altered(
            right, energy_import=times("1000"), energy_export=times("1000")
        ),
        "ten": lambda: altered(right, energy_import=times("10"), energy_export=times("10")),
        "tenth": lambda: altered(right, energy_import=times("0.1"), energy_export=times("0.1")),
    }[mistake]
    samples = site.samples(right, 6_000, 100)
    if mistake == "exchanged":
        samples = [
            Sample(
                each.time_ms,
                each.words
                | {
                    "energy_import": each.words["energy_export"],
                    "energy_export": each.words["energy_import"],
                },
            )
            for each in samples
        ]
        profile = right
    else:
        profile = wrong()
    found = judged(profile, samples, invert=invert)
    assert set(found) == {name}, found
    assert found[name].severity is Severity.ERROR
    assert said in found[name].do


def test_a_counter_that_goes_back_is_told() -> None:
    profile = load_profile("eastron_sdm120")
    samples = LONG.samples(profile, 2_000, 60)
    found = judged(profile, [*samples[:30], *samples[10:]])
    assert found["counter_fell"].severity is Severity.ERROR
    assert "import went down by" in found["counter_fell"].seen


def test_a_counter_that_stands_still_is_told_when_it_is_sure() -> None:
    profile = load_profile("eastron_sdm120")
    samples = LONG.samples(profile, 1_000, 60)
    frozen = [
        Sample(each.time_ms, each.words | {"energy_import": samples[0].words["energy_import"]})
        for each in samples
    ]
    assert judged(profile, frozen)["standstill"].severity is Severity.ERROR
    assert judged(profile, frozen[:6])["counter_untold"].severity is Severity.NOTE


def test_phases_that_are_counted_each_for_itself_are_no_mistake() -> None:
    """1 kW in on one phase, 3 kW out on another: -2 kW, and both counters run."""
    profile = load_profile("eastron_sdm120")
    drawing, feeding = Site([(10**7, 4_000)]), Site([(10**7, -12_000)])
    total = Site([(10**7, -8_000)])
    samples = [
        Sample(
            whole.time_ms,
            whole.words
            | {"energy_import": drawn.words["energy_import"]}
            | {"energy_export": fed.words["energy_export"]},
        )
        for whole, drawn, fed in zip(
            *(site.samples(profile, 1_000, 120) for site in (total, drawing, feeding)), strict=True
        )
    ]
    found = judged(profile, samples)
    assert found["per_phase"].severity is Severity.NOTE


@pytest.mark.parametrize(
    ("model", "power_w", "seconds", "said"),
    [
        ("abb_b23", 300, 60, "needs about 6 min (--duration 360)"),
        ("carlo_gavazzi_em340", 300, 60, "needs about 60 min (--duration 3600)"),
        ("eastron_sdm120", 5, 60, "switch on a load of 1 kW or more"),
    ],
)
def test_too_little_energy_is_no_alarm_but_says_what_is_needed(
    model: str, power_w: int, seconds: int, said: str
) -> None:
    profile = load_profile(model)
    found = judged(profile, Site([(10**7, power_w)]).samples(profile, 1_000, seconds))
    assert said in found["counter_untold"].do
    assert f"at {power_w} W" in found["counter_untold"].seen
    if power_w == 300:
        longer = int(found["counter_untold"].do.split("--duration ")[1].split(")")[0])
        again = judged(profile, Site([(10**7, power_w)]).samples(profile, 1_000, longer))
        assert again["counter"].severity is Severity.OK


def test_nothing_is_said_without_samples_or_from_a_few() -> None:
    profile = load_profile("abb_b23")
    assert judged(profile, []) == {}
    assert "counter_untold" in judged(profile, LONG.samples(profile, 2_000, 3))


spans = st.lists(
    st.tuples(st.integers(5_000, 60_000), st.integers(-9_000, 9_000)), min_size=1, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    parts=spans,
    every_ms=st.integers(200, 4_000),
    count=st.integers(5, 60),
    lag_ms=st.integers(0, 1_500),
    invert=st.booleans(),
)
def test_no_site_in_order_is_ever_blamed(
    model: str,
    parts: list[tuple[int, int]],
    every_ms: int,
    count: int,
    lag_ms: int,
    invert: bool,
) -> None:
    profile = load_profile(model)
    samples = Site(parts).samples(profile, every_ms, count, lag_ms)
    found = judged(profile, samples, invert=invert)
    blamed = [each for each in found.values() if each.severity is Severity.ERROR]
    assert blamed == []
