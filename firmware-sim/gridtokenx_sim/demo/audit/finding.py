"""The exception by which a check says that something is wrong."""

from __future__ import annotations


class Violation(Exception):
    """An invariant that does not hold. Its line names the entry and what was expected."""
