"""Who had which metering point when, and under which tariff, as the journaled terms say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gridtokenx_backend.core.terms import CommunityTerms
from gridtokenx_backend.statements.journal_rows import Terms
from gridtokenx_backend.statements.months import INTERVAL_MS, Month
from gridtokenx_backend.statements.tariffs import Plan, plan, tariff_of
from gridtokenx_wire.keys import public_key_text


class Span(NamedTuple):
    """A part of the month in which a meter was one member's."""

    meter: str
    policy: str
    from_ms: int
    to_ms: int


class Roster:
    """The members that the community had by the month's end, in the order in which they came.

    Tariffs are those of the newest terms: each says from which month on it holds.
    """

    def __init__(self, history: Sequence[Terms], month: Month) -> None:
        """`history` has at least one element, oldest first."""
        self.month = month
        self.newest: CommunityTerms = history[-1].terms
        self.names: dict[str, str] = {}
        self._chosen: dict[str, str] = {}
        self._plans: dict[str, Plan | None] = {}
        self.spans: dict[str, list[Span]] = {}
        for index, (_, terms) in enumerate(history):
            from_ms, to_ms = _validity(history, index, month)
            if from_ms >= month.to_ms:
                break
            for member in terms.member:
                wallet = public_key_text(bytes(member.wallet))
                self.names[wallet] = member.name
                self._chosen[wallet] = member.tariff
            if from_ms < to_ms:
                self._add_spans(terms, from_ms, to_ms)

    def plan(self, wallet: str) -> Plan | None:
        """The member's tariff over the month, if one holds."""
        chosen = self._chosen.get(wallet, "")
        if chosen not in self._plans:
            terms = tariff_of(self.newest, chosen, self.month)
            self._plans[chosen] = plan(terms, self.month) if terms else None
        return self._plans[chosen]

    def _add_spans(self, terms: CommunityTerms, from_ms: int, to_ms: int) -> None:
        wallets = {member.name: public_key_text(bytes(member.wallet)) for member in terms.member}
        for meter in terms.meter:
            spans = self.spans.setdefault(wallets[meter.owner], [])
            last = next((span for span in reversed(spans) if span.meter == meter.id), None)
            if last is not None and last.to_ms == from_ms and last.policy == meter.policy:
                spans[spans.index(last)] = last._replace(to_ms=to_ms)
            else:
                spans.append(Span(meter.id, meter.policy, from_ms, to_ms))


def _validity(history: Sequence[Terms], index: int, month: Month) -> tuple[int, int]:
    """When terms were in force within the month, on interval bounds.

    The first terms hold from the beginning: readings may be older than the community.
    """
    from_ms = history[index].at_ms if index else month.from_ms
    to_ms = history[index + 1].at_ms if index + 1 < len(history) else month.to_ms
    return max(month.from_ms, _bound(from_ms)), min(month.to_ms, _bound(to_ms))


def _bound(at_ms: int) -> int:
    """The interval bound at or before a moment: the interval is his who has the meter at its end.

    So no interval is split, and none is counted twice.
    """
    return at_ms // INTERVAL_MS * INTERVAL_MS
