"""The error that says why a bus cannot be served."""

from __future__ import annotations


class BusError(Exception):
    """A bus that cannot be served; one line says why."""
