"""A scan of simulated meters on lines and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import termios
import tty
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.edge.commissioning.scan.scanning import (
    ALL,
    AT_9600,
    answering,
    names,
    scanned,
    scanned_with_short_waits,
)

from gridtokenx_edge.commissioning.scan.identification import identify
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.commissioning.scan.report import report_fields
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.snippet import snippet
from gridtokenx_edge.commissioning.scan.target import SerialTarget, TcpTarget
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_sim.models import MODELS

Frame = Callable[[str], bytes]


@pytest.fixture(name="rtu_meter")
def _rtu_meter(rtu_server: Any, rtu: Frame) -> Callable[..., Any]:
    return partial(answering, rtu_server, rtu)


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
            (who,) = await identify(Prober(Spoken(meter)), ALL)
            verdict = who.verdict
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


async def test_sunspec_units_say_who_they_are_and_load(meters: Any) -> None:
    hall = meters.tcp(
        meters.meter("sunspec_meter", 1, "M-1"), meters.meter("sunspec_inverter", 2, "I-2")
    )
    async with meters.serve(hall) as running:
        target = TcpTarget("127.0.0.1", running.buses[0].port)
        report, _ = await scanned(target, first=(1, 2))
        ids = [meter.id for meter in running.meters]
    assert [meter.profiles for meter in report.meters] == [["sunspec_meter"], ["sunspec_inverter"]]
    assert [meter.id for meter in report.meters] == ids
    first, _ = report_fields(report, interrupted=False)["meters"]
    assert (first["sureness"], first["serial"], first["instance"]) == ("identified", "M-1", 1)
    assert report.is_clear
    text = snippet(report)
    assert 'profile = "sunspec_inverter"' in text
    assert f'id = "{ids[1]}"' in text


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
    (notice,) = heard.notices
    assert notice.startswith(f"{port} does not take 9600 baud, parity E, 1 stop bits")
    assert notice.endswith(": skipped")
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
