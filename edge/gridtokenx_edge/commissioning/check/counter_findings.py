"""The findings on a meter's counters and on its direction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gridtokenx_edge.commissioning.check.counters import Consistency, Explanation, compare, explain
from gridtokenx_edge.commissioning.check.evidence import Evidence, Mistake
from gridtokenx_edge.commissioning.check.finding import Finding, error, note, ok
from gridtokenx_edge.commissioning.check.format_quantity import kwh
from gridtokenx_edge.commissioning.check.movement import Movement, MovementOutcome
from gridtokenx_edge.commissioning.check.register_series import Series
from gridtokenx_edge.config.edge_config import MeterConfig

Flow = Literal["", "import", "export"]
"""What flows at the meter, as the installer knows it."""

# Below this a power's sign is chance.
_LEAST_POWER_W = 20
_STEPS_NEEDED = 3
_SHORTEST_CHECK_MS = 30_000
_MINUTE_MS = 60_000


def judge_counters(
    meter: MeterConfig,
    evidence: Evidence,
    flow: Flow,
    power_fits: bool | None = None,  # noqa: FBT001 (None is an answer too)
) -> Iterator[Finding]:
    """Yield findings on direction, scale and word order, from the polls of a check.

    `power_fits` is whether voltages and currents carry the power, or None if nobody knows.
    """
    series = evidence.series
    if not series.times_ms:
        return
    found = compare(series)
    missing = evidence.missing()
    if missing or series.is_absurd or found.is_contradiction:
        explanation = explain(evidence)
        if missing == "power" and explanation is None:
            seen = "the meter tells no power to compare its counters with"
            yield note("counter_untold", meter.id, seen, "compare both with the display")
            return
        yield _mistake(meter, series, found, explanation, missing, power_fits)
        return
    yield _agreement(meter, series, found)
    yield _direction(meter, series, flow)


def _agreement(meter: MeterConfig, series: Series, found: Consistency) -> Finding:
    if found.is_per_phase:
        return note(
            "per_phase",
            meter.id,
            "import and export run at once, and their difference fits the power: the meter counts"
            " each phase for itself",
            "ask the operator whether the grid operator's meter counts so too",
        )
    if found.outcome is MovementOutcome.AGREES:
        register, movement = found.worse
        return ok("counter", meter.id, f"{register} {_moved(movement)}")
    return _too_little(meter, series)


def _too_little(meter: MeterConfig, series: Series) -> Finding:
    elapsed_ms = series.times_ms[-1] - series.times_ms[0]
    power_w = abs(series.mean_power_w)
    seen = f"could not tell in {elapsed_ms // 1000} s at {power_w} W"
    if power_w < _LEAST_POWER_W:
        do = "switch on a load of 1 kW or more, and check again"
        return note("counter_untold", meter.id, seen, do)
    step_uwh = series.steps_uwh[0 if series.mean_power_w > 0 else 1]
    needed_ms = max(_SHORTEST_CHECK_MS, _STEPS_NEEDED * step_uwh * 36 // (10 * power_w))
    minutes = max(-(-needed_ms // _MINUTE_MS), elapsed_ms // _MINUTE_MS + 1)
    do = f"needs about {minutes} min (--duration {60 * minutes}) or a larger load"
    return note("counter_untold", meter.id, seen, do)


def _direction(meter: MeterConfig, series: Series, flow: Flow) -> Finding:
    power_w = series.mean_power_w
    if abs(power_w) < _LEAST_POWER_W:
        return note(
            "direction",
            meter.id,
            f"nothing flows ({power_w} W), so import and export could not be told apart",
            "switch on a load of 1 kW or more, and check again with --flow import",
        )
    found = "import" if power_w > 0 else "export"
    says = f"{'draws' if power_w > 0 else 'feeds in'} {abs(power_w)} W"
    mend = f"set invert = {'false' if meter.invert else 'true'} for this meter"
    if not series.import_uwh:
        flow = "export"  # it only generates, as an inverter does
    if not flow:
        other = "feeds in" if power_w > 0 else "draws"
        do = f"if the site {other} now, {mend}; with --flow import or --flow export this is judged"
        return note("direction", meter.id, f"{says}; only you know whether that is so", do)
    if flow != found:
        seen = f"{says}, but the site is said to {'draw' if flow == 'import' else 'feed in'}"
        return error("inverted", meter.id, seen, f"it is mounted the other way round: {mend}")
    return ok("direction", meter.id, f"{says}, as it should")


def _mistake(
    meter: MeterConfig,
    series: Series,
    found: Consistency,
    explanation: Explanation | None,
    missing: str,
    power_fits: bool | None,  # noqa: FBT001
) -> Finding:
    seen = f"the register of {missing} holds no value"
    if not missing:
        seen = _contradiction(series, found)
    if found.outcome is MovementOutcome.FELL:
        do = "ask the maker: a counter never counts down; was the right register taken?"
        return error("counter_fell", meter.id, seen, do)
    if explanation is None:
        if missing:
            return error("no_value", meter.id, seen, f"profile {meter.profile} may be wrong")
        if found.outcome is MovementOutcome.TOO_LOW and found.worse[1].moved_most_uwh <= max(
            series.steps_uwh
        ):
            do = (
                "it stands still: the wrong register, or its unit is larger than profile"
                f" {meter.profile} says; compare with the display"
            )
            return error("standstill", meter.id, seen, do)
        do = f"compare with the display: profile {meter.profile} may be another model's"
        return error("counter", meter.id, seen, do)
    name, do = _remedy(meter, explanation, power_fits)
    return error(name, meter.id, seen, do if explanation.is_sure else f"perhaps {do}")


def _contradiction(series: Series, found: Consistency) -> str:
    flow = "drawing" if series.mean_power_w >= 0 else "feeding in"
    power = f"{flow} {abs(series.mean_power_w)} W"
    if not found.is_contradiction:
        counted = kwh(max(series.import_uwh[-1:] + series.export_uwh[-1:], default=0))
        return f"{power}, {counted} counted: that is absurd"
    register, movement = found.worse
    return f"{power}: {register} {_moved(movement)}"


def _moved(movement: Movement) -> str:
    if movement.outcome is MovementOutcome.FELL:
        return f"went down by {kwh(-movement.moved_least_uwh)}"
    moved = (movement.moved_least_uwh + movement.moved_most_uwh) // 2
    return (
        f"moved {kwh(moved)}, by its power"
        f" {kwh(movement.least_uwh)} to {kwh(movement.most_uwh)} are expected"
    )


def _remedy(
    meter: MeterConfig,
    explanation: Explanation,
    power_fits: bool | None,  # noqa: FBT001
) -> tuple[str, str]:
    """Return the finding's name, and what to do."""
    fixed = explanation.series
    profile = f"profile {meter.profile}"
    match explanation.mistake:
        case Mistake.EXCHANGED:
            return "exchanged", (
                f"import and export are exchanged against the power in {profile}: compare with the"
                " display, and take a profile that has them the other way round (invert would turn"
                " the power too)"
            )
        case Mistake.ENERGY_WORD_ORDER | Mistake.WORD_ORDER:
            power = (
                f" and the power {fixed.power_w[-1]} W"
                if explanation.mistake is Mistake.WORD_ORDER and fixed.power_w
                else ""
            )
            register = "import" if fixed.import_uwh else "export"
            counted = kwh((fixed.import_uwh or fixed.export_uwh)[-1])
            return "word_order", (
                f"word order: swapped, {register} would be {counted}{power}, which fits; mend"
                f" word_order in {profile}"
            )
        case Mistake.POWER_WORD_ORDER:
            return "word_order", (
                f"word order: swapped, the power would be {fixed.power_w[-1]} W, which fits the"
                f" counter; mend word_order of active_power in {profile}"
            )
        case Mistake.SCALE:
            return "scale", _scale_text(explanation, profile, power_fits)


def _scale_text(
    explanation: Explanation,
    profile: str,
    power_fits: bool | None,  # noqa: FBT001
) -> str:
    factor = explanation.factor
    times = max(factor.numerator, factor.denominator)
    high, low = ("high", "low") if factor < 1 else ("low", "high")
    unit = ""
    if times == 1000:
        unit = ": is its unit Wh and not kWh?" if high == "high" else ": is its unit kWh, not Wh?"
    counter = f"the counter is {times} times too {high}{unit}"
    power = f"the power is {times} times too {low}"
    if power_fits is None:
        said = f"{counter} (or {power})"
    else:
        carry = "carry" if power_fits else "do not carry"
        reason = f"voltages and currents {carry} the power"
        said = f"{counter if power_fits else power} ({reason})"
    return f"{said}; compare with the display, and mend the scale in {profile}"
