"""A writer of TOML: tables, arrays of tables, strings, numbers and truth values, and
nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Table = Mapping[str, Any]


def toml_text(document: Table) -> str:
    """Return `document` as TOML 1.0; a value that is a mapping or a list of mappings becomes a
    table.
    """
    return "\n".join(_lines(document, "")) + "\n"


def _lines(table: Table, path: str) -> Iterator[str]:
    for key, value in table.items():
        if not _is_table(value):
            yield f"{key} = {_value(value)}"
    for key, value in table.items():
        if not _is_table(value):
            continue
        name = f"{path}.{key}" if path else key
        many = isinstance(value, list)
        for each in value if many else [value]:
            yield f"\n[[{name}]]" if many else f"\n[{name}]"
            yield from _lines(each, name)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    )


def _value(value: Any) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's too; only DEL must be escaped there and not here.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    assert isinstance(value, int | float), value
    return repr(value)
