"""The `[[bus]]` of edge.toml for what a scan found. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from gridtokenx_edge.meters.identity import meter_id
from gridtokenx_edge.scan.found import FoundMeter, Report
from gridtokenx_edge.scan.settings import LineSettings
from gridtokenx_edge.scan.target import SerialTarget, Target


def snippet(report: Report) -> str:
    """TOML text. A meter without a profile, with a choice of profiles that read differently, or
    with other settings than most is a comment: the installer decides."""
    usable = [meter for meter in report.meters if _is_clear(meter)]
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


def _is_clear(meter: FoundMeter) -> bool:
    return bool(meter.who.verdict.best) and meter.who.verdict.reads_alike


def _entry(meter: FoundMeter, settings: LineSettings | None) -> list[str]:
    here = f"# address {meter.address}"
    if meter.settings != settings:
        return [f"{here} is set to {meter.settings}: give it the settings of the others"]
    if not meter.who.verdict.best:
        return [f"{here}: {meter.who.note or 'no profile fits'}"]
    if not _is_clear(meter):
        why = f"{here}: these profiles fit equally; compare with the display, then choose"
        return [why, *(f"# {line}" for line in _meter(meter))]
    return list(_meter(meter))


def found_id(meter: FoundMeter) -> str:
    """The meter's id; a made-up one where it cannot say its serial number."""
    maker = meter.who.verdict.best[0].profile.maker
    return meter_id(maker, meter.serial or f"ADDRESS{meter.address}")


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
    best = meter.who.verdict.best
    label = "" if meter.serial else " # for ADDRESS…, put the serial number of its label"
    others = ", ".join(candidate.name for candidate in best[1:])
    yield "[[bus.meter]]"
    yield f"id = {json.dumps(found_id(meter))}{label}"
    yield f'profile = "{best[0].name}"{others and f" # or {others}"}'
    yield f"address = {meter.address}"
