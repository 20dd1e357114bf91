"""The TOML file of a new profile. This module is pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gridtokenx_edge.commissioning.profile.search import Fit
from gridtokenx_edge.commissioning.profile.survey import CHUNK
from gridtokenx_edge.meters.point import Point

# The quantities of a reading stand at the top, the others under [values].
_READING = ("energy_import", "energy_export", "active_power")


class ProfileDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a new model.

    `points` are by name. `serial` is function code, address, type and count of the serial number.
    `date` is written as it is. `others` is what else agreed with the display. `settings` is where
    the meter was, if it was looked at.
    """

    name: str
    maker: str
    date: str
    points: Mapping[str, Point]
    serial: tuple[int, int, str, int] | None = None
    others: Mapping[str, Sequence[Fit]] = {}
    settings: Mapping[str, int | str] = {}

    @property
    def source(self) -> str:
        return "measured on site" if self.settings else "typed in on site"


def profile_text(draft: ProfileDraft) -> str:
    """Return the text of the file."""
    return "\n".join(_lines(draft)) + "\n"


def _lines(draft: ProfileDraft) -> Iterator[str]:
    yield f"# Written by `gridtokenx-edge profile new`, {draft.date}."
    yield "# Still to find out, in the maker's document:"
    for line in _unknown(draft):
        yield f"# - {line}"
    yield ""
    yield f"name = {json.dumps(draft.name)}"
    yield f"maker = {json.dumps(draft.maker)}"
    yield 'confidence = "single"'
    yield f'notes = ["{draft.source}; compare with the display now and then"]'
    yield f"max_registers = {max(CHUNK, *(point.count for point in draft.points.values()))}"
    if draft.serial:
        yield from _identity(*draft.serial)
    if draft.settings:
        yield ""
        yield "[serial]"
        for key, value in draft.settings.items():
            yield f"{key} = {json.dumps(value)}"
    for name in _READING:
        if name in draft.points:
            yield from _point(name, draft.points[name], draft.others.get(name, ()))
    for name, point in draft.points.items():
        if name not in _READING:
            yield from _point(f"values.{name}", point, draft.others.get(name, ()))
    yield ""
    yield "[[provenance]]"
    yield f'repo = "{draft.source}"'
    yield f'commit = "{draft.date}"'
    yield 'file = ""'
    yield 'says = "registers that agreed with the display"'


def _unknown(draft: ProfileDraft) -> Iterator[str]:
    yield f"how many registers a request may ask for; {CHUNK} are known to work"
    yield "whether the meter wants a rest between requests (min_gap_ms)"
    if "energy_export" not in draft.points:
        yield "whether it has an export register; without one no GRID is minted"
    if not draft.serial:
        yield "the register of its serial number; without it an exchanged meter goes unnoticed"
    elif draft.serial[2] == "ascii":
        yield "how long serial numbers may be; this meter's has so many registers"
    power = draft.points.get("active_power")
    if power and power.type in {"int16", "int32"}:
        yield "whether power is negative for export: look when the sun shines"
    for name, fits in draft.others.items():
        ways = ", ".join(f"{fit.type} at {fit.address:#06x}" for fit in fits)
        yield f"{name}: while the number is small, these read the same: {ways}"


def _identity(fc: int, address: int, kind: str, count: int) -> Iterator[str]:
    yield ""
    yield "[identity]"
    yield f"fc = {fc}"
    yield f"address = 0x{address:04X} # serial number"
    yield f'type = "{kind}"'
    yield f"count = {count}"
    yield 'confidence = "single"'


def _point(name: str, point: Point, others: Sequence[Fit]) -> Iterator[str]:
    yield ""
    yield f"[{name}]{' # not proven, see above' if others else ''}"
    yield f"fc = {point.fc}"
    yield f"address = 0x{point.address:04X}"
    yield f'type = "{point.type}"'
    if point.count > 1:
        yield f'word_order = "{point.word_order}"'
    yield f'unit = "{point.unit}"'
    if point.scale != "1":
        yield f'scale = "{point.scale}"'
    if point.resolution:
        yield f'resolution = "{point.resolution}"'
