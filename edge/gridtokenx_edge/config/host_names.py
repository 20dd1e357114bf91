"""Whether a text can be the name or address of a machine, told before anything is connected."""

from __future__ import annotations


def is_host_name(text: str) -> bool:
    """What the resolver would not even look up (`a..b`, blanks, nothing) is none."""
    if not text or any(letter.isspace() for letter in text):
        return False
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True
