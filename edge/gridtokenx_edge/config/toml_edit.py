"""Changes values in a TOML text and leaves everything else as it is, comments included.

Only plain sections (`[table]`) with a key on each line are understood. The result is read again. If
it does not say what was meant, or says anything else differently, nothing is changed.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

_VALUE = r"(\"[^\"]*\"|\[[^\]]*\]|[^#\s]+)"
Value = str | int | bool | list[str]


class CannotEdit(Exception):
    """The text does not have the form that can be edited.

    It says which lines a person should write.
    """


def set_values(text: str, table: str, values: dict[str, Value]) -> str:
    """Return the text with these values in `[table]`, which is made if it is missing.

    Raises CannotEdit.
    """
    lines = text.splitlines()
    start = _header(lines, table)
    if start is None:
        first_array = next((n for n, line in enumerate(lines) if line.startswith("[[")), len(lines))
        lines[first_array:first_array] = [f"[{table}]", ""]
        start = first_array
    end = next(
        (n for n in range(start + 1, len(lines)) if re.match(r"\s*\[", lines[n])), len(lines)
    )
    section = lines[start + 1 : end]
    new = []
    for key, value in values.items():
        if not _replace(section, key, value):
            new.append(f"{key} = {_literal(value)}")
    lines[start + 1 : end] = new + section
    return _checked(text, "\n".join(lines) + "\n", table, values)


def append_table(text: str, header: str, values: dict[str, Value]) -> str:
    """Return the text with a table at its end, such as `[[device.former]]`."""
    lines = [text.rstrip("\n"), "", header]
    lines += [f"{key} = {_literal(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _header(lines: list[str], table: str) -> int | None:
    pattern = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?")
    return next((n for n, line in enumerate(lines) if pattern.fullmatch(line)), None)


def _replace(section: list[str], key: str, value: Value) -> bool:
    """Put the value where the key stands, and keep the comment behind it."""
    pattern = re.compile(rf"(\s*{re.escape(key)}\s*=\s*){_VALUE}(\s*(?:#.*)?)")
    for number, line in enumerate(section):
        if matched := pattern.fullmatch(line):
            section[number] = f"{matched[1]}{_literal(value)}{matched[3]}"
            return True
    return False


def _literal(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON is TOML for text, numbers, truth and lists


def _checked(before: str, after: str, table: str, values: dict[str, Value]) -> str:
    expected = _parsed(before)
    place: Any = expected
    if isinstance(place, dict):
        place = place.setdefault(table, {})
    if isinstance(place, dict):
        place |= values
    if expected is None or _parsed(after) != expected:
        lines = ", ".join(f"{key} = {_literal(value)}" for key, value in values.items())
        raise CannotEdit(f"expected a plain section [{table}]; write into it yourself: {lines}")
    return after


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None
