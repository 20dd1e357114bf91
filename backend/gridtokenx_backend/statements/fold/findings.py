"""Where the journal does not say what it ought to say, by an independent check.

A core that is right leaves no finding, and then a document is the same with these checks and
without them. A finding is written into a document as a check that fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gridtokenx_backend.statements.model.document import Check
from gridtokenx_wire.units import format_kwh

COMMUNITY = ""
"""Stands in place of a wallet for what concerns all members: such findings are in the report."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the entry `entry` says, and what it ought to say, as decimals of one unit."""

    wallet: str
    entry: int
    text: str
    found: str
    expected: str


def unequal_energies(
    entry: int, text: str, found_uwh: Mapping[str, int], expected_uwh: Mapping[str, int]
) -> Iterator[Finding]:
    """Yield a finding for each wallet of which both do not have the same energy, in µWh."""
    for wallet in dict.fromkeys([*found_uwh, *expected_uwh]):
        found, expected = found_uwh.get(wallet, 0), expected_uwh.get(wallet, 0)
        if found != expected:
            yield Finding(
                wallet=wallet,
                entry=entry,
                text=text,
                found=format_kwh(found),
                expected=format_kwh(expected),
            )


class Findings:
    """The findings of a month. Of those with one text and wallet, the first is kept and counted."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], Finding] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Keep these findings."""
        for finding in findings:
            key = finding.wallet, finding.text
            self._first.setdefault(key, finding)
            self._counts[key] = self._counts.get(key, 0) + 1

    def checks(self, wallet: str) -> list[Check]:
        """Return a failed check for each text that concerns the wallet, or COMMUNITY."""
        return [
            Check(
                text=f"{text} ({_place(finding.entry, self._counts[of, text])})",
                left=finding.found,
                right=finding.expected,
                holds=False,
            )
            for (of, text), finding in self._first.items()
            if of == wallet
        ]


def _place(entry: int, count: int) -> str:
    return f"entry {entry}" if count == 1 else f"{count} times, first in entry {entry}"
