"""Which folder of a package may import which, imports for types too, and that no circle is left.

A module belongs to the deepest folder of the table that holds it; a module beside the folders is a
row of its own. What is not in the table is not allowed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.architecture.source import ROOTS, imports, sources

Table = Mapping[str, str]

# folder → the folders and modules beside them that it may import, with blanks in between
BACKEND: Table = {
    # what has nothing above it
    "errors": "",
    "folders": "errors",
    "logs": "",
    "memory": "",
    "open_files": "",
    "repeat_log": "",
    # the pure core, in the order of a reading's and an order's way
    "core.model": "",
    "core.auction": "",
    "core.messages": "core.model core.auction",
    "core.oracle": "core.model",
    "core.market": "core.messages core.model",
    "core.state": "core.market core.model",
    "core.sharing": "core.state core.messages core.model",
    "core.settlement": "core.state core.market core.messages core.model",
    "core.orders": "core.settlement core.state core.market core.messages core.model",
    "core.registration": (
        "core.orders core.settlement core.sharing core.state core.market core.messages core.oracle "
        "core.model"
    ),
    "core.clearing": (
        "core.orders core.settlement core.sharing core.state core.market core.messages core.oracle "
        "core.auction core.model"
    ),
    "core.minting": (
        "core.registration core.settlement core.state core.oracle core.messages core.model"
    ),
    "core.machine": (
        "core.minting core.clearing core.registration core.orders core.settlement core.sharing "
        "core.state core.oracle core.messages core.model"
    ),
    # the adapters
    "journal": "core.messages core.model errors",
    "signatures": "",
    "engine": "core.machine core.state core.messages core.model journal errors",
    "grid_data": "core.sharing core.messages core.model errors",
    "series": "engine journal core.messages core.model errors memory",
    "replay": (
        "series engine signatures journal core.machine core.state core.messages core.model errors"
    ),
    "config": "grid_data core.sharing core.model errors",
    "enrolment": "config engine signatures core.messages errors folders repeat_log",
    "continuity": "engine journal core.model errors",
    "ingest": "config engine signatures journal core.messages core.model errors repeat_log",
    # statements
    "statements.model": "errors",
    "statements.fold": "statements.model journal core.sharing core.messages core.model errors",
    "statements.documents": (
        "statements.fold statements.model core.sharing core.messages core.model errors"
    ),
    "statements.render": "statements.documents statements.model errors",
    "statements.jobs": (
        "statements.render statements.documents statements.model engine core.messages core.model "
        "errors"
    ),
    # what people and programs call
    "api": (
        "statements.jobs statements.render enrolment ingest replay series grid_data engine "
        "signatures journal config core.minting core.registration core.sharing core.oracle "
        "core.market core.state core.messages core.auction core.model errors repeat_log open_files"
    ),
    "startup": (
        "continuity enrolment replay series engine signatures journal config core.machine "
        "core.sharing core.messages core.model errors"
    ),
    "server": (
        "api startup continuity statements.jobs enrolment ingest series replay engine config "
        "core.messages errors memory open_files"
    ),
    "backup": "startup continuity replay journal config errors",
    "cli": (
        "server backup startup statements.jobs statements.render statements.documents "
        "statements.model enrolment replay series grid_data journal config core.state "
        "core.messages core.model errors logs "
        "folders"
    ),
    "__main__": "cli errors",
}

EDGE: Table = {
    "backoff": "",
    "errors": "",
    "log": "",
    "memory": "",
    "progress": "",
    "file_lock": "",
    "meters": "",
    "meters.sunspec": "meters",
    "config": "meters.sunspec meters errors",
    # the neutral poller knows no driver and no config; the drivers know one another neither
    "polling": "backoff log progress",
    "modbus": "polling config meters.sunspec meters backoff log",
    "store": "config backoff file_lock log progress",
    "dlms": "polling config meters backoff file_lock log",
    "uplink": "store config backoff log progress",
    "home_assistant": "uplink polling store config backoff log",
    "status": "uplink polling store config log memory",
    "enrolment": "errors",
    "agent": ("status home_assistant uplink dlms modbus store polling config log memory progress"),
    "commissioning.scan": "modbus polling config meters.sunspec meters log",
    "commissioning.profile": "commissioning.scan modbus meters log",
    "commissioning.check": ("uplink store modbus dlms polling config meters.sunspec meters log"),
    "cli": (
        "agent commissioning.check commissioning.profile commissioning.scan enrolment uplink store "
        "modbus dlms polling config meters errors"
    ),
    "__main__": "cli",
}

WIRE: Table = {
    "errors": "",
    "plain_text": "",
    "reading": "",
    "release": "",
    "toml_lines": "",
    "topics": "",
    "units": "",
    "verdict": "",
    "atomic_file": "",
    "exposure": "",
    "choices": "toml_lines",
    "clock": "errors",
    "keys": "atomic_file errors",
    "config": "keys choices units toml_lines errors",
    # signed JSON
    "jws": "errors",
    "order": "keys jws units errors",
    "enrolment": "keys jws errors",
    "read_token": "keys jws errors",
    # signed CBOR
    "cbor": "errors",
    "cose": "errors",
    "frame_layout": "errors",
    "frame": "keys frame_layout cose cbor reading errors",
    "ack": "frame keys cose cbor verdict errors",
    "state_notice": "ack keys cose cbor errors",
    "hello": "frame keys cose cbor errors",
    "message_file": "frame keys cose cbor errors",
    # how the gateway and the backend keep what they may not lose
    "sqlite_thread": "",
}

DLMS: Table = {
    "errors": "",
    "obis": "",
    # from the values up to the services
    "date_time": "errors",
    "data": "date_time errors",
    "axdr": "data errors",
    "ber": "axdr data errors",
    "xdlms": "axdr data date_time obis errors",
    # associations, and the two ends of one
    "security": "errors",
    "acse": "ber errors",
    "session": "xdlms security errors",
    "client": "session acse xdlms axdr data security obis errors",
    "server": "client session acse xdlms data security errors",
    "objects": "xdlms data security date_time obis errors",
    # how the bytes travel
    "hdlc": "errors",
    "mode_e": "errors",
    "wrapper": "errors",
    "aio": "xdlms wrapper mode_e hdlc errors",
}

TERMINAL: Table = {"table": "", "program": ""}

CLIENT: Table = {
    "answers": "",
    "problem": "",
    "verification": "problem",
    "wallet": "problem answers",
    "api": "verification problem answers",
    "cli": "api wallet verification problem answers",
    "__main__": "cli problem",
}

SIM: Table = {
    "bus_error": "",
    "clock": "",
    "version_option": "",
    # what a meter counts, and what it shows of it
    "physics": "",
    "models": "physics",
    "config": "models",
    "measurement": "config physics clock",
    # how it is asked
    "line": "",
    "modbus": "measurement config models physics line clock bus_error",
    "dlms": "measurement config models physics line clock bus_error",
    "bus_faults": "modbus dlms bus_error",
    "simulation": "bus_faults modbus dlms config physics clock",
    "status": "simulation config",
    "run": "status simulation config bus_error",
    # the demo
    "demo.town": "models",
    "demo.periods": "",
    "demo.files": "demo.town demo.periods",
    "demo.api": "demo.files",
    "demo.processes": "demo.api demo.files demo.town",
    "demo.screen": "demo.api demo.files demo.town physics",
    "demo.audit": "demo.processes demo.files",
    "demo.identities": "demo.processes demo.files demo.town",
    "demo.clock_file": "demo.audit demo.files demo.town",
    "demo.community": (
        "demo.clock_file demo.identities demo.screen demo.processes demo.api demo.files demo.town "
        "demo.periods"
    ),
    "demo.session": "demo.community demo.screen demo.processes demo.api demo.files demo.town",
    "demo.program": "demo.session demo.audit demo.screen demo.processes demo.files",
    "demo.command": "demo.program demo.processes",
    "__main__": "demo.command demo.processes run version_option",
}

TABLES: Mapping[str, Table] = {
    "gridtokenx_wire": WIRE,
    "gridtokenx_terminal": TERMINAL,
    "gridtokenx_dlms": DLMS,
    "gridtokenx_edge": EDGE,
    "gridtokenx_backend": BACKEND,
    "gridtokenx_client": CLIENT,
    "gridtokenx_sim": SIM,
}


def folder_of(module: str, table: Table) -> str | None:
    """Return the row that a module (its name within the package) belongs to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in table:
            return name
    return None


