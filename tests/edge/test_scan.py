"""A scan of simulated meters on lines and sockets, and of strange devices made of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import load_profile, profile_names
from gridtokenx_edge.modbus.faults import LineDown, MeterRefused
from gridtokenx_edge.scan.asker import Asker
from gridtokenx_edge.scan.found import FoundMeter, Report
from gridtokenx_edge.scan.identify import identify
from gridtokenx_edge.scan.report import report_fields
from gridtokenx_edge.scan.settings import LineSettings
from gridtokenx_edge.scan.snippet import snippet
from gridtokenx_edge.scan.sweep import Plan, Scan
from gridtokenx_edge.scan.target import SerialTarget, Target, TcpTarget
from gridtokenx_sim.faults import Crc, Slow
from gridtokenx_sim.models import MODELS

Frame = Callable[[str], bytes]
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


async def scanned(
    target: Target, *settings: LineSettings, only: str = "", **plan: Any
) -> tuple[Report, Heard]:
    heard = Heard()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # as run_quietly does
    profiles = {only: ALL[only]} if only else PROFILES
    report = await Scan(target, Plan(settings, **plan), profiles, heard).run()
    assert report.notices == heard.notices
    return report, heard


async def scanned_with_short_waits(target: Target, **plan: Any) -> tuple[Report, Heard]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridtokenx_edge.scan.timing._TCP_PROBE_S", 0.05)
        patch.setattr("gridtokenx_edge.scan.timing._TCP_READ_S", 0.05)
        return await scanned(target, **plan)


def names(meter: FoundMeter) -> list[str]:
    return [candidate.name for candidate in meter.who.verdict.best]


@pytest.fixture(name="rtu_meter")
def _rtu_meter(rtu_server: Any, rtu: Frame) -> Callable[..., Any]:
    """A server whose address 1 answers each register as `words` does: a word, or None for
    exception 2."""

    def make(words: Callable[[int, int], int | None], addresses: range = range(1, 2)) -> Any:
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

        return rtu_server(answer)

    return make


# --- names --------------------------------------------------------------------------------------


class Spoken:
    """A simulated meter as a source, without a bus between."""

    def __init__(self, meter: Any) -> None:
        self._meter = meter

    async def read(self, block: Block) -> list[int]:
        answer = self._meter.answer(block.fc, block.address, block.count)
        if answer.registers is None:
            raise MeterRefused(answer.exception)
        return list(answer.registers)


async def test_every_model_is_named_among_all_profiles(meters: Any) -> None:
    models = sorted(model for model in MODELS if model in ALL)
    assert models
    hall = meters.tcp(*(meters.meter(model, 1 + at) for at, model in enumerate(models)))
    async with meters.serve(hall) as running:
        for meter in running.meters:
            verdict = (await identify(Asker(Spoken(meter)), ALL)).verdict
            assert meter.model in [candidate.name for candidate in verdict.best]
            assert verdict.reads_alike  # one model, or some that read the same
            assert f"1{meter.address:03}" == verdict.best[0].serial


async def test_meters_are_named_on_a_line(meters: Any) -> None:
    models = ["abb_b23", "eastron_sdm630", "carlo_gavazzi_em24_rs485"]
    bus = meters.serial(*(meters.meter(model, 1 + at) for at, model in enumerate(models)))
    async with meters.serve(bus) as running:
        target = SerialTarget(str(running.buses[0].path))
        report, _ = await scanned(target, AT_9600, first=(1, 2, 3))
    assert [names(meter) for meter in report.meters] == [[model] for model in models]
    assert [meter.serial for meter in report.meters] == ["1001", "1002", "1003"]
    assert report.is_clear


async def test_meters_are_named_behind_a_server(meters: Any) -> None:
    models = ["carlo_gavazzi_em24_e1", "eastron_sdm120"]
    hall = meters.tcp(*(meters.meter(model, 1 + at) for at, model in enumerate(models)))
    async with meters.serve(hall) as running:
        target = TcpTarget("127.0.0.1", running.buses[0].port)
        report, _ = await scanned(target, first=(1, 2, 3))
    assert [names(meter) for meter in report.meters] == [[model] for model in models]
    assert [meter.settings for meter in report.meters] == [None, None]


async def test_a_sunspec_device_says_who_it_is(rtu_meter: Any) -> None:
    common = [0] * 66
    common[:2] = [1, 66]
    for at, text in ((2, "Fronius"), (18, "Symo 8.2"), (50, "S-77")):
        data = text.encode().ljust(32, b"\0")
        common[at : at + 16] = [int.from_bytes(data[of : of + 2], "big") for of in range(0, 32, 2)]
    image = dict(enumerate([0x5375, 0x6E53, *common], start=40000))
    async with rtu_meter(lambda _, at: image.get(at)) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned(target, first=(1,))
    (fields,) = report_fields(report, interrupted=False)["meters"]
    assert fields["model"] == "Fronius Symo 8.2 (SunSpec)"
    assert fields["serial"] == "S-77"


# --- settings -----------------------------------------------------------------------------------


async def test_the_settings_at_which_somebody_answers_are_the_lines(meters: Any) -> None:
    bus = meters.serial(meters.meter("abb_b23", 2), meters.meter("abb_b23", 30), baud=19200)
    rates = (AT_9600, LineSettings(19200), LineSettings(38400))
    async with meters.serve(bus) as running:
        target = SerialTarget(str(running.buses[0].path))
        report, heard = await scanned(target, *rates, first=(1, 2), rest=(3, 30, 31))
    assert [(str(of.settings), of.address) for of in report.meters] == [
        ("19200 8N1", 2),
        ("19200 8N1", 30),
    ]
    assert heard.tries == [("9600 8N1", 2), ("19200 8N1", 2), ("19200 8N1", 3)]
    assert report.complete


async def test_with_everything_no_settings_are_left_out(meters: Any) -> None:
    bus = meters.serial(meters.meter("abb_b23", 2))
    rates = (AT_9600, LineSettings(19200))
    async with meters.serve(bus) as running:
        target = SerialTarget(str(running.buses[0].path))
        _, heard = await scanned(target, *rates, first=(2,), rest=(3,), everything=True)
    assert heard.tries == [("9600 8N1", 1), ("19200 8N1", 1), ("9600 8N1", 1), ("19200 8N1", 2)]


async def test_a_parity_that_the_adapter_does_not_do_is_skipped_and_told(meters: Any) -> None:
    bus = meters.serial(meters.meter("abb_b23", 1))
    async with meters.serve(bus) as running:
        port = str(running.buses[0].path)
        report, heard = await scanned(
            SerialTarget(port), LineSettings(9600, "E"), AT_9600, first=(1,)
        )
    assert heard.notices == [f"{port} does not do 9600 baud with parity E: skipped"]
    assert [str(meter.settings) for meter in report.meters] == ["9600 8N1"]


async def test_a_meter_that_is_silent_to_the_first_question_is_asked_another(
    rtu_server: Any, rtu: Frame
) -> None:
    def answer(request: bytes) -> list[tuple[float, bytes]]:
        return [(0, rtu("01 83 02"))] if request[1] == 3 else []

    async with rtu_server(answer) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned_with_short_waits(target, first=(1,))
    (meter,) = report.meters
    assert meter.who.verdict.sureness == "unknown"


async def test_a_device_that_answers_to_every_unit_is_one(meters: Any, rtu_server: Any) -> None:
    # On the wire, the same meter under five addresses.
    hall = meters.tcp(*(meters.meter("abb_b23", unit, "77") for unit in (1, 2, 3, 4, 5)))
    async with meters.serve(hall) as running:
        target = TcpTarget("127.0.0.1", running.buses[0].port)
        report, heard = await scanned(target, first=(1, 2, 3, 4, 5))
    assert [meter.address for meter in report.meters] == [1]
    assert heard.notices == ["the device answers to every unit; 1 is enough"]


# --- what is no meter, or a bad line ------------------------------------------------------------


async def test_a_meter_of_zeros_has_no_name(rtu_meter: Any) -> None:
    async with rtu_meter(lambda _, __: 0) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned(target, first=(1,))
    (meter,) = report.meters
    assert names(meter) == []
    assert meter.who.note == "answers zero for every register asked for"
    assert not report.is_clear


async def test_a_meter_that_refuses_everything_has_no_name(rtu_meter: Any) -> None:
    async with rtu_meter(lambda _, __: None) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned(target, first=(1,))
    assert report.meters[0].who.note == "refuses every register asked for (exception 2)"


async def test_a_meter_of_ones_has_no_name(rtu_meter: Any) -> None:
    async with rtu_meter(lambda _, __: 0xFFFF) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned(target, first=(1,))
    assert names(report.meters[0]) == []
    assert report.meters[0].who.note == "answers, but fits no known model"


async def test_swapped_words_do_not_win(rtu_meter: Any, meters: Any) -> None:
    """An EM340 that sends the high word first: no profile of ours reads it right."""
    layout = MODELS["carlo_gavazzi_em340"]
    async with meters.serve(meters.serial(meters.meter("carlo_gavazzi_em340", 1))) as running:
        sim = running.meters[0]

        def words(function: int, at: int) -> int | None:
            if at > 0x50:
                return None
            partner = at ^ 1
            answer = sim.answer(function, partner, 1).registers
            return answer[0] if answer and at != 0x000B else 0

        async with rtu_meter(words) as server:
            target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
            report, _ = await scanned(target, first=(1,))
    assert layout.model not in names(report.meters[0])


async def test_two_meters_at_one_address_are_told_as_garbled(meters: Any) -> None:
    bus = meters.serial(meters.meter("abb_b23", 1), meters.meter("eastron_sdm630", 2))
    async with meters.serve(bus) as running:
        running.meter("ABB-1001").inject(Crc())  # what two voices at a time sound like
        target = SerialTarget(str(running.buses[0].path))
        report, _ = await scanned(target, AT_9600, first=(1, 2, 3))
    assert [meter.address for meter in report.meters] == [2]
    (garbled,) = report.settled_garbled()
    assert garbled.address == 1
    assert garbled.heard
    assert not report.is_clear
    fields = report_fields(report, interrupted=False)
    assert "two meters with one address" in fields["garbled"][0]["error"]


async def test_a_meter_whose_replies_are_garbled_now_and_then_is_named(meters: Any) -> None:
    bus = meters.serial(meters.meter("abb_b23", 1))
    async with meters.serve(bus) as running:
        running.meter("ABB-1001").inject(Crc(every=5))
        target = SerialTarget(str(running.buses[0].path))
        report, _ = await scanned(target, AT_9600, only="abb_b23", first=(1,))
    assert names(report.meters[0]) == ["abb_b23"]


async def test_noise_whoever_is_asked_is_told_once_and_ends_the_settings(rtu_server: Any) -> None:
    async with rtu_server(lambda _: [(0, b"\x00\xfe\x00")]) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, heard = await scanned_with_short_waits(target, first=tuple(range(1, 20)))
    assert report.meters == []
    assert heard.notices == ["bytes come back whoever is asked, but no reply: noise on the line?"]
    assert len(report.settled_garbled()) <= 20


async def test_an_adapter_that_echoes_is_told(rtu_server: Any) -> None:
    async with rtu_server(lambda request: [(0, request)]) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        _, heard = await scanned_with_short_waits(target, first=(1, 2))
    assert heard.notices == ["the adapter hears what it sends: switch its echo off"]


async def test_a_slow_meter_is_found_by_its_late_reply(meters: Any) -> None:
    bus = meters.serial(meters.meter("abb_b23", 1))
    async with meters.serve(bus) as running:
        running.meter("ABB-1001").inject(Slow(delay_ms=400))
        target = SerialTarget(str(running.buses[0].path))
        report, _ = await scanned(target, AT_9600, only="abb_b23", first=(1, 2, 3))
    assert [meter.address for meter in report.meters] == [1]
    assert names(report.meters[0]) == ["abb_b23"]


async def test_an_adapter_that_is_pulled_out_ends_the_scan_with_what_was_found(
    meters: Any,
) -> None:
    bus = meters.serial(meters.meter("abb_b23", 1))
    async with meters.serve(bus) as running:

        class Pulls(Heard):
            def found(self, _meter: FoundMeter) -> None:
                pulls.append(asyncio.create_task(running.buses[0].unplug()))

        pulls: list[asyncio.Task[None]] = []
        target = SerialTarget(str(running.buses[0].path))
        plan = Plan((AT_9600,), tuple(range(1, 200)))
        scan = Scan(target, plan, PROFILES, Pulls())
        with pytest.raises(LineDown, match="found none"):
            await scan.run()
        assert [meter.address for meter in scan.report.meters] == [1]
        assert not scan.report.complete


# --- never writes -------------------------------------------------------------------------------


@contextlib.contextmanager
def tapped(port: Path, link: Path) -> Iterator[bytearray]:
    """A second line in front of `port`; yields every byte that went towards it."""
    near, far = pty.openpty()
    inner = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    for end in (far, inner):
        tty.setraw(end)
    settings = termios.tcgetattr(inner)
    settings[4:6] = [termios.B9600, termios.B9600]
    termios.tcsetattr(inner, termios.TCSANOW, settings)
    os.set_blocking(near, False)
    link.symlink_to(os.ttyname(far))
    sent = bytearray()
    loop = asyncio.get_running_loop()

    def towards_meters() -> None:
        data = os.read(near, 4096)
        sent.extend(data)
        os.write(inner, data)

    loop.add_reader(near, towards_meters)
    loop.add_reader(inner, lambda: os.write(near, os.read(inner, 4096)))
    try:
        yield sent
    finally:
        loop.remove_reader(near)
        loop.remove_reader(inner)
        for end in (near, far, inner):
            os.close(end)


def requests_in(sent: bytes, rtu: Frame) -> Iterator[bytes]:
    """The bytes as read requests, eight bytes each with a checksum; fails at anything else."""
    assert len(sent) % 8 == 0
    for at in range(0, len(sent), 8):
        request = sent[at : at + 8]
        assert rtu(request[:6].hex()) == request
        yield request


async def test_no_byte_on_the_wire_belongs_to_anything_but_a_read(
    meters: Any, tmp_path: Path, rtu: Frame
) -> None:
    bus = meters.serial(
        meters.meter("abb_b23", 1),
        meters.meter("eastron_sdm120", 2),
        meters.meter("carlo_gavazzi_em24_rs485", 3),
    )
    async with meters.serve(bus) as running:
        link = tmp_path / "tap.tty"
        with tapped(running.buses[0].path, link) as sent:
            report, _ = await scanned(SerialTarget(str(link)), AT_9600, first=(1, 2, 3, 4))
    assert len(report.meters) == 3
    census: dict[int, int] = {}
    for request in requests_in(bytes(sent), rtu):
        census[request[1]] = census.get(request[1], 0) + 1
    assert set(census) == {3, 4}
    assert sum(census.values()) >= report.requests


# --- the snippet --------------------------------------------------------------------------------


async def test_the_snippet_of_a_strange_bus_says_why_in_comments(rtu_meter: Any) -> None:
    async with rtu_meter(lambda _, __: 0) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned(target, first=(1,))
    text = snippet(report)
    assert all(not line or line.startswith("#") for line in text.splitlines())
    assert "# address 1: answers zero for every register asked for" in text
