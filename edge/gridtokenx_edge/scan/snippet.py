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
    """TOML text. Meters that have no profile, or other settings than most, are comments."""
    usable = [meter for meter in report.meters if meter.who.verdict.best]
    if not usable:
        return f"# {report.target}: no meter with a known profile was found\n"
    settings = Counter(meter.settings for meter in usable).most_common(1)[0][0]
    lines = [*_bus(report.target, settings)]
    for meter in report.meters:
        lines.append("")
        if meter.settings != settings:
            lines.append(f"# address {meter.address} is set to {meter.settings}: change the meter")
        elif not meter.who.verdict.best:
            lines.append(f"# address {meter.address}: {meter.who.note or 'no profile fits'}")
        else:
            lines += _meter(meter)
    return "\n".join(lines) + "\n"


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
    label = "" if meter.serial else " # put the serial number of its label for ADDRESS…"
    others = [candidate.name for candidate in best[1:]]
    choice = f" # or {', '.join(others)}: compare with the display" if others else ""
    yield "[[bus.meter]]"
    yield f"id = {json.dumps(found_id(meter))}{label}"
    yield f'profile = "{best[0].name}"{choice}'
    yield f"address = {meter.address}"