def modules_of(package: str) -> dict[str, Path]:
    """Return every module of a package by its name within the package, but the package's own."""
    return {
        name.removeprefix(f"{package}."): file for name, file in sources(package) if name != package
    }


def imported(package: str, module: str, file: Path, known: Iterable[str]) -> Iterator[str]:
    """Yield the modules of the same package that a file imports, types included."""
    for _, name in imports(f"{package}.{module}", file):
        inner = name.removeprefix(f"{package}.")
        if inner == name:
            continue
        while inner and inner not in known:
            inner = inner.rpartition(".")[0]
        if inner and inner != module:
            yield inner


def import_graph(package: str) -> dict[str, set[str]]:
    """Return for every module of a package what it imports of the package."""
    known = modules_of(package)
    return {module: set(imported(package, module, file, known)) for module, file in known.items()}


def a_circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the nodes of one circle in their order, or nothing."""
    done: set[str] = set()
    path: list[str] = []

    def visit(node: str) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        path.append(node)
        for after in sorted(graph.get(node, ())):
            if circle := visit(after):
                return circle
        path.pop()
        done.add(node)
        return []

    for node in sorted(graph):
        if circle := visit(node):
            return circle
    return []


@pytest.mark.parametrize("package", TABLES)
def test_a_folder_imports_only_what_its_row_allows(package: str) -> None:
    table = TABLES[package]
    wrong = []
    for module, others in import_graph(package).items():
        here = folder_of(module, table)
        for other in sorted(others):
            there = folder_of(other, table)
            if here and there and there != here and there not in table[here].split():
                wrong.append(f"{module} imports {other}: {here} may not import {there}")
    assert wrong == []


@pytest.mark.parametrize("package", TABLES)
def test_every_module_is_in_a_folder_of_the_table(package: str) -> None:
    without = [
        module
        for module, file in modules_of(package).items()
        if folder_of(module, TABLES[package]) is None and not is_bare(file)
    ]
    assert without == []


def is_bare(file: Path) -> bool:
    """Whether a file is a package's `__init__` with nothing but its docstring."""
    body = ast.parse(file.read_text()).body
    return file.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in body)


@pytest.mark.parametrize("package", TABLES)
def test_a_row_allows_nothing_that_nobody_needs(package: str) -> None:
    table = TABLES[package]
    needed: dict[str, set[str]] = {row: set() for row in table}
    for module, others in import_graph(package).items():
        if here := folder_of(module, table):
            needed[here] |= {folder_of(other, table) or "" for other in others}
    unneeded = {row: sorted(set(table[row].split()) - needed[row]) for row in table}
    assert {row: names for row, names in unneeded.items() if names} == {}


@pytest.mark.parametrize("package", TABLES)
def test_no_folders_import_each_other_in_a_circle(package: str) -> None:
    assert a_circle({row: others.split() for row, others in TABLES[package].items()}) == []


@pytest.mark.parametrize("package", ROOTS)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert a_circle(import_graph(package)) == []


@pytest.mark.parametrize(
    ("graph", "circle"),
    [
        ({}, []),
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["c"]}, []),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
    ],
)
def test_a_circle_is_found_where_there_is_one(
    graph: dict[str, list[str]], circle: list[str]
) -> None:
    assert a_circle(graph) == circle


def test_every_package_has_a_table() -> None:
    assert TABLES.keys() == ROOTS.keys()
