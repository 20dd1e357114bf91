"""No text is ever markup: what a member calls a payment must not colour, hide or break a table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.architecture.source import ROOT, ROOTS, sources

FILES = [file for package in ROOTS for _, file in sources(package)]
FILES += sorted((ROOT / "bench").rglob("*.py")) + sorted((ROOT / "examples").rglob("*.py"))


def calls(file: Path, text: str | None = None) -> Iterator[tuple[int, str, dict[str, ast.expr]]]:
    """(line, name, keywords) of every call in a file."""
    for node in ast.walk(ast.parse(text if text is not None else file.read_text(), str(file))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            yield node.lineno, name, {each.arg or "": each.value for each in node.keywords}


def takes_markup(name: str, keywords: dict[str, ast.expr]) -> bool:
    """Whether a call of rich takes markup; a console does unless told otherwise."""
    if name == "from_markup":
        return True
    markup = keywords.get("markup")
    is_off = isinstance(markup, ast.Constant) and markup.value is False
    return not is_off if name in {"Console", "TextColumn"} else bool(markup) and not is_off


@pytest.mark.parametrize(
    "line", ["Console()", "Console(stderr=True)", "Text.from_markup(name)", "x.print(a, markup=b)"]
)
def test_what_takes_markup_is_found(line: str) -> None:
    assert any(takes_markup(name, keywords) for _, name, keywords in calls(Path("x.py"), line))


def test_no_console_takes_markup() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in FILES
        for line, name, keywords in calls(file)
        if takes_markup(name, keywords)
    ]
    assert not found
