"""Invocation counters on the disk: none is used twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridtokenx_dlms.errors import SecurityError
from gridtokenx_dlms.security import MAX_COUNTER, Keys
from gridtokenx_edge.dlms.counters import RANGE, CounterFile


def counters_of(folder: Path, meter: str = "M-1", key: int = 0) -> CounterFile:
    return CounterFile(
        folder,
        meter,
        Keys(encryption=bytes([key] * 16), authentication=bytes(16)),
        b"GTX\0\0\0\0\1",
    )


def test_invocation_counters_are_reserved_once_for_a_key(tmp_path: Path) -> None:
    first, second = (counters_of(tmp_path).reserve() for _ in range(2))
    assert (first.start, second.start) == (0, RANGE)
    assert counters_of(tmp_path).reserve(at_least=50_000).start == 50_000
    # Another key begins anew; one that comes back goes on, also at another meter.
    assert counters_of(tmp_path, key=1).reserve().start == 0
    assert counters_of(tmp_path, "M-2").reserve().start == 50_000 + RANGE
    for file in tmp_path.glob("*.counters"):
        assert file.stat().st_mode & 0o777 == 0o600
        assert "00" * 16 not in file.read_text() + file.name


def test_the_newest_counter_of_each_meter_is_kept(tmp_path: Path) -> None:
    counters_of(tmp_path).keep_newest_received(7)
    counters_of(tmp_path).keep_newest_received(5)
    assert counters_of(tmp_path).newest_received() == 7
    assert counters_of(tmp_path, "M-2").newest_received() == -1


def test_counters_that_cannot_be_known_or_are_used_up_are_not_guessed(tmp_path: Path) -> None:
    counters = counters_of(tmp_path)
    with pytest.raises(SecurityError, match="used up"):
        counters.reserve(at_least=MAX_COUNTER + 1)
    counters.reserve()
    (file,) = tmp_path.glob("*.counters")
    file.write_text("{")
    with pytest.raises(SecurityError, match="expected invocation counters"):
        counters.reserve()
