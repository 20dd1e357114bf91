"""What a person at the gateway can mend, as one line."""

from __future__ import annotations


class CannotEnrol(Exception):
    """Enrolment or a change of keys did not succeed; it may be tried again as it was."""
