"""docs/configuration.md names every key of every config file with its default, and no other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT, inspect
from tests.docs.markdown import DOCS, tables

from gridtokenx_backend.config.settings import BackendConfig
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_edge.config.edge_config import EdgeConfig
from gridtokenx_sim.config.amounts import decode_amount
from gridtokenx_sim.config.faults import BusFault, DlmsFault, MeterFault
from gridtokenx_sim.config.sim_config import SimConfig
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import decode_hook

PAGE = (DOCS / "configuration.md").read_text()
FILES: dict[str, type] = {
    "edge.toml": EdgeConfig,
    "backend.toml": BackendConfig,
    "community.toml": CommunityTerms,
    "sim.toml": SimConfig,
}
DLMS = "dlms:"
FAULTS = "[[bus.fault]] and [[bus.meter.fault]]"
JOURNALED = {"of_table"}
"""What a file said when the terms were read: no config may hold it."""
NOT_A_CONSTANT = {("backend.toml", "[backend]", "verify_workers")}

Keys = dict[tuple[str, str], Any]
"""(section, key) → default, NODEFAULT where the key is required."""


def keys_of(kind: type) -> Keys:
    """What the code has, section by section; `[clock]` and faults are described apart."""
    found: Keys = {}
    for section, struct in sections(inspect.type_info(kind), "", many=False):
        if struct.tag_field:
            found[section, struct.tag_field] = NODEFAULT
        for field in struct.fields:
            if not any(structs_in(field.type)) and field.name not in JOURNALED:
                found[section, field.encode_name] = default_of(field)
    return found


def sections(
    node: inspect.Type, path: str, *, many: bool
) -> Iterator[tuple[str, inspect.StructType]]:
    for struct in structs_in(node):
        if path:
            shown = path.removeprefix(DLMS)
            name = f"[[{shown}]]" if many else f"[{shown}]"
            name += " on a DLMS bus" if path.startswith(DLMS) else ""
            yield (f"{name} of kind {struct.tag}" if struct.tag else name), struct
        for field in struct.fields:
            if field.name not in {"clock", "fault", *JOURNALED}:
                below = f"{path}.{field.name}" if path else field.name
                is_list = isinstance(field.type, inspect.ListType | inspect.VarTupleType)
                # Buses on serial lines and on TCP have the same meters, described once.
                if not (str(struct.tag).endswith("tcp") and field.name == "meter"):
                    is_dlms = struct.tag == "dlms_serial"
                    below = DLMS + below if is_dlms else below
                    yield from sections(field.type, below, many=is_list)


def structs_in(node: inspect.Type) -> Iterator[inspect.StructType]:
    """The structs of a type: itself, a list's items, a union's members."""
    match node:
        case inspect.StructType():
            yield node
        case inspect.ListType() | inspect.VarTupleType():
            yield from structs_in(node.item_type)
        case inspect.UnionType():
            for member in node.types:
                yield from structs_in(member)


def default_of(field: inspect.Field) -> Any:
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return NODEFAULT if field.required else field.default


def documented(file: str) -> dict[tuple[str, str], str]:
    """(section, key) → the cell of its default, as the page has it."""
    (chapter,) = re.findall(rf"^## `?{re.escape(file)}`?\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    found = {}
    parts = re.split(r"^### (.*)$", chapter, flags=re.M)
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        for row in next(tables(text)):
            name = heading.replace("`", ""), row[0].strip("`")
            assert name not in found, f"{name} stands there twice"
            found[name] = row[2]
    return found


@pytest.mark.parametrize("file", FILES)
def test_the_page_has_every_key_and_no_other(file: str) -> None:
    shown = {name for name in documented(file) if name[0] != FAULTS}
    assert shown == keys_of(FILES[file]).keys()


@pytest.mark.parametrize("file", FILES)
def test_every_default_is_the_codes(file: str) -> None:
    cells = documented(file)
    for (section, key), default in keys_of(FILES[file]).items():
        cell = cells[section, key]
        if (file, section, key) in NOT_A_CONSTANT:
            assert "cores less one" in cell
        else:
            assert value_in(cell, type(default)) == default, (file, section, key)


def value_in(cell: str, kind: type) -> Any:
    """What a default's cell says, read as a config would be."""
    if cell == "required":
        return NODEFAULT
    if cell == "none":
        return None
    value = tomllib.loads(f"value = {cell.strip('`')}")["value"]
    hook = decode_amount if kind.__module__ == "gridtokenx_sim.config.amounts" else decode_hook
    return msgspec.convert(value, kind, dec_hook=hook)


def test_the_clock_has_every_key_with_its_default() -> None:
    rows = next(tables(PAGE.partition("## `[clock]`\n")[2]))
    defaults = msgspec.structs.asdict(ClockConfig())
    cells = {row[0].strip("`"): row[2] for row in rows}
    assert {key: value_in(cell, type(defaults[key])) for key, cell in cells.items()} == defaults


def test_every_fault_is_there_with_its_own_keys() -> None:
    common, kinds = tables(PAGE.partition(f"### {ticked(FAULTS)}\n")[2].partition("\n## ")[0])
    assert [row[0] for row in common] == ["`kind`", "`from_s`", "`until_s`"]
    shown = {row[0].strip("`"): (row[1], row[2]) for row in kinds}
    expected = {}
    dlms_only = [fault for fault in DlmsFault.__args__ if fault not in MeterFault.__args__]
    owners = (("meter", MeterFault.__args__), ("DLMS meter", dlms_only), ("bus", (BusFault,)))
    for owner, faults in owners:
        for fault in faults:
            expected[str(fault.__struct_config__.tag)] = (owner, ", ".join(own_keys(fault)))
    assert shown == expected


def ticked(heading: str) -> str:
    return re.sub(r"(\[\[.*?\]\])", r"`\1`", heading)


def own_keys(fault: type) -> Iterator[str]:
    (struct,) = structs_in(inspect.type_info(fault))
    for field in struct.fields:
        if field.name not in {"from_s", "until_s"}:
            required = field.required
            yield f"`{field.name}` " + ("required" if required else f"= `{field.default}`")
