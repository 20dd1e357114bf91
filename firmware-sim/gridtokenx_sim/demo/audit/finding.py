"""How a check says that something is wrong."""

from __future__ import annotations


class Violation(Exception):
    """An invariant does not hold; one line names the entry and what was expected."""
