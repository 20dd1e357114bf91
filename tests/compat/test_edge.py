"""A gateway's files that a former version stored: nothing is lost, sent twice or used twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.compat.stored import EXPECTED, V1, told

from gridtokenx_edge.agent.retired_keys import mark_of
from gridtokenx_edge.agent.stored_readings import stored_readings
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import resolve_paths
from gridtokenx_edge.dlms.last_readings import LastReadings
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.log import start_logging
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.frame import ClockStatus, frame_hash, open_frame
from gridtokenx_wire.keys import device_text, load_private_key
from gridtokenx_wire.reading import Reading

OUTBOXES = [
    ("edge-2.key", "outbox-2.db", EXPECTED["outbox"]),
    ("edge.key", "outbox.db", EXPECTED["former_outbox"]),
]


@asynccontextmanager
async def opened(v1: Path, key: str, name: str) -> AsyncIterator[Outbox]:
    outbox = Outbox(v1 / "edge" / name, load_private_key(v1 / "edge" / key))
    await outbox.open()
    try:
        yield outbox
    finally:
        await outbox.close()


@pytest.mark.parametrize(("key", "name", "expected"), OUTBOXES, ids=["present", "former"])
async def test_the_outbox_has_every_frame_that_it_had(
    v1: Path, key: str, name: str, expected: dict[str, Any]
) -> None:
    public_key = load_private_key(v1 / "edge" / key).public_key()
    async with opened(v1, key, name) as outbox:
        assert device_text(outbox.device) == expected["device"]
        assert outbox.chain.hex() == expected["chain"]
        assert (outbox.oldest_seq, outbox.next_seq) == (expected["first_seq"], expected["next_seq"])
        mark = outbox.clock_mark
        stored = await outbox.frames(0, 1000)
    assert mark is not None
    assert (mark.boot, mark.offset_ms) == (expected["clock_boot"], expected["clock_offset_ms"])
    found = []
    for each in stored:
        frame = open_frame(each.message, public_key)
        found.append(
            {
                "first_seq": each.first_seq,
                "seq": each.seq,
                "sha256": frame_hash(each.message).hex(),
                "readings": len(frame.time_ms),
                "left_out": frame.left_out,
            }
        )
    assert found == expected["frames"]


def test_the_chain_holds_from_the_summary_to_the_newest_frame(v1: Path) -> None:
    frames = EXPECTED["outbox"]["frames"]
    config = str(v1 / "edge" / "edge.toml")
    assert told("gridtokenx_edge", "outbox", "verify", "--config", config) == {
        "ok": True,
        "frames": len(frames),
        "summaries": sum(each["first_seq"] < each["seq"] for each in frames),
        "first_seq": EXPECTED["outbox"]["first_seq"],
        "next_seq": EXPECTED["outbox"]["next_seq"],
        "readings": sum(each["readings"] for each in frames),
        "readings_thinned": sum(each["left_out"] for each in frames),
    }


async def test_the_next_frame_is_linked_to_the_newest_stored_one(v1: Path) -> None:
    public_key = load_private_key(v1 / "edge" / "edge-2.key").public_key()
    expected = EXPECTED["outbox"]
    async with opened(v1, "edge-2.key", "outbox-2.db") as outbox:
        seq = await outbox.append(
            [Reading(meter="M-1", time_ms=1, import_uwh=1, export_uwh=1)],
            ClockStatus(synchronised=True, stepped=False, source="ntp"),
        )
        (stored,) = await outbox.frames(seq, 1)
    frame = open_frame(stored.message, public_key)
    assert (frame.seq, frame.chain.hex()) == (expected["next_seq"], expected["chain"])
    assert frame.prev.hex() == expected["frames"][-1]["sha256"]


def test_the_frames_are_exported_as_they_were(v1: Path, tmp_path: Path) -> None:
    config, file = str(v1 / "edge" / "edge.toml"), tmp_path / "south.frames"
    told("gridtokenx_edge", "outbox", "export", str(file), "--config", config)
    assert file.read_bytes() == (V1 / "transfer" / "south.frames").read_bytes()


async def test_acks_from_a_file_let_go_of_what_they_cover(v1: Path) -> None:
    config, acks = v1 / "edge" / "edge.toml", v1 / "transfer" / "south.frames.acks"
    answer = told("gridtokenx_edge", "outbox", "acked", str(acks), "--config", str(config))
    assert answer == {"next_seq": EXPECTED["carried"]["next_seq"], "taken": "now"}
    async with opened(v1, "edge-2.key", "outbox-2.db") as outbox:
        kept = [each.seq for each in await outbox.frames(0, 1000)]
    assert kept == [EXPECTED["outbox"]["next_seq"] - 1], "the newest stays as the chain's head"


def test_the_config_has_no_findings(v1: Path) -> None:
    answer = told("gridtokenx_edge", "check-config", "--config", str(v1 / "edge" / "edge.toml"))
    assert answer == {
        "ok": True,
        "buses": 6,
        "meters": EXPECTED["edge"]["meters"],
        "key": "present",
    }


def test_no_invocation_counter_is_used_a_second_time(v1: Path) -> None:
    config = load_config(v1 / "edge" / "edge.toml")
    (meter,) = config.dlms[0].meter
    counters = access_of(meter, DlmsFiles(folder=v1 / "edge", state=v1 / "edge")).counters
    assert counters is not None
    assert counters.newest_received() == EXPECTED["edge"]["counters_heard"]
    assert counters.reserve().start == EXPECTED["edge"]["counters_next"]
    assert [file.name for file in (v1 / "edge").glob("*.counters")] == [
        EXPECTED["edge"]["counters_file"]
    ]


async def test_the_last_reading_of_each_dlms_meter_is_known(v1: Path, tmp_path: Path) -> None:
    expected = EXPECTED["edge"]["marks"]
    key = load_private_key(v1 / "edge" / "edge-2.key")
    readings = LastReadings(v1 / "edge" / "dlms.marks", start_logging())
    empty = Outbox(tmp_path / "empty.db", key)
    await readings.follow(set(expected), lambda: stored_readings(empty, key.public_key()))
    await empty.close()
    found = {name: last.time_ms for name in expected if (last := readings.last(name))}
    assert found == expected


def test_a_former_key_that_was_drained_is_not_asked_again(v1: Path) -> None:
    path = v1 / "edge" / "edge.toml"
    (former,) = resolve_paths(load_config(path), path).former
    assert former.outbox == v1 / "edge" / "outbox.db"
    assert mark_of(former).exists()
