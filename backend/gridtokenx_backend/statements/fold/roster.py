"""Who had which metering point when, and under which tariff, as the journaled terms say.

The terms are read here independently of the core's registry. If the core took one member's meter
for another member's, that is noticed where bought GRID was retired against its import, or where its
energy was shared by the key.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.statements.fold.energy import MeterSpan, slot_of
from gridtokenx_backend.statements.fold.journal_rows import DatedTerms
from gridtokenx_backend.statements.fold.tariffs import TariffPlan, plan_of, tariff_of
from gridtokenx_backend.statements.model.months import Month
from gridtokenx_wire.keys import public_key_text


class Roster:
    """The members that the community had by the month's end, in the order in which they came.

    Tariffs are those of the newest terms: each says from which month on it holds.
    """

    def __init__(self, history: Sequence[DatedTerms], month: Month) -> None:
        """Read the terms; `history` has at least one element, oldest first."""
        self.month = month
        self.newest: CommunityTerms = history[-1].terms
        self.names: dict[str, str] = {}
        """The members' names by wallet."""
        self.spans: dict[str, list[MeterSpan]] = {}
        """The metering points of each wallet."""
        self._tariff_names: dict[str, str] = {}
        self._plans: dict[str, TariffPlan | None] = {}
        for index, dated in enumerate(history):
            first, end = _validity(history, index, month)
            if first >= month.intervals:
                break
            for member in dated.terms.member:
                wallet = public_key_text(bytes(member.wallet))
                self.names[wallet] = member.name
                self._tariff_names[wallet] = member.tariff
            if first < end:
                self._add_spans(dated.terms, first, end)

    def plan(self, wallet: str) -> TariffPlan | None:
        """Return the member's tariff over the month, if one holds."""
        name = self._tariff_names.get(wallet, "")
        if name not in self._plans:
            terms = tariff_of(self.newest, name, self.month)
            self._plans[name] = plan_of(terms, self.month) if terms else None
        return self._plans[name]

    def _add_spans(self, terms: CommunityTerms, first: int, end: int) -> None:
        wallets = {member.name: public_key_text(bytes(member.wallet)) for member in terms.member}
        for meter in terms.meter:
            spans = self.spans.setdefault(wallets[meter.owner], [])
            last = next((span for span in reversed(spans) if span.meter == meter.id), None)
            if last is not None and last.end == first and last.policy == meter.policy:
                spans[spans.index(last)] = msgspec.structs.replace(last, end=end)
            else:
                span = MeterSpan(meter=meter.id, policy=meter.policy, first=first, end=end)
                spans.append(span)


def _validity(history: Sequence[DatedTerms], index: int, month: Month) -> tuple[int, int]:
    """Return the intervals [first, end) of the month in which terms were in force.

    An interval in which they changed is under the latter terms, so that none is split or counted
    twice. The first terms hold from the beginning: readings may be older than the community.
    """
    first = slot_of(month, history[index].at_ms) if index else 0
    end = month.intervals
    if index + 1 < len(history):
        end = slot_of(month, history[index + 1].at_ms)
    return max(0, first), min(month.intervals, end)
