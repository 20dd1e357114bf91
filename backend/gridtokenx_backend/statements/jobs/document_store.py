"""Stores documents under their hash, so that none is ever overwritten.

The journal's entry of a period's step names the hashes. A document that no entry names was made
by a run that did not come to its end; it does no harm.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from gridtokenx_backend.errors import CannotStart, OtherVersion
from gridtokenx_backend.statements.model.document import sha256

_VERSION = 1
"""A file without a number is of version 1, too: version 0.1.0 of the program wrote none."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
  sha256 TEXT PRIMARY KEY,
  packed BLOB NOT NULL
) STRICT, WITHOUT ROWID
"""


class DocumentStore:
    """The store for writing, in one SQLite file. Within `with`, all documents are kept or none."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises CannotStart."""
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            _check_version(path, self._db)
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotStart(f"{path}: cannot keep documents: {reason}") from None

    def __enter__(self) -> Self:
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.execute("ROLLBACK" if error else "COMMIT")
        self._db.close()

    def put(self, document: bytes) -> str:
        """Store a document and return its SHA-256 in hex. Raises CannotStart."""
        name = sha256(document)
        packed = zlib.compress(document, 6)
        try:
            self._db.execute("INSERT OR IGNORE INTO document VALUES (?,?)", (name, packed))
        except sqlite3.Error as error:
            raise CannotStart(f"{self._path}: cannot keep documents: {error}") from None
        return name


def _check_version(path: Path, db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise OtherVersion(
            f"{path}: expected version {_VERSION} at most, got {version}: install the version that "
            "wrote it, or a newer one"
        )


def read_document(path: Path, name: str) -> bytes | None:
    """Return the document of that hash, or None if it is not stored here.

    Raises CannotStart if the store cannot be read, or if the document was changed.
    """
    if not path.exists():
        return None
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            _check_version(path, db)
            row = db.execute("SELECT packed FROM document WHERE sha256 = ?", (name,)).fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise CannotStart(f"{path}: cannot be read: {error}") from None
    document = zlib.decompress(row[0]) if row else None
    if document is not None and sha256(document) != name:
        raise CannotStart(f"{path}: the document {name} was changed")
    return document
