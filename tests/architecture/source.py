"""Reads the project's source: modules, and everything that they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# package → the folder that it lives in
ROOTS = {
    "gridtokenx_wire": "wire",
    "gridtokenx_terminal": "terminal",
    "gridtokenx_dlms": "dlms",
    "gridtokenx_edge": "edge",
    "gridtokenx_backend": "backend",
    "gridtokenx_client": "client",
    "gridtokenx_sim": "firmware-sim",
}


def sources(package: str) -> list[tuple[str, Path]]:
    """(module name, file) for every module of a package; none if it does not exist yet."""
    folder = ROOT / ROOTS[package]
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
