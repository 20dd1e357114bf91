"""The values and keys that a config's type allows at a key path, for error messages that
list them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from gridtokenx_wire.toml_lines import Path


def values_at(kind: Any, path: Path) -> str:
    """Return `'serial', 'tcp'` for a tag or a Literal at `path`; "" for anything else."""
    return ", ".join(
        repr(value)
        for node in _nodes_at(kind, path)
        if isinstance(node, inspect.LiteralType)
        for value in node.values
    )


def keys_at(kind: Any, path: Path) -> str:
    """Return `host, port` for the table at `path`; "" for anything else."""
    keys: dict[str, None] = {}
    for node in _nodes_at(kind, path):
        if isinstance(node, inspect.StructType):
            keys |= dict.fromkeys([node.tag_field] if node.tag_field else [])
            keys |= dict.fromkeys(field.encode_name for field in node.fields)
    return ", ".join(keys)


def _nodes_at(kind: Any, path: Path) -> list[inspect.Type]:
    nodes = list(_members(inspect.type_info(kind)))
    for step in path:
        nodes = [
            member
            for node in nodes
            for child in _children(node, step)
            for member in _members(child)
        ]
    return nodes


def _members(node: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the alternatives of a union, or the type itself if it is no union."""
    yield from node.types if isinstance(node, inspect.UnionType) else (node,)


def _children(node: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    match node:
        case inspect.ListType() | inspect.VarTupleType():
            yield node.item_type
        case inspect.StructType():
            if step == node.tag_field and node.tag is not None:
                yield inspect.LiteralType((node.tag,))
            yield from (field.type for field in node.fields if field.encode_name == step)
