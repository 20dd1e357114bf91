"""The shape that docs/architecture.md promises: small modules, names that say something."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "stuff"}
GENERATED = {"__pycache__", "node_modules", "vendor", "dist", "build"}
KEPT_DOT_FOLDERS = {".ci", ".github"}


def files() -> list[Path]:
    """Every file of the project: what is not generated and not in an environment."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        folders = path.relative_to(ROOT).parts[:-1]
        hidden = {name for name in folders if name.startswith(".")} - KEPT_DOT_FOLDERS
        is_gits = path.name == ".git"  # where a work tree says whose it is
        if path.is_file() and not hidden and not is_gits and not GENERATED & set(folders):
            found.append(path)
    return found


FILES = files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in PYTHON}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = {}
    for path in PYTHON:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{shown(path)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_every_module_is_named_after_its_idea() -> None:
    named = {shown(path): {*path.relative_to(ROOT).parts[:-1], path.stem} for path in PYTHON}
    assert [path for path, names in named.items() if names & EMPTY_NAMES] == []


def test_every_package_says_that_it_is_typed() -> None:
    packages = [path.parent for path in ROOT.glob("*/gridtokenx_*/__init__.py")]
    assert packages
    assert [shown(package) for package in packages if not (package / "py.typed").exists()] == []


# Spelled in pieces, so that this file is not one that names them.
FOLDERS_OF_A_MACHINE = "|".join(["/" + "work/", "/" + "root/", "/" + "home/", "/" + "Users/"])
OF_A_MACHINE = re.compile(rf"(?<![\w.$}}])(?:{FOLDERS_OF_A_MACHINE})|{re.escape(str(ROOT))}/")
DOWNLOAD = re.compile(r"https?://|--index-url|--find-links|file:", re.IGNORECASE)


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def test_no_file_names_a_path_of_a_particular_machine() -> None:
    wrong = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in FILES
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if OF_A_MACHINE.search(line)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["constraints.txt", "tests/interop/requirements.txt"])
def test_pinned_versions_name_no_place_to_download_from(name: str) -> None:
    lines = [
        line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")
    ]
    assert lines
    assert [line for line in lines if DOWNLOAD.search(line)] == []
    assert [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line)
    ] == []


SCRIPTS = [f"scripts/{name}" for name in ("check", "lint", "test", "demo", "bench")]


@pytest.mark.parametrize("name", [*SCRIPTS, ".ci/run"])
def test_the_commands_are_executable_and_stop_at_the_first_fault(name: str) -> None:
    script = ROOT / name
    assert script.stat().st_mode & 0o111 == 0o111
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text


def test_ci_does_what_a_developer_does() -> None:
    commands = [
        line
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line and not line.startswith(("#", "set "))
    ]
    assert len(commands) == 1
    assert commands[0].endswith('scripts/test"')


@pytest.mark.parametrize("name", ["scripts/check", "scripts/test"])
def test_lint_and_types_are_the_same_steps_everywhere(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "\nscripts/lint\n" in text
    assert re.search(r"\bruff\b|\bmypy\b", text) is None


def test_the_quick_check_names_tests_that_exist() -> None:
    text = (ROOT / "scripts/check").read_text()
    named = re.findall(r"tests/[\w/.]+", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_hooks_are_local_and_call_what_the_checkout_has() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    assert set(re.findall(r"language: (\S+)", text)) == {"system"}
    entries = re.findall(r"entry: (\S+)", text)
    assert set(entries) == {".venv/bin/ruff", ".venv/bin/mypy", "scripts/check"}
