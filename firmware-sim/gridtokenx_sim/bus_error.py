"""What keeps a bus from being served."""

from __future__ import annotations


class BusError(Exception):
    """A bus that cannot be served; one line says why."""
