"""What a former version stored, copied to where a test may open it; and the programs that do."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

V1 = Path(__file__).parent / "v1"
EXPECTED: dict[str, Any] = json.loads((V1 / "expected.json").read_text())
COMMUNITIES = ("market", "sharing")
_SECRET = ("*.key", "operator.token", "secrets/*")
_TIMEOUT_S = 60


def copy_of_v1(folder: Path) -> Path:
    """The files of `v1` in `folder`, as they lay on their machines: keys for their owner only."""
    copied = folder / "v1"
    shutil.copytree(V1, copied)
    for pattern in _SECRET:
        for file in copied.rglob(pattern):
            file.chmod(0o600)
    return copied


def run(program: str, *arguments: str) -> str:
    """What a command writes to stdout; it must end with exit code 0."""
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(program: str, *arguments: str) -> Any:
    """What a command says with --json."""
    return json.loads(run(program, *arguments, "--json"))


def cut(journal: Path, last_entry: int) -> None:
    """Takes a journal back to where it was when `last_entry` was its newest."""
    with closing(sqlite3.connect(journal)) as database, database:
        for table in ("journal", "trade", "snapshot"):
            database.execute(f"DELETE FROM {table} WHERE seq > ?", (last_entry,))  # noqa: S608


def forget_snapshots(journal: Path, after: int) -> None:
    """Deletes the snapshots with a number above `after`."""
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("DELETE FROM snapshot WHERE seq > ?", (after,))


def count(database: Path, table: str) -> int:
    """How many rows a table has."""
    with closing(sqlite3.connect(database)) as opened:
        (found,) = opened.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        assert isinstance(found, int)
        return found


def entries_of(journal: Path, last_entry: int) -> list[tuple[Any, ...]]:
    """The rows of a journal's entries up to `last_entry`, as they are stored."""
    query = "SELECT * FROM journal WHERE seq <= ? ORDER BY seq"
    with closing(sqlite3.connect(journal)) as database:
        return database.execute(query, (last_entry,)).fetchall()
