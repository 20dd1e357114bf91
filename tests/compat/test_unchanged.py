"""What a former version stored is never changed: a later one adds a folder of its own."""

from __future__ import annotations

import hashlib

from tests.compat.stored import EXPECTED, V1


def test_the_stored_files_are_those_that_the_version_wrote() -> None:
    found = {
        str(file.relative_to(V1)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in V1.rglob("*")
        if file.is_file() and file.name not in ("README.md", "expected.json")
    }
    assert found == EXPECTED["files_sha256"]
