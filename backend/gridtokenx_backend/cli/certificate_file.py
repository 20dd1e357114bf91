"""Certificates as a CSV file for a registry's import or an auditor's spreadsheet.

The columns say which device produced the energy of a certificate, with which technology, in which
month, how much it is, where the evidence is, and who holds or used the certificate.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

COLUMNS = (
    "serial_number",
    "status",
    "production_month",
    "production_device",
    "technology",
    "energy_mwh",
    "surplus_from_kwh",
    "surplus_to_kwh",
    "evidence_first_entry",
    "evidence_last_entry",
    "issued_at",
    "issuing_entry",
    "holder",
    "beneficiary",
    "retired_at",
    "retirement_entry",
)
_FORMULA = ("=", "+", "-", "@")


def as_csv(certificates: Iterable[Mapping[str, Any]]) -> str:
    """Return the API's certificates as CSV (RFC 4180), with a line of headings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(certificates))
    return out.getvalue()


def _rows(certificates: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            _plain(each["serial"]),
            each["status"],
            each["month"],
            _plain(each["meter"]),
            _plain(each["technology"]),
            "1",
            _kwh(each["from_uwh"]),
            _kwh(each["to_uwh"]),
            str(each["first_entry"]),
            str(each["last_entry"]),
            _time(each["issued_ms"]),
            str(each["issued_entry"]),
            each["owner"],
            _plain(each["beneficiary"]),
            _time(each["retired_ms"]),
            str(each["retired_entry"] or ""),
        )
        for each in certificates
    ]


def _plain(text: str) -> str:
    """Return a member's text in a form that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _kwh(amount_uwh: int) -> str:
    """Return a mark in kWh; marks are whole MWh."""
    return str(amount_uwh // 10**9)


def _time(at_ms: int) -> str:
    """Return a time as in RFC 3339, in UTC; empty for 0, which is no time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else ""
