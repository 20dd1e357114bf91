"""What a later version stored is refused, by every program that opens it, in one line.

The line says what was expected, and what to do.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.compat.stored import EXPECTED

from gridtokenx_backend.errors import OtherVersion
from gridtokenx_backend.statements.jobs.document_store import read_document
from gridtokenx_backend.statements.render.forms import report_as

INSTALL = "install the version that wrote it, or a newer one"


def refusal(program: str, *arguments: str) -> str:
    """The one line with which a command ends, without a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line]
    return line


def execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


def a_later_journal(v1: Path) -> None:
    execute(v1 / "market/data/journal.db", "PRAGMA user_version=99")


def later_documents(v1: Path) -> None:
    execute(v1 / "market/data/documents.db", "PRAGMA user_version=99")


def a_later_series(v1: Path) -> None:
    execute(v1 / "market/data/intervals.db", "PRAGMA user_version=99")


def a_later_config(v1: Path) -> None:
    config = v1 / "market/backend.toml"
    config.write_text(f"format = 99\n{config.read_text()}")


def later_terms(v1: Path) -> None:
    terms = v1 / "market/community.toml"
    terms.write_text(f"format = 99\n{terms.read_text()}")


@pytest.mark.parametrize(
    ("make", "command", "told"),
    [
        (a_later_journal, ("run",), f"schema 3 at most, got schema 99: {INSTALL}"),
        (a_later_journal, ("replay",), "schema 3 at most, got schema 99"),
        (a_later_journal, ("replay", "--verify"), "schema 3 at most, got schema 99"),
        (a_later_journal, ("statement", "2026-03", "--out", "OUT"), "at most, got schema 99"),
        (a_later_series, ("run",), "deleted, it is built anew from the journal"),
        (a_later_series, ("replay", "--verify"), "deleted, it is built anew from the journal"),
        (
            later_documents,
            ("statement", "2026-03", "--out", "OUT"),
            f"1 at most, got 99: {INSTALL}",
        ),
        (a_later_config, ("check-config",), "format: expected 1 at most, got 99: install"),
        (a_later_config, ("run",), "format: expected 1 at most, got 99: install"),
        (later_terms, ("check-config",), "format: expected 1 at most, got 99: install"),
    ],
)
def test_a_backend_refuses_what_a_later_version_stored(
    v1: Path,
    tmp_path: Path,
    make: Callable[[Path], None],
    command: tuple[str, ...],
    told: str,
) -> None:
    make(v1)
    arguments = [str(tmp_path / "out") if each == "OUT" else each for each in command]
    config = v1 / "market" / "backend.toml"
    config.write_text(re.sub(r"(\[api\][^\[]*?port = )\d+", r"\g<1>0", config.read_text()))
    assert told in refusal("gridtokenx_backend", *arguments, "--config", str(config))


def test_a_document_of_a_later_format_is_refused(v1: Path) -> None:
    name = EXPECTED["market"]["periods"][-1]["report_sha256"]
    document = read_document(v1 / "market/data/documents.db", name)
    assert document is not None
    later = json.dumps(json.loads(document) | {"format": "gridtokenx-report-9"}).encode()
    expected = "expected a document of format gridtokenx-report-1, got gridtokenx-report-9: install"
    with pytest.raises(OtherVersion, match=expected):
        report_as("csv", later)


@pytest.mark.parametrize("command", [("status",), ("verify",), ("export", "OUT")])
def test_a_gateway_refuses_an_outbox_of_a_later_version(
    v1: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    execute(v1 / "edge/outbox-2.db", "UPDATE chain SET version = 99")
    arguments = [str(tmp_path / "out") if each == "OUT" else each for each in command]
    line = refusal(
        "gridtokenx_edge", "outbox", *arguments, "--config", str(v1 / "edge" / "edge.toml")
    )
    assert f"expected an outbox of version 2 at most, got 99: {INSTALL}" in line


def test_a_gateway_refuses_a_config_of_a_later_format(v1: Path) -> None:
    config = v1 / "edge" / "edge.toml"
    config.write_text(f"format = 99\n{config.read_text()}")
    line = refusal("gridtokenx_edge", "check-config", "--config", str(config))
    assert line.endswith("format: expected 1 at most, got 99: install the version it is for")
