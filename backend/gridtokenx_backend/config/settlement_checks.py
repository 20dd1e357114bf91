"""Checks of the settlement's terms that their types cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from gridtokenx_backend.core.model.terms import CommunityTerms

LONGEST_COVER_HOURS = 744
"""A month: for every member, the intervals that may still be covered are kept in memory."""
MAX_TECHNOLOGY = 40


def check_settlement(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    """Yield (key path, what was expected) for bad cover hours and bad technologies."""
    if not 0 <= terms.settlement.cover_hours <= LONGEST_COVER_HOURS:
        yield "settlement.cover_hours", f"expected 0 to {LONGEST_COVER_HOURS}"
    for index, meter in enumerate(terms.meter):
        text = meter.technology
        if len(text) > MAX_TECHNOLOGY or not text.isprintable():
            expected = f"expected at most {MAX_TECHNOLOGY} printable characters"
            yield f"meter[{index}].technology", expected
        elif meter.renewable and not text.strip():
            yield f"meter[{index}].technology", 'expected what produces it, such as "solar"'
