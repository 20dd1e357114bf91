"""What meters are called in Home Assistant. Pure."""

from __future__ import annotations

import re

import msgspec


class MeterNames(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's names for people. `maker` is empty where it is not known."""

    name: str
    maker: str
    model: str
    serial: str


def meter_names(meter: str, profile: str, maker: str, model: str) -> MeterNames:
    """Return the names of the meter with this id: `maker` as ids have it, `model` as the profile
    names it, such as `Carlo Gavazzi EM340 (3-phase)`.
    """
    prefix, _, serial = meter.partition("-") if not maker else (maker, "-", "")
    if maker:
        serial = meter.removeprefix(f"{maker}-")
    words = re.sub(r"\s*\(.*", "", model) or profile
    count = _words_of(maker, words)
    if count:
        written = " ".join(words.split()[:count])
        words = " ".join(words.split()[count:]) or words
    else:
        written = prefix.replace("-", " ").title()
    return MeterNames(
        name=f"{written} {serial}", maker=written if maker else "", model=words, serial=serial
    )


def _words_of(maker: str, model: str) -> int:
    """Return how many words of a model's name are its maker's: 2 of `Carlo Gavazzi EM340`."""
    wanted = _letters(maker)
    for count in range(1, len(model.split()) + 1):
        if wanted and _letters("".join(model.split()[:count])) == wanted:
            return count
    return 0


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def slug(meter: str) -> str:
    """Return the meter's id as ids of discovery have it: letters, digits, - and _ only."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"_{ord(found[0]):x}_", meter)
