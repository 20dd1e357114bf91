"""Writes docs/meters.md out of the gateway's profiles: `python docs/write_meters.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import (
    Identity,
    Profile,
    Provenance,
    load_profile,
    profile_names,
)
from gridtokenx_edge.meters.sunspec.models import MODELS, READING_POINTS
from gridtokenx_edge.meters.sunspec.points import SunSpecPoint
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile, load_sunspec, sunspec_names

PAGE = Path(__file__).with_name("meters.md")

_HEAD = """\
# Meters

The models that a gateway reads. Made by `docs/write_meters.py` from the profiles in
`edge/gridtokenx_edge/profiles/`; a test keeps it up to date.

Registers are zero-based addresses, as they go over the wire, with the function code (3 holding,
4 input). **Confidence**: *confirmed*, independent sources agree; *single*, one source; *contested*,
sources disagree: compare with the meter's display before anything is minted; the agent says so when
it starts. A meter without a readable identity has the config's id; each of its readings says so.
"""


def page() -> str:
    """The whole page."""
    profiles = [(name, load_profile(name)) for name in profile_names()]
    sunspec = [(name, load_sunspec(name)) for name in sunspec_names()]
    lines = [
        _HEAD,
        "| profile | model | confidence |",
        "| --- | --- | --- |",
        *(_entry(name, of) for name, of in (*profiles, *sunspec)),
    ]
    for name, profile in profiles:
        lines += ["", f"## {name}", "", *_section(profile)]
    for name, device in sunspec:
        lines += ["", f"## {name}", "", *_sunspec_section(device)]
    return "\n".join(lines) + "\n"


def _entry(name: str, of: Profile | SunSpecProfile) -> str:
    return f"| [`{name}`](#{name}) | {of.name} | {of.confidence} |"


def _section(profile: Profile) -> Iterator[str]:
    yield f"{profile.name}. Ids begin with `{profile.maker}-`."
    yield ""
    yield "| quantity | function | address | registers | scale | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, point in profile.points().items():
        yield _point_row(name.replace("_", " "), point)
    if profile.identity:
        yield from _identity_rows(profile.identity)
    yield ""
    yield _limits(profile)
    yield ""
    for note in profile.notes:
        yield f"- {note}"
    yield from _sources(profile.provenance)


def _sunspec_section(profile: SunSpecProfile) -> Iterator[str]:
    """What a device's own registers tell: offsets from a model's id, whatever its address."""
    yield f"{profile.name}. Ids begin with the maker that the device names."
    yield ""
    yield "| models | quantity | registers from the model's id | type | scale factor |"
    yield "| --- | --- | --- | --- | --- |"
    shown: dict[str, list[int]] = {}
    for number in sorted(profile.models):
        for name in READING_POINTS:
            if point := MODELS[number].points.get(name):
                shown.setdefault(_sunspec_cells(name, point), []).append(number)
    for cells, numbers in shown.items():
        yield f"| {', '.join(map(str, numbers))} | {cells}"
    yield ""
    yield f"At most {profile.max_registers} registers in a request."
    yield ""
    for note in profile.notes:
        yield f"- {note}"
    yield from _sources(profile.provenance)


def _sunspec_cells(name: str, point: SunSpecPoint) -> str:
    scale = f"at {point.scale}" if point.scale else "none"
    registers = (
        str(point.offset)
        if point.end == point.offset + 1
        else f"{point.offset}, {point.end - point.offset} long"
    )
    return f"{name.replace('_', ' ')} | {registers} | {point.type}, {point.unit} | {scale} |"


def _sources(provenance: tuple[Provenance, ...]) -> Iterator[str]:
    for source in provenance:
        where = f"https://github.com/{source.repo}/blob/{source.commit}/{source.file}"
        yield f"- Source: [{source.repo}]({where}): {source.says}."


def _point_row(name: str, point: Point) -> str:
    order = "" if point.count == 1 else f", {point.word_order.replace('_', ' ')}"
    step = f", rounded to {point.resolution} {point.unit}" if point.resolution else ""
    remarks = ["optional"] if point.optional else []
    remarks += [f"{raw} means none" for raw in point.invalid_raw]
    return _row(
        name,
        str(point.fc),
        f"0x{point.address:04X}",
        f"{point.type}{order}",
        f"{point.scale} {point.unit}{step}",
        "; ".join(remarks),
    )


def _identity_rows(identity: Identity) -> Iterator[str]:
    remarks = [identity.confidence, *(["optional"] if identity.optional else [])]
    kind = f"{identity.type}, {identity.count} registers"
    address = f"0x{identity.address:04X}"
    yield _row("serial number", str(identity.fc), address, kind, "", "; ".join(remarks))
    if model := identity.model:
        values = ", ".join(f"{value:#x}" for value in model.values)
        yield _row("type", str(model.fc), f"0x{model.address:04X}", model.type, "", values)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _limits(profile: Profile) -> str:
    gap = f" {profile.min_gap_ms} ms of rest between two." if profile.min_gap_ms else ""
    return f"At most {profile.max_registers} registers in a request.{gap}"


if __name__ == "__main__":
    PAGE.write_text(page())
