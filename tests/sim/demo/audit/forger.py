"""A forger of journals: it changes entries, and seals them again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.demo.files.folder import Folder

MOVEMENTS = 7
"""Where the outcome of a frame, an order or a clearing has its movements."""


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    with connection:
        yield connection
    connection.close()


class Forger:
    """Changes a journal's entries and seals them again, as somebody who knows the format would."""

    def __init__(self, folder: Folder) -> None:
        self.path = folder.journal

    def seqs(self, kind: str) -> list[int]:
        """Return the numbers of the entries of a kind that moved something, or of all of
        that kind.
        """
        with database(self.path) as rows:
            found = rows.execute("SELECT seq, leaf FROM journal WHERE kind = ?", (kind,)).fetchall()
        moving = [seq for seq, leaf in found if json.loads(leaf)["movements"]]
        return moving or [seq for seq, _ in found]

    def outcome(self, seq: int) -> Any:
        with database(self.path) as rows:
            query = "SELECT outcome FROM journal WHERE seq = ?"
            return msgspec.msgpack.decode(rows.execute(query, (seq,)).fetchone()[0])

    def change(self, seq: int, change: Callable[[Any], None], *, in_leaf: bool = True) -> None:
        """Applies `change` to an entry's outcome, and tells it in its leaf."""
        with database(self.path) as rows:
            query = "SELECT leaf, salt, input, outcome FROM journal WHERE seq = ?"
            raw_leaf, salt, input_, raw_outcome = rows.execute(query, (seq,)).fetchone()
            outcome = msgspec.msgpack.decode(raw_outcome)
            change(outcome)
            stored = msgspec.msgpack.encode(outcome)
            leaf = json.loads(raw_leaf)
            committed = hashlib.sha256(salt + len(input_).to_bytes(8, "big") + input_ + stored)
            leaf["commitment"] = committed.hexdigest()
            if in_leaf:
                leaf["movements"] = _movements(outcome)
            sealed = json.dumps(leaf, separators=(",", ":")).encode()
            rows.execute(
                "UPDATE journal SET leaf = ?, leaf_hash = ?, outcome = ? WHERE seq = ?",
                (sealed, hashlib.sha256(b"\x00" + sealed).digest(), stored, seq),
            )

    def append(self, kind: str, outcome: list[Any], movements: list[Any]) -> None:
        """An entry more, sealed like the others; its input is empty."""
        with database(self.path) as rows:
            query = "SELECT max(seq), max(at_ms) FROM journal"
            last, at_ms = rows.execute(query).fetchone()
            stored, salt = msgspec.msgpack.encode(outcome), bytes(16)
            committed = hashlib.sha256(salt + bytes(8) + stored).hexdigest()
            leaf = {"v": 1, "seq": last + 1, "at_ms": at_ms, "kind": kind}
            leaf |= {"movements": movements, "commitment": committed}
            sealed = json.dumps(leaf, separators=(",", ":")).encode()
            digest = hashlib.sha256(b"\x00" + sealed).digest()
            rows.execute(
                "INSERT INTO journal (seq, at_ms, kind, previous, leaf, leaf_hash, salt, input,"
                " outcome) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)",
                (last + 1, at_ms, kind, sealed, digest, salt, b"", stored),
            )

    def execute(self, statement: str, *values: Any) -> None:
        with database(self.path) as rows:
            rows.execute(statement, values)


def _movements(outcome: Any) -> list[Any]:
    if outcome[0] == "tick":
        placed = [movement for order in outcome[1] for movement in order[MOVEMENTS]]
        return [*placed, *outcome[4]]
    if outcome[0] in ("frame", "order", "clear"):
        return list(outcome[MOVEMENTS])
    return list(outcome[1]) if outcome[0] == "configure" else []


def minting(forger: Forger) -> int:
    """Return the number of the first frame that minted."""
    return forger.seqs("frame")[0]
