"""Values that no key of a config file was made for, and a document with every key set to one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

Path_ = tuple[str | int, ...]
INTEGERS = (-1, 0, 1, 2**31, 2**53, 2**63, 2**64, 10**30, -(2**63))
TEXTS = (
    "",
    " ",
    "\0",
    "x" * 5000,
    "ü",
    "/nonexistent",
    ".",
    "..",
    "a\nb",
    "Vienna",
    "Europe/Wien",
    "Europe",
    "zone.tab",
    "../x",
    "0001-01-01T00:00Z",
    "9999-12-31T23:45Z",
    "-1",
    "0",
    "0.000001",
    "9223372036.854775807",
    "9223372036854775.807",
    "1e3",
    "nan",
)
DATES = (date(1, 1, 1), date(9999, 12, 1), date(1969, 1, 1))


def with_nasty_values(document: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield (key, value, document with that value) for each key of a document."""
    for path, value in _leaves(document, ()):
        for nasty in _instead_of(value):
            yield ".".join(map(str, path)), nasty, _with_value(document, path, nasty)


def _instead_of(value: Any) -> tuple[Any, ...]:
    match value:
        case bool():
            return ()
        case date():
            return DATES
        case int():
            return INTEGERS
        case str():
            return TEXTS
    return ([],)


def _leaves(node: Any, path: Path_) -> Iterator[tuple[Path_, Any]]:
    match node:
        case dict():
            for key, value in node.items():
                yield from _leaves(value, (*path, key))
        case list():
            for index, value in enumerate(node[:1]):
                yield from _leaves(value, (*path, index))
            yield path, node
        case _:
            yield path, node


def _with_value(document: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(document)
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return changed  # type: ignore[no-any-return]


def as_toml(value: Any) -> str:
    """A value in TOML, tables in lists as inline tables."""
    match value:
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value)
        case list():
            return f"[{', '.join(map(as_toml, value))}]"
        case dict():
            items = (f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
    raise TypeError(value)


def file_of(document: dict[str, Any]) -> str:
    return "\n".join(f"{key} = {as_toml(value)}" for key, value in document.items())
