"""Text that others wrote: what of it may be stored, and how the rest is shown.

A terminal obeys control characters (C0 and C1), and characters that change the direction of writing
make a line look like another one. Neither is ever part of a name or a reason.
"""

from __future__ import annotations

_ELLIPSIS = "…"
_LONGEST = 1000


def is_plain(text: str, most: int) -> bool:
    """Return whether a text is one line of 1 to `most` characters that are all to be seen.

    Control characters, line ends, characters of direction and lone surrogates are not; at least one
    character must be something else than a blank.
    """
    return 1 <= len(text) <= most and text.isprintable() and not text.isspace()


def escaped(text: str, most: int = _LONGEST) -> str:
    """Return a text fit for a terminal: what is not to be seen as `\\u202e`, cut to `most`.

    A backslash stays as it is, so this is for people's eyes alone.
    """
    if len(text) > most:
        text = text[: most - 1] + _ELLIPSIS
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def escaped_lines(text: str, most: int = 100 * _LONGEST) -> str:
    """Return a text of several lines, each of them `escaped`; line ends stay."""
    return "\n".join(escaped(line, most) for line in text.split("\n"))


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"
