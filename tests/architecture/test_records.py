"""Records that cannot be mixed up: made with keywords, and each name used once in a package."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.architecture.source import ROOT, ROOTS, sources

MOST_POSITIONAL = 7
"""More arguments than these are told apart by their names only."""
MANY_FIELDS = 4

# Records that are made by position although they have many fields or neighbours of one type, and
# why. Each says so beside its definition, with what was measured where speed is the reason.
BY_POSITION: dict[str, dict[str, str]] = {package: {} for package in ROOTS} | {
    "gridtokenx_dlms": {"Obis": "a code is read as its six numbers in their order: 1-0:1.8.0.255"},
}


def classes(package: str) -> Iterator[tuple[Path, ast.ClassDef]]:
    """Yield every class of a package with its file."""
    for _, file in sources(package):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                yield file, node


def kind_of(node: ast.ClassDef) -> str:
    """Return which kind of record a class is, or nothing."""
    bases = " ".join(ast.unparse(base) for base in node.bases)
    for kind in ("Struct", "NamedTuple"):
        if kind in bases:
            return kind
    decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
    return "dataclass" if "dataclass" in decorators else ""


def fields_of(node: ast.ClassDef) -> list[tuple[str, str]]:
    """Return the names of a record's own fields with their types as they are written."""
    return [
        (each.target.id, ast.unparse(each.annotation))
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]


def wants_keywords(node: ast.ClassDef) -> bool:
    """Whether a record has many fields, or two neighbours that could be swapped unseen."""
    types = [kind for _, kind in fields_of(node)]
    return len(types) >= MANY_FIELDS or any(one == other for one, other in pairwise(types))


def takes_keywords_only(node: ast.ClassDef) -> bool:
    written = [ast.unparse(each) for each in (*node.keywords, *node.decorator_list)]
    return any("kw_only=True" in each for each in written)


@pytest.mark.parametrize("package", ROOTS)
def test_a_class_name_is_used_once_within_a_package(package: str) -> None:
    names = Counter(node.name for _, node in classes(package))
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("package", ROOTS)
def test_records_of_many_fields_or_of_equal_neighbours_are_made_with_keywords(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file, node in classes(package)
        if kind_of(node) in ("Struct", "dataclass")
        and wants_keywords(node)
        and not takes_keywords_only(node)
        and node.name not in BY_POSITION[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ROOTS)
def test_a_tuple_with_names_is_made_with_them(package: str) -> None:
    tuples = {
        node.name
        for _, node in classes(package)
        if kind_of(node) == "NamedTuple" and wants_keywords(node)
    } - BY_POSITION[package].keys()
    wrong = [
        f"{file.relative_to(ROOT)}:{call.lineno} {name}"
        for file, call, name in calls(package)
        if name in tuples and len(positional(call)) > 1
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ROOTS)
def test_no_call_has_eight_positional_arguments(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{call.lineno} {name}"
        for file, call, name in calls(package)
        if len(positional(call)) > MOST_POSITIONAL
    ]
    assert wrong == []


def calls(package: str) -> Iterator[tuple[Path, ast.Call, str]]:
    """Yield every call of a package with its file and the last part of what is called."""
    for _, file in sources(package):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    yield file, node, name


def positional(call: ast.Call) -> list[ast.expr]:
    return [each for each in call.args if not isinstance(each, ast.Starred)]


@pytest.mark.parametrize("package", ROOTS)
def test_an_exception_is_needed_and_says_why(package: str) -> None:
    records = {node.name: node for _, node in classes(package) if kind_of(node)}
    for name, why in BY_POSITION[package].items():
        assert why
        assert wants_keywords(records[name])
        assert not takes_keywords_only(records[name])
