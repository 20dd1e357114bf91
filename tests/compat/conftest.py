"""The stored files, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compat.stored import copy_of_v1


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    return copy_of_v1(tmp_path)
