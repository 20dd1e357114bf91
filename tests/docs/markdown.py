"""What the tests read out of a page: fenced blocks, tables, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]

_FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")


class Block(msgspec.Struct, frozen=True):
    """A fenced block: what stands behind the three backticks, and its text."""

    info: str
    text: str


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    return [Block(match[2].strip(), match[3]) for match in _FENCE.finditer(page)]


def block(page: str, info: str) -> str:
    """The text of the one block that is marked `info`."""
    (found,) = [each.text for each in blocks(page) if each.info == info]
    return found


def hex_of(text: str) -> bytes:
    """The bytes of a block of hex with a comment behind two blanks in each line."""
    return bytes.fromhex("".join(re.split(r"  +", line)[0] for line in text.splitlines()))


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page)


def section(page: str, heading: str) -> str:
    """What stands between a heading and the next one of any level."""
    parts = re.split(r"^#{1,6} +(.*)$", prose(page), flags=re.MULTILINE)
    (found,) = [
        text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name == heading
    ]
    return found


def tables(text: str) -> Iterator[list[list[str]]]:
    """Each table's rows of cells, without heading and rule."""
    for lines in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines.splitlines()
        ]
        yield rows[2:]


def table(text: str) -> list[list[str]]:
    """The rows of the one table in a text."""
    (rows,) = tables(text)
    return rows


def links(page: str) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(page))
    }
