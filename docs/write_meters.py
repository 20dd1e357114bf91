"""Writes docs/meters.md out of the gateway's profiles: `python docs/write_meters.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import Identity, Profile, load_profile, profile_names

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
    lines = [
        _HEAD,
        "| profile | model | confidence |",
        "| --- | --- | --- |",
        *(f"| [`{name}`](#{name}) | {of.name} | {of.confidence} |" for name, of in profiles),
    ]
    for name, profile in profiles:
        lines += ["", f"## {name}", "", *_section(profile)]
    return "\n".join(lines) + "\n"


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
    for source in profile.provenance:
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
