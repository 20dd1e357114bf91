"""The `[[bus]]` of edge.toml for what a scan found. This module is pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from gridtokenx_edge.commissioning.scan.results import FoundMeter, ScanReport
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.target import SerialTarget, Target
from gridtokenx_edge.meters.identity import meter_id


def snippet(report: ScanReport) -> str:
    """Return the TOML text.

    A meter is a comment if it has no profile, if it has profiles that read differently, or if its
    settings are not those of most: then the installer decides.
    """
    usable = [meter for meter in report.meters if meter.is_clear]
    settings = Counter(meter.settings for meter in usable or report.meters).most_common(1)
    if not settings:
        return f"# {report.target}: no meter was found\n"
    chosen = settings[0][0]
    lines = list(_bus(report.target, chosen))
    if not usable:
        lines = [f"# {line}" for line in lines]
    for meter in report.meters:
        lines += ["", *_entry(meter, chosen)]
    return "\n".join(lines) + "\n"


def _entry(meter: FoundMeter, settings: LineSettings | None) -> list[str]:
    here = f"# address {meter.address}"
    if meter.settings != settings:
        return [f"{here} is set to {meter.settings}: give it the settings of the others"]
    if not meter.profiles:
        return [f"{here}: {meter.who.note or 'no profile fits'}"]
    if not meter.is_clear:
        why = f"{here}: these profiles fit equally; compare with the display, then choose"
        return [why, *(f"# {line}" for line in _meter(meter))]
    return list(_meter(meter))


def _bus(target: Target, settings: LineSettings | None) -> Iterator[str]:
    yield "[[bus]]"
    yield f"name = {json.dumps(target.name)}"
    if isinstance(target, SerialTarget):
        yield 'kind = "serial"'
        yield f"port = {json.dumps(target.port)}"
        if settings:
            yield f"baud = {settings.baud}"
            yield f'parity = "{settings.parity}"'
            yield f"stop_bits = {settings.stop_bits}"
        return
    yield 'kind = "tcp"'
    yield f"host = {json.dumps(target.host)}"
    yield f"port = {target.port}"
    if target.rtu_over_tcp:
        yield "rtu_over_tcp = true"


def _meter(meter: FoundMeter) -> Iterator[str]:
    label = "" if meter.id else " # for ADDRESS…, put the serial number of its label"
    made_up = meter_id(meter.maker, f"ADDRESS{meter.address}")
    first, *rest = meter.profiles
    others = ", ".join(rest)
    yield "[[bus.meter]]"
    yield f"id = {json.dumps(meter.id or made_up)}{label}"
    yield f'profile = "{first}"{others and f" # or {others}"}'
    yield f"address = {meter.address}"
    if meter.who.sunspec and meter.who.sunspec.instance > 1:
        yield f"instance = {meter.who.sunspec.instance}"
