"""The lines of a TOML file on which its key paths stand, for error messages that name a line.

`tomllib` forgets positions. This reads only headers and the start of each `key =` line, which
is what config files consist of; for anything else (inline tables, say) the line of the nearest
enclosing key is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-\"'.]+)\s*=")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")

Path = tuple[str | int, ...]


def line_index(text: str) -> dict[Path, int]:
    """Return the line, from 1, of each key path.

    Array tables have an index: ("bus", 0, "meter", 1, "address").
    """
    lines: dict[Path, int] = {(): 1}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = _table(header[2], counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, 0) + 1
                table = (*table, counts[table] - 1)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_names(key[1])), number)
    return lines


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _table(dotted: str, counts: Mapping[Path, int]) -> Path:
    """Return the path of a header, with the indices of the array tables it stands in."""
    path: Path = ()
    *parents, last = _names(dotted)
    for name in parents:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path] - 1)
    return (*path, last)


def parse_path(text: str) -> Path:
    """Return `bus[0].meter[1].address` as a path."""
    return tuple(int(index) if index else name for name, index in _STEP.findall(text))


def find_line(lines: dict[Path, int], path: Path) -> int:
    """Return the line of `path`, or of the nearest thing around it that has one."""
    while path not in lines:
        path = path[:-1]
    return lines[path]
