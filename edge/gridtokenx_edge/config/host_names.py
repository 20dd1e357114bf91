"""Whether a text can be the name or address of a machine, before anything is connected."""

from __future__ import annotations


def is_host_name(text: str) -> bool:
    """Return whether the resolver would look it up at all: not `a..b`, blanks, or nothing."""
    if not text or any(letter.isspace() for letter in text):
        return False
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True
