"""A profile tried on a meter or a recording: every value, its registers, and an opinion of it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from gridtokenx_edge.commissioning.scan.plausibility import ProfileClue, judge
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.meters.identity import decode_serial, meter_id
from gridtokenx_edge.meters.plan import Block, register_block
from gridtokenx_edge.meters.point import Point, join_words
from gridtokenx_edge.meters.profile import Identity, Profile
from gridtokenx_wire.units import format_decimal

# These turn base units into the unit that an installer compares with the display, and its decimals.
_DISPLAY = {
    "kWh": ("kWh", 9, 3),
    "Wh": ("kWh", 9, 3),
    "W": ("W", 0, 0),
    "kW": ("W", 0, 0),
    "var": ("var", 0, 0),
    "kvar": ("var", 0, 0),
    "VA": ("VA", 0, 0),
    "kVA": ("VA", 0, 0),
    "V": ("V", 3, 1),
    "A": ("A", 3, 3),
    "Hz": ("Hz", 3, 2),
    "1": ("", 3, 3),
}


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """One value. `words` is None if the meter did not answer, `value` if it has none."""

    name: str
    point: Point
    words: tuple[int, ...] | None
    value: int | None
    is_refused: bool = False

    @property
    def missing(self) -> str:
        """Why there is no value."""
        if self.words:
            return "the registers hold no value"
        return "the meter refuses these registers" if self.is_refused else "no answer"

    @property
    def text(self) -> str:
        """The value as the display may show it."""
        if self.value is None:
            return ""
        _, decimals, shown = _DISPLAY[self.point.unit]
        base = Fraction(self.value, 10 ** (decimals - shown))
        return format_decimal(round(base), shown) if shown else str(round(base))

    @property
    def unit(self) -> str:
        return _DISPLAY[self.point.unit][0]

    @property
    def raw(self) -> str:
        """The registers in hex."""
        return " ".join(f"{word:04x}" for word in self.words or ())


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile makes of a meter. `problems` say why the agent would not read it so."""

    rows: tuple[TrialRow, ...]
    id: str
    problems: tuple[str, ...]
    findings: tuple[ProfileClue, ...]

    @property
    def passed(self) -> bool:
        return not self.problems and not any(finding.rules_out for finding in self.findings)


async def try_profile(asker: Prober, profile: Profile) -> Trial:
    """Read everything that the profile names. Raises LineDown."""
    rest_s = profile.min_gap_ms / 1000
    found = ""
    problems: list[str] = []
    if profile.identity:
        found, problems = await _identify(asker, profile, profile.identity, rest_s)
    rows = []
    for name, point in profile.all_points().items():
        refusals = sum(asker.refusals.values())
        words = await asker.ask(
            Block(fc=point.fc, address=point.address, count=point.count), rest_s
        )
        value = point.decode(words) if words else None
        is_refused = sum(asker.refusals.values()) > refusals
        rows.append(
            TrialRow(
                name=name,
                point=point,
                words=tuple(words) if words else None,
                value=value,
                is_refused=is_refused,
            )
        )
    if not asker.replies and not asker.refusals:
        nobody = "nobody answers here with these settings (gridtokenx-edge scan finds meters)"
        return Trial(rows=tuple(rows), id="", problems=(nobody,), findings=())
    needed = {name for name, point in profile.points().items() if not point.optional}
    problems += [_missing(row) for row in rows if row.name in needed and row.value is None]
    values = {row.name: row.value for row in rows if row.words}
    doubts = [
        ProfileClue(text=_missing(row), weight=0)
        for row in rows
        if not row.words and row.name not in needed
    ]
    return Trial(
        rows=tuple(rows), id=found, problems=tuple(problems), findings=(*judge(values), *doubts)
    )


def _missing(row: TrialRow) -> str:
    return f"{row.name}: {row.missing} ({row.point.fc} {row.point.address:#06x})"


async def _identify(
    asker: Prober, profile: Profile, identity: Identity, rest_s: float
) -> tuple[str, list[str]]:
    """Return the meter's id, and what is wrong with its identity."""
    problems: list[str] = []
    words = await asker.ask(register_block(identity), rest_s)
    serial = decode_serial(identity, words) if words else ""
    if not serial and not identity.optional:
        problems.append(f"no serial number at register {identity.address:#06x}")
    if model := identity.model:
        code = join_words(await asker.ask(register_block(model), rest_s) or (), "msw_first")
        if code not in model.values:
            expected = ", ".join(f"{value:#x}" for value in model.values)
            problems.append(f"type code {code:#x} at {model.address:#06x}, expected {expected}")
    return meter_id(profile.maker, serial) if serial else "", problems


def trial_fields(trial: Trial) -> dict[str, Any]:
    """Return the trial as an object for `--json`."""
    return {
        "ok": trial.passed,
        "id": trial.id or None,
        "values": [
            {
                "name": row.name,
                "value": row.text or None,
                "unit": row.unit,
                "fc": row.point.fc,
                "address": row.point.address,
                "raw": row.raw or None,
            }
            for row in trial.rows
        ],
        "problems": list(trial.problems),
        "plausible": [finding.text for finding in trial.findings if finding.weight > 0],
        "doubtful": [finding.text for finding in trial.findings if finding.weight <= 0],
    }
