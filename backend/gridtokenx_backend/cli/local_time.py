"""Times as a person looks at them: in the community's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from gridtokenx_backend.cli.operator_api import OperatorApi


def community_zone(api: OperatorApi) -> tzinfo:
    """Return the time zone of the community; UTC where it is not known here."""
    try:
        return ZoneInfo(api.get("/v1/health")["time_zone"])
    except (KeyError, ValueError, OSError):
        return UTC


def local_minute(at_ms: int, zone: tzinfo) -> str:
    """Return `2026-06-18 12:15 CEST`; of a time that no calendar has, its milliseconds."""
    return _written(at_ms, zone, "%Y-%m-%d %H:%M %Z")


def local_second(at_ms: int, zone: tzinfo) -> str:
    """Return `2026-06-18 12:15:00 CEST`; of a time that no calendar has, its milliseconds."""
    return _written(at_ms, zone, "%Y-%m-%d %H:%M:%S %Z")


def _written(at_ms: int, zone: tzinfo, form: str) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, zone).strftime(form)
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
