"""What a check found: a name, how bad it is, what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec

# These are all names, in the order of the installer's page, which says what to do about each.
NAMES = (
    "key",
    "clock",
    "disk",
    "port",
    "port_name",
    "port_taken",
    "line_down",
    "identity",
    "ids_exchanged",
    "another_meter",
    "wrong_profile",
    "no_identity",
    "not_let_in",
    "meter_clock",
    "load_profile",
    "contested",
    "wiring",
    "silent_bus",
    "silent_meter",
    "noise",
    "lost_replies",
    "restless",
    "plausible",
    "implausible",
    "dead_phase",
    "power_scale",
    "counter",
    "counter_untold",
    "counter_fell",
    "per_phase",
    "standstill",
    "no_value",
    "scale",
    "word_order",
    "exchanged",
    "direction",
    "inverted",
    "bus_time",
    "bus_too_slow",
    "meter_too_slow",
    "broker_name",
    "broker_tcp",
    "certificate",
    "broker_tls",
    "broker_mqtt",
    "outbox",
    "ack",
    "frames_denied",
    "nobody_listens",
    "no_ack",
    "not_taken",
    "ack_key",
    "ack_untried",
    "chain",
    "reading_refused",
)


class Severity(Enum):
    """How bad a finding is. Only an error keeps a site from being left."""

    OK = "ok"
    NOTE = "note"
    """Only a person can judge it, or there was too little to judge by."""
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of a check.

    `about` is a meter's id, a bus's name, or "" for the whole gateway. `seen` holds the numbers,
    and `do` is what mends it, or "" if nothing needs to be done.
    """

    name: str
    severity: Severity
    about: str
    seen: str
    do: str = ""

    def __post_init__(self) -> None:
        assert self.name in NAMES, self.name


def ok(name: str, about: str, seen: str) -> Finding:
    return Finding(name=name, severity=Severity.OK, about=about, seen=seen)


def note(name: str, about: str, seen: str, do: str = "") -> Finding:
    return Finding(name=name, severity=Severity.NOTE, about=about, seen=seen, do=do)


def warning(name: str, about: str, seen: str, do: str) -> Finding:
    return Finding(name=name, severity=Severity.WARNING, about=about, seen=seen, do=do)


def error(name: str, about: str, seen: str, do: str) -> Finding:
    return Finding(name=name, severity=Severity.ERROR, about=about, seen=seen, do=do)


def is_ready(findings: Sequence[Finding]) -> bool:
    """Return whether the site may be left."""
    return not any(finding.severity is Severity.ERROR for finding in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """Return the last line of a check."""
    counts = {
        severity: sum(finding.severity is severity for finding in findings)
        for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    }
    said = ", ".join(
        f"{count} {severity.value}{'s' * (count != 1)}"
        for severity, count in counts.items()
        if count
    )
    if not is_ready(findings):
        return f"not ready: {said}"
    return f"ready, with {said}" if said else "ready"
