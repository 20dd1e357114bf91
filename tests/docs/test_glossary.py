"""The glossary is honest: its words are defined where it says, and old words are gone."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.markdown import DOCS, section, tables
from tests.docs.test_named_things import BASES, PACKAGES

PAGE = (DOCS / "glossary.md").read_text()
OLD = "Words that are not used any more"
ROWS = [
    [cell.strip("`") for cell in row[:2]]
    for table in tables(PAGE.partition(f"## {OLD}")[0])
    for row in table
]
OLD_WORDS = [
    word
    for [row] in [[row] for table in tables(section(PAGE, OLD)) for row in table]
    for word in re.findall(r"`(\w+)`", row[0])
]


def test_no_code_word_stands_there_twice() -> None:
    assert ROWS
    assert [word for word, count in Counter(word for word, _ in ROWS).items() if count > 1] == []


@pytest.mark.parametrize(("word", "where"), ROWS, ids=[word for word, _ in ROWS])
def test_a_code_word_is_defined_where_the_page_says(word: str, where: str) -> None:
    places = [base / where for base in BASES if (base / where).exists()]
    assert places, where
    assert any(word in defined_in(place) for place in places)


def defined_in(place: Path) -> set[str]:
    """Return the names that a file defines, or the modules and folders of a folder and its own."""
    if place.is_dir():
        return {place.name, *(path.stem for path in place.iterdir())}
    return set(definitions(ast.parse(place.read_text())))


def definitions(tree: ast.AST) -> Iterator[str]:
    """Yield classes, functions, parameters, fields and constants."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.arg(arg=name)
            ):
                yield name


def test_words_that_are_not_used_any_more_are_in_no_name() -> None:
    assert OLD_WORDS
    found = [
        f"{file.relative_to(package.parent)}: {name}"
        for package in PACKAGES
        for file in package.rglob("*.py")
        for name in {*file.relative_to(package).with_suffix("").parts, *names_in(file)}
        if parts_of(name) & set(OLD_WORDS)
    ]
    assert found == []


def names_in(file: Path) -> Iterator[str]:
    """Yield every name that a file defines or uses."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.arg():
                yield node.arg if isinstance(node, ast.arg) else node.name


def parts_of(name: str) -> set[str]:
    """Return the words of a name in snake or camel case."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("EnrolmentDesk", {"enrolment", "desk"}),
        ("_put_in_force", {"put", "in", "force"}),
        ("DLMSLine", {"dlms", "line"}),
    ],
)
def test_a_name_is_taken_apart(name: str, parts: set[str]) -> None:
    assert parts_of(name) == parts
