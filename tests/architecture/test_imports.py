"""Who may import whom (docs/architecture.md), read from the source, lazy imports included."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from tests.architecture.source import ROOT, imports, sources

# package → what of ours it may import
MAY_IMPORT: dict[str, frozenset[str]] = {
    "gridtokenx_wire": frozenset(),
    "gridtokenx_terminal": frozenset({"gridtokenx_wire"}),
    "gridtokenx_dlms": frozenset(),
    "gridtokenx_edge": frozenset({"gridtokenx_wire", "gridtokenx_terminal", "gridtokenx_dlms"}),
    "gridtokenx_backend": frozenset({"gridtokenx_wire", "gridtokenx_terminal"}),
    "gridtokenx_client": frozenset({"gridtokenx_wire", "gridtokenx_terminal"}),
    # The simulator must not share the edge's mistakes: units, clock and version, no more.
    "gridtokenx_sim": frozenset(
        {
            "gridtokenx_wire.units",
            "gridtokenx_wire.clock",
            "gridtokenx_wire.release",
            "gridtokenx_terminal",
            "gridtokenx_dlms",
        }
    ),
}

# package → the extra that installs what it imports ("" is the base installation)
EXTRA = {
    "gridtokenx_wire": "",
    "gridtokenx_terminal": "client",
    "gridtokenx_dlms": "",
    "gridtokenx_edge": "edge",
    "gridtokenx_backend": "backend",
    "gridtokenx_client": "client",
    "gridtokenx_sim": "sim",
}

# Decides everything; time and entropy arrive as arguments, and nothing leaves but return values.
PURE = "gridtokenx_backend.core"
PURE_PARTS = frozenset({"sys.intern"})  # equal texts become one: no state that can be seen
IMPURE = frozenset(
    [
        "asyncio",
        "time",
        "random",
        "secrets",
        "os",
        "sys",
        "socket",
        "ssl",
        "select",
        "selectors",
        "signal",
        "sqlite3",
        "pathlib",
        "io",
        "tempfile",
        "shutil",
        "glob",
        "logging",
        "structlog",
        "threading",
        "multiprocessing",
        "concurrent",
        "subprocess",
        "uuid",
        "http",
        "urllib",
        "httpx",
        "paho",
        "prometheus_client",
        "litestar",
        "importlib",
    ]
)
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__"})
CLOCK_READINGS = frozenset({"now", "utcnow", "today"})
# What reads files or the clock in the one package that the core may import.
IMPURE_WIRE = (
    "gridtokenx_wire.clock",
    "gridtokenx_wire.config.load_toml",
    "gridtokenx_wire.keys.create_private_key",
    "gridtokenx_wire.keys.load_private_key",
    "gridtokenx_wire.keys.read_secret",
    "gridtokenx_wire.keys.write_secret",
    "gridtokenx_wire.sqlite_thread",
)


def within(name: str, allowed: frozenset[str] | tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_house_allows(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for module, file in sources(package)
        for line, name in imports(module, file)
        if name.split(".")[0] in MAY_IMPORT and not within(name, allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_its_extra_installs(package: str) -> None:
    installed = distributions(EXTRA[package])
    providers = importlib.metadata.packages_distributions()
    wrong = []
    for module, file in sources(package):
        for line, name in imports(module, file):
            top = name.split(".")[0]
            if top in MAY_IMPORT or top in sys.stdlib_module_names:
                continue
            if not installed & {normal(provider) for provider in providers.get(top, [])}:
                wrong.append(f"{file.relative_to(ROOT)}:{line}: {name}")
    assert wrong == []


def distributions(extra: str) -> set[str]:
    """The distributions that pyproject.toml itself names for an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = project["dependencies"] + project["optional-dependencies"].get(extra, [])
    return {normal(re.split(r"[\s<>=!~\[;]", requirement)[0]) for requirement in named}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_core_imports_nothing_that_reads_or_writes_the_world() -> None:
    wrong = []
    for module, file in sources("gridtokenx_backend"):
        if not within(module, (PURE,)):
            continue
        for line, name in imports(module, file):
            outside = name.startswith("gridtokenx_backend.") and not within(name, (PURE,))
            impure = name.split(".")[0] in IMPURE and name not in PURE_PARTS
            if outside or impure or within(name, IMPURE_WIRE):
                wrong.append(f"{file.relative_to(ROOT)}:{line}: {name}")
    assert wrong == []


def test_the_core_asks_no_clock_and_opens_nothing() -> None:
    wrong = []
    for module, file in sources("gridtokenx_backend"):
        if not within(module, (PURE,)):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=called)) if called in IMPURE_CALLS:
                    wrong.append(f"{file.relative_to(ROOT)}:{node.lineno}: {called}()")
                case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCK_READINGS:
                    wrong.append(f"{file.relative_to(ROOT)}:{node.lineno}: .{called}()")
                case ast.AsyncFunctionDef(name=name):
                    wrong.append(f"{file.relative_to(ROOT)}:{node.lineno}: async {name}")
    assert wrong == []


def test_every_folder_with_a_package_is_in_the_table() -> None:
    packages = {file.parent.name for file in ROOT.glob("*/gridtokenx_*/__init__.py")}
    assert packages <= MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import gridtokenx_edge.agent as a", "gridtokenx_edge.agent"),
        ("from gridtokenx_edge import agent", "gridtokenx_edge.agent"),
        ("def f():\n    from gridtokenx_edge.agent import run", "gridtokenx_edge.agent.run"),
        ("if TYPE_CHECKING:\n    import gridtokenx_edge", "gridtokenx_edge"),
        ("importlib.import_module('gridtokenx_edge')", "gridtokenx_edge"),
        ("from . import book", "gridtokenx_backend.core.book"),
        ("from ..server import run", "gridtokenx_backend.server.run"),
    ],
)
def test_the_reader_of_imports_sees_each_spelling(tmp_path: Path, text: str, name: str) -> None:
    file = tmp_path / "market.py"
    file.write_text(text)
    assert [found for _, found in imports("gridtokenx_backend.core.market", file)] == [name]
