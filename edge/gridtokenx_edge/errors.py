"""What a person at the gateway can mend. The text of each error is one line."""

from __future__ import annotations


class CannotEnrol(Exception):
    """Enrolment or a change of keys did not succeed. It may be tried again in the same way."""
