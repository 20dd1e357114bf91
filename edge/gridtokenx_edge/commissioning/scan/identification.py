"""Names a meter by what it answers: its type code, its serial number, its values.

Questions that are cheap and tell much come first. A profile is out if the agent would refuse to
read this meter with it: for another type code, for a serial number that is missing where there must
be one, or without an import register.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gridtokenx_edge.commissioning.scan.candidates import Candidate, Ranking, rank
from gridtokenx_edge.commissioning.scan.plausibility import JUDGED, ProfileClue, Weight, judge
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.commissioning.scan.sunspec import SunSpecDevice, sunspec_devices
from gridtokenx_edge.meters.identity import decode_serial
from gridtokenx_edge.meters.plan import Block, decode_points, plan_blocks, register_block
from gridtokenx_edge.meters.point import join_words
from gridtokenx_edge.meters.profile import ModelRegister, Profile

Profiles = Mapping[str, Profile]


class IdentifiedMeter(msgspec.Struct, frozen=True):
    """Who a meter is, as far as it can be told. `sunspec` is set if it says so in that way."""

    verdict: Ranking
    sunspec: SunSpecDevice | None = None
    note: str = ""


async def identify(asker: Prober, profiles: Profiles) -> list[IdentifiedMeter]:
    """Ask until the meter has a name or has none. A SunSpec unit may be several.

    Raises LineDown.
    """
    with_code = {name for name, of in profiles.items() if of.identity and of.identity.model}
    for register, names in _type_registers(profiles):
        words = await asker.ask(register_block(register))
        code = join_words(words, "msw_first") if words else None
        matching = {name: profiles[name] for name in names if code in _codes(profiles[name])}
        verdict = rank(await _read_as(asker, matching, is_of_type=True))
        if verdict.best:
            return [IdentifiedMeter(verdict)]
    if devices := await sunspec_devices(asker):
        return [IdentifiedMeter(_of_sunspec(device), device) for device in devices]
    others = {name: of for name, of in profiles.items() if name not in with_code}
    verdict = rank(await _read_as(asker, others, is_of_type=False))
    return [IdentifiedMeter(verdict, note=_note(asker, verdict))]


def _of_sunspec(device: SunSpecDevice) -> Ranking:
    return Ranking(sureness="identified" if device.profile else "unknown")


def _type_registers(profiles: Profiles) -> list[tuple[ModelRegister, list[str]]]:
    """Return the registers that hold type codes with their profiles, most shared first."""
    of_block: dict[Block, tuple[ModelRegister, list[str]]] = {}
    for name, profile in sorted(profiles.items()):
        if profile.identity and (register := profile.identity.model):
            of_block.setdefault(register_block(register), (register, []))[1].append(name)
    return sorted(of_block.values(), key=lambda item: -len(item[1]))


def _codes(profile: Profile) -> tuple[int, ...]:
    register = profile.identity.model if profile.identity else None
    return register.values if register else ()


async def _read_as(asker: Prober, profiles: Profiles, *, is_of_type: bool) -> list[Candidate]:
    """Read the meter with each profile. Profiles that want rests between requests come last."""
    ordered = sorted(profiles.items(), key=lambda item: (item[1].min_gap_ms, item[0]))
    read = [await _candidate(asker, name, of, is_of_type=is_of_type) for name, of in ordered]
    return [candidate for candidate in read if candidate]


async def _candidate(
    asker: Prober, name: str, profile: Profile, *, is_of_type: bool
) -> Candidate | None:
    findings = [ProfileClue(text="says its type", weight=Weight.TYPE_CODE)] if is_of_type else []
    serial = ""
    rest_s = profile.min_gap_ms / 1000
    if identity := profile.identity:
        words = await asker.ask(register_block(identity), rest_s)
        serial = decode_serial(identity, words) if words else ""
        if not serial and not identity.optional:
            return None
        if serial:
            findings.append(ProfileClue(text=f"serial number {serial}", weight=Weight.SERIAL))
    values = await _values(asker, profile, rest_s)
    if values is None:
        return None
    return Candidate(
        name=name,
        profile=profile,
        serial=serial,
        findings=(*findings, *judge(values)),
        values=values,
    )


async def _values(asker: Prober, profile: Profile, rest_s: float) -> dict[str, int | None] | None:
    """Return a reading and the values that are judged.

    It is None if the meter refuses what a reading needs, or if the reading cannot be true. Then
    nothing more is asked.
    """
    values: dict[str, int | None] = {}
    for name, point in profile.points().items():
        seen = await read_points(asker, profile, [name], rest_s)
        if not seen and not point.optional:
            return None
        values |= seen
    if any(finding.rules_out for finding in judge(values)):
        return None
    telling = [name for name in profile.values if name in JUDGED]
    return values | await read_points(asker, profile, telling, rest_s)


async def read_points(
    asker: Prober, profile: Profile, names: Iterable[str], rest_s: float = 0.0
) -> dict[str, int | None]:
    """Return those of the profile's points that the meter answers for, as the agent would ask."""
    values: dict[str, int | None] = {}
    every = profile.all_points()
    chosen = {name: every[name] for name in names}
    for block in plan_blocks(profile, points=chosen):
        words = await asker.registers(block, rest_s)
        if words is not None:
            values |= decode_points(profile, [(block, words)])
            continue
        for name in block.points if len(block.points) > 1 else ():
            point = every[name]
            alone = Block(fc=point.fc, address=point.address, count=point.count, points=(name,))
            if (words := await asker.registers(alone, rest_s)) is not None:
                values |= decode_points(profile, [(alone, words)])
    return values


def _note(asker: Prober, verdict: Ranking) -> str:
    """Return why a meter without a name has none."""
    if verdict.best:
        return ""
    if not asker.replies and asker.refusals:
        codes = ", ".join(map(str, sorted(asker.refusals)))
        return f"refuses every register asked for (exception {codes})"
    if asker.has_only_zeros:
        return "answers zero for every register asked for"
    if not asker.replies:
        return "answered once, then never again"
    return "answers, but fits no known model"
