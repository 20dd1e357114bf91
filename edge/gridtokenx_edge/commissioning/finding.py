"""What a check found: a name, how bad it is, what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import msgspec


class Severity(Enum):
    """How bad a finding is; only an error keeps a site from being left."""

    OK = "ok"
    NOTE = "note"
    """Nobody but a person can judge it, or there was too little to judge by."""
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """`about` is a meter's id, a bus's name, or "" for the whole gateway.

    `seen` holds the numbers, `do` what mends it; "" where nothing needs to be done.
    """

    name: str
    severity: Severity
    about: str
    seen: str
    do: str = ""


def ok(name: str, about: str, seen: str) -> Finding:
    return Finding(name, Severity.OK, about, seen)


def note(name: str, about: str, seen: str, do: str = "") -> Finding:
    return Finding(name, Severity.NOTE, about, seen, do)


def warning(name: str, about: str, seen: str, do: str) -> Finding:
    return Finding(name, Severity.WARNING, about, seen, do)


def error(name: str, about: str, seen: str, do: str) -> Finding:
    return Finding(name, Severity.ERROR, about, seen, do)


def is_ready(findings: Sequence[Finding]) -> bool:
    """Whether the site may be left."""
    return not any(finding.severity is Severity.ERROR for finding in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """The last line of a check."""
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
