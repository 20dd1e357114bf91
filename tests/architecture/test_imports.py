"""Who may import whom (docs/architecture.md), read from the source, lazy imports included."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# package → the folder it lives in, and what of ours it may import
HOUSE: dict[str, tuple[str, frozenset[str]]] = {
    "gridtokenx_wire": ("wire", frozenset()),
    "gridtokenx_dlms": ("dlms", frozenset()),
    "gridtokenx_edge": ("edge", frozenset({"gridtokenx_wire", "gridtokenx_dlms"})),
    "gridtokenx_backend": ("backend", frozenset({"gridtokenx_wire"})),
    "gridtokenx_client": ("client", frozenset({"gridtokenx_wire"})),
    # The simulator must not share the edge's mistakes: integer units and the clock, no more.
    "gridtokenx_sim": (
        "firmware-sim",
        frozenset({"gridtokenx_wire.units", "gridtokenx_wire.clock", "gridtokenx_dlms"}),
    ),
}

# package → the extra that installs what it imports ("" is the base installation)
EXTRA = {
    "gridtokenx_wire": "",
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
        "aiosqlite",
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
)


def sources(package: str) -> list[tuple[str, Path]]:
    """(module name, file) for every module of a package; none if it does not exist yet."""
    folder = ROOT / HOUSE[package][0]
    found = []
    for file in sorted((folder / package).rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        found.append((".".join(part for part in parts if part != "__init__"), file))
    return found


def imports(module: str, file: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported anywhere in a file, as finely as it says."""
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = resolve(module, file, source, level)
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str() as name), *_],
            ):
                yield node.lineno, name


def resolve(module: str, file: Path, source: str | None, level: int) -> str:
    """The absolute name of `from ..source`."""
    if level == 0:
        return source or ""
    above = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    above = above[: len(above) - level + 1]
    return ".".join([*above, source] if source else above)


def within(name: str, allowed: frozenset[str] | tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


@pytest.mark.parametrize("package", HOUSE)
def test_a_package_imports_only_what_the_house_allows(package: str) -> None:
    allowed = HOUSE[package][1] | {package}
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for module, file in sources(package)
        for line, name in imports(module, file)
        if name.split(".")[0] in HOUSE and not within(name, allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", HOUSE)
def test_a_package_imports_only_what_its_extra_installs(package: str) -> None:
    installed = distributions(EXTRA[package])
    providers = importlib.metadata.packages_distributions()
    wrong = []
    for module, file in sources(package):
        for line, name in imports(module, file):
            top = name.split(".")[0]
            if top in HOUSE or top in sys.stdlib_module_names:
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
    assert packages <= HOUSE.keys()


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
