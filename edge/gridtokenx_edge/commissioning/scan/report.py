"""A scan's report, as an object for programs and as sentences for people. This module is pure."""

from __future__ import annotations

from typing import Any

from gridtokenx_edge.commissioning.scan.dlms_results import dlms_fields
from gridtokenx_edge.commissioning.scan.results import FoundMeter, Garbled, ScanReport
from gridtokenx_edge.commissioning.scan.settings import LineSettings

GARBLED = "something answers, but garbled: two meters with one address, or wrong wiring or baud"


def report_fields(report: ScanReport, *, interrupted: bool) -> dict[str, Any]:
    """Return the report as an object for `--json`."""
    return {
        "target": str(report.target),
        "complete": report.complete,
        "interrupted": interrupted,
        "meters": [_meter_fields(meter) for meter in report.meters],
        "dlms": [dlms_fields(found) for found in report.dlms],
        "garbled": [
            {
                **_settings_fields(of.settings),
                "address": of.address,
                "heard": of.heard,
                "error": GARBLED,
            }
            for of in report.settled_garbled()
        ],
        "sender": report.sender or None,
        "notices": report.notices,
        "requests": report.requests,
    }


def profiles_text(meter: FoundMeter) -> str:
    """Return the profile's name, or the names of all that fit equally."""
    return " or ".join(meter.profiles)


def model_text(meter: FoundMeter) -> str:
    """Return the maker and model as the profile or the device itself names them."""
    if sunspec := meter.who.sunspec:
        return f"{sunspec.nameplate.maker} {sunspec.nameplate.model} (SunSpec)"
    return " or ".join(candidate.profile.name for candidate in meter.who.verdict.best)


def notes(meter: FoundMeter) -> list[str]:
    """Return what an installer should know about the find."""
    verdict = meter.who.verdict
    lines = [meter.who.note, meter.note]
    if len(verdict.best) > 1:
        if verdict.reads_alike:
            lines.append("these models read alike; the label tells which it is")
        else:
            lines.append("these models fit equally: compare their values with the display")
    elif verdict.weaker and verdict.sureness == "likely":
        lines.append(f"less likely: {', '.join(of.name for of in verdict.weaker)}")
    if any(candidate.profile.confidence == "contested" for candidate in verdict.best):
        lines.append("sources disagree about this profile: compare with the display")
    if sunspec := meter.who.sunspec:
        which = f", instance {sunspec.instance}" if sunspec.instance > 1 else ""
        what = "" if sunspec.profile else ": neither a meter nor an inverter"
        lines.append(f"{model_text(meter)}{which}{what}")
    if meter.profiles and not meter.id:
        lines.append("cannot say its serial number: take it from the label")
    return [line for line in lines if line]


def garbled_text(garbled: Garbled) -> str:
    at = f" at {garbled.settings}" if garbled.settings else ""
    return f"address {garbled.address}{at}: {GARBLED} (heard {garbled.heard})"


def _meter_fields(meter: FoundMeter) -> dict[str, Any]:
    verdict = meter.who.verdict
    best = verdict.best[0] if verdict.best else None
    profiles = meter.profiles
    return {
        **_settings_fields(meter.settings),
        "address": meter.address,
        "sureness": verdict.sureness,
        "maker": meter.maker or None,
        "model": model_text(meter) or None,
        "serial": meter.serial or None,
        "id": meter.id or None,
        "profile": profiles[0] if len(profiles) == 1 else None,
        "instance": meter.who.sunspec.instance if meter.who.sunspec else None,
        "candidates": profiles,
        "less_likely": [candidate.name for candidate in verdict.weaker],
        "evidence": [finding.text for finding in best.findings] if best else [],
        "notes": notes(meter),
        "round_trip_ms": meter.round_trip_ms,
    }


def _settings_fields(settings: LineSettings | None) -> dict[str, Any]:
    if settings is None:
        return {}
    return {
        "baud": settings.baud,
        "parity": settings.parity,
        "stop_bits": settings.stop_bits,
    }
