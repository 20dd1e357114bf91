"""Times as a person looks at them: in the community's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_wire.errors import ConfigError


def community_zone(settings: Settings) -> tzinfo:
    """Return the time zone of the community's terms; UTC where the file cannot be used."""
    try:
        return ZoneInfo(load_terms(settings.community).community.time_zone)
    except ConfigError:
        return UTC


def local_text(at_ms: int, zone: tzinfo) -> str:
    """Return `2026-06-18 12:15 CEST`; a time that no calendar has as its milliseconds."""
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, zone):%Y-%m-%d %H:%M:%S %Z}"
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"
