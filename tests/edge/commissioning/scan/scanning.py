"""What the tests of a scan share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gridtokenx_edge.commissioning.scan.listening import HeardSender, listen_for_senders
from gridtokenx_edge.commissioning.scan.results import FoundMeter, ScanReport
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.sweep import Scan, ScanPlan
from gridtokenx_edge.commissioning.scan.target import SerialTarget, Target
from gridtokenx_edge.meters.profile import load_profile, profile_names

# Without rests between requests: simulated meters need none.
ALL = {name: msgspec.structs.replace(load_profile(name), min_gap_ms=0) for name in profile_names()}
SOME = (
    "abb_b23",
    "carlo_gavazzi_em24_e1",
    "carlo_gavazzi_em24_rs485",
    "carlo_gavazzi_em340",
    "eastron_sdm120",
    "eastron_sdm630",
)
PROFILES = {name: ALL[name] for name in SOME}
AT_9600 = LineSettings(9600)


class Heard:
    """What a scan tells on its way."""

    def __init__(self) -> None:
        self.tries: list[tuple[str, int]] = []
        self.notices: list[str] = []

    def trying(self, settings: LineSettings | None, addresses: int, seconds: float) -> None:
        assert seconds > 0
        self.tries.append((str(settings), addresses))

    def tried(self, address: int) -> None: ...

    def found(self, meter: FoundMeter) -> None: ...

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def looking(self, text: str) -> None: ...


async def hear_shortly(target: SerialTarget) -> HeardSender | None:
    """Listen to a line of the test's own, on which a sender begins at once."""
    return await listen_for_senders(target, silence_s=0.3)


async def scanned(
    target: Target, *settings: LineSettings, only: str = "", **plan: Any
) -> tuple[ScanReport, Heard]:
    heard = Heard()
    profiles = {only: ALL[only]} if only else PROFILES
    scan = Scan(target, ScanPlan(settings=settings, **plan), profiles, heard, hear=hear_shortly)
    report = await scan.run()
    assert report.notices == heard.notices
    return report, heard


async def scanned_with_short_waits(target: Target, **plan: Any) -> tuple[ScanReport, Heard]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridtokenx_edge.commissioning.scan.timing._TCP_PROBE_S", 0.05)
        patch.setattr("gridtokenx_edge.commissioning.scan.timing._TCP_READ_S", 0.05)
        return await scanned(target, **plan)


def names(meter: FoundMeter) -> list[str]:
    return [candidate.name for candidate in meter.who.verdict.best]


def answering(
    server: Any,
    rtu: Callable[[str], bytes],
    words: Callable[[int, int], int | None],
    addresses: range = range(1, 2),
) -> Any:
    """A server whose addresses answer each register as `words` does for a function code and an
    address: with a word, or None for exception 2."""

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        unit, function = request[0], request[1]
        start, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if unit not in addresses:
            return []
        answers = [words(function, start + offset) for offset in range(count)]
        if None in answers:
            return [(0, rtu(f"{unit:02x} {function | 0x80:02x} 02"))]
        data = b"".join(word.to_bytes(2, "big") for word in answers if word is not None)
        return [(0, rtu(f"{unit:02x} {function:02x} {len(data):02x} {data.hex()}"))]

    return server(answer)
