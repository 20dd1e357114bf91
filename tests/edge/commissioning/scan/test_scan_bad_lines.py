"""A scan of strange devices, and of lines that garble, echo or break."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.edge.commissioning.scan.scanning import (
    AT_9600,
    PROFILES,
    Heard,
    answering,
    names,
    scanned,
    scanned_with_short_waits,
)

from gridtokenx_edge.commissioning.scan.report import report_fields
from gridtokenx_edge.commissioning.scan.results import FoundMeter, ScanReport
from gridtokenx_edge.commissioning.scan.snippet import snippet
from gridtokenx_edge.commissioning.scan.sweep import Scan, ScanPlan
from gridtokenx_edge.commissioning.scan.target import SerialTarget, TcpTarget
from gridtokenx_edge.polling.faults import LineDown
from gridtokenx_sim.config.faults import Crc, Slow
from gridtokenx_sim.models import MODELS

Frame = Callable[[str], bytes]


@pytest.fixture(name="rtu_meter")
def _rtu_meter(rtu_server: Any, rtu: Frame) -> Callable[..., Any]:
    return partial(answering, rtu_server, rtu)


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
        running.meter("ABB-1001").inject(Crc(every=7))
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
        running.meter("ABB-1001").inject(Slow(delay_ms=300))
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
        plan = ScanPlan(settings=(AT_9600,), first=tuple(range(1, 200)))
        scan = Scan(target, plan, PROFILES, Pulls())
        with pytest.raises(LineDown, match="found none"):
            await scan.run()
        assert [meter.address for meter in scan.report.meters] == [1]
        assert not scan.report.complete


# --- the snippet --------------------------------------------------------------------------------


async def test_the_snippet_of_a_strange_bus_says_why_in_comments(rtu_meter: Any) -> None:
    async with rtu_meter(lambda _, __: 0) as server:
        target = TcpTarget("127.0.0.1", server.port, rtu_over_tcp=True)
        report, _ = await scanned(target, first=(1,))
    text = snippet(report)
    assert snippet(ScanReport(target=target)) == f"# {target}: no meter was found\n"
    assert all(not line or line.startswith("#") for line in text.splitlines())
    assert "# address 1: answers zero for every register asked for" in text
