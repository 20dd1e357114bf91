"""Text that others wrote: what may be stored of it, and how the rest is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.plain_text import escaped, escaped_lines, is_plain

HOSTILE = {
    "a bell": "\x07",
    "an escape sequence": "\x1b[2J",
    "a carriage return": "good\rbad",
    "a line end": "a\nb",
    "DEL": "\x7f",
    "a C1 control": "\x9b31m",
    "a bidi override": "\u202eevil",
    "a bidi isolate": "\u2066x",
    "a line separator": "a\u2028b",
    "a zero-width space": "a\u200bb",
    "a lone surrogate": "\ud800",
    "a tag character": "\U000e0041",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_commands_a_terminal_is_refused_and_shown_escaped(text: str) -> None:
    assert not is_plain(text, 100)
    shown = escaped(text)
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize("text", ["ä", "Sonnenweg 3", "Zähler gewechselt – 日本 🌞", "a\\b"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert is_plain(text, 100)
    assert escaped(text) == text


@pytest.mark.parametrize("text", ["", " ", "\u00a0", "x" * 101])
def test_nothing_blanks_and_too_much_are_no_text(text: str) -> None:
    assert not is_plain(text, 100)


def test_each_escape_says_which_character_it_was() -> None:
    assert escaped("\x1b\x9b\u202e\U000e0041") == "\\x1b\\x9b\\u202e\\U000e0041"


def test_a_very_long_text_is_cut() -> None:
    assert escaped("x" * 5000, 100) == "x" * 99 + "…"


@given(st.text())
def test_only_line_ends_are_left_of_what_is_not_to_be_seen(text: str) -> None:
    shown = escaped_lines(text)
    assert shown.replace("\n", "").isprintable()
    assert shown.count("\n") == text.count("\n")
