"""The file that says where a gap begins: each gateway has its own, whoever shares its folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec

from gridtokenx_edge.dlms.last_readings import LastReading, LastReadings, marks_file
from gridtokenx_wire.reading import Reading

ONE, TWO = bytes(16), bytes([1] * 16)


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **_: Any) -> None:
        self.events.append(event)


async def nothing() -> AsyncIterator[Reading]:
    for reading in ():
        yield reading


def opened(folder: Path, device: bytes, *meters: str, log: Log | None = None) -> LastReadings:
    readings = LastReadings(marks_file(folder, device), cast(Any, log or Log()))
    asyncio.run(readings.follow(set(meters), nothing))
    return readings


def reading(meter: str, time_ms: int) -> Reading:
    return Reading(meter=meter, time_ms=time_ms, import_uwh=time_ms, export_uwh=0)


def last_ms(readings: LastReadings, meter: str) -> int | None:
    last = readings.last(meter)
    return last.time_ms if last else None


def test_gateways_that_share_a_folder_keep_their_own_files(tmp_path: Path) -> None:
    first, second = opened(tmp_path, ONE, "A"), opened(tmp_path, TWO, "B")
    for time_ms in (1, 2, 3):
        first.stored([reading("A", time_ms)])
        second.stored([reading("B", time_ms + 10)])
        first.save()
        second.save()
    first.close()
    second.close()
    assert len(list(tmp_path.glob("*.marks"))) == 2
    assert last_ms(opened(tmp_path, ONE, "A"), "A") == 3
    assert last_ms(opened(tmp_path, TWO, "B"), "B") == 13


def test_a_file_that_is_in_use_is_not_overwritten(tmp_path: Path) -> None:
    first = opened(tmp_path, ONE, "A")
    first.stored([reading("A", 5)])
    log = Log()
    second = opened(tmp_path, ONE, "A", log=log)
    second.stored([reading("A", 9)])
    assert log.events == ["marks_unsaved"]
    first.close()
    assert last_ms(opened(tmp_path, ONE, "A"), "A") == 5
    second.close()
    assert last_ms(opened(tmp_path, ONE, "A"), "A") == 9


def test_the_file_that_all_shared_before_is_taken_over_once(tmp_path: Path) -> None:
    marks = {
        name: LastReading(time_ms=7, import_uwh=1, export_uwh=1) for name in ("A", "a neighbour's")
    }
    (tmp_path / "dlms.marks").write_bytes(msgspec.json.encode(marks))
    readings = opened(tmp_path, ONE, "A")
    assert (last_ms(readings, "A"), last_ms(readings, "a neighbour's")) == (7, None)
    readings.stored([reading("A", 8)])
    readings.close()
    (tmp_path / "dlms.marks").write_bytes(
        msgspec.json.encode({"A": LastReading(time_ms=100, import_uwh=1, export_uwh=1)})
    )
    assert last_ms(opened(tmp_path, ONE, "A"), "A") == 8


def test_a_new_key_goes_on_where_the_former_one_left_off(tmp_path: Path) -> None:
    former = opened(tmp_path, ONE, "A")
    former.stored([reading("A", 6)])
    former.close()
    assert last_ms(opened(tmp_path, TWO, "A"), "A") == 6
