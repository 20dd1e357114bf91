"""A scan of a line on which a meter sends without being asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.edge.commissioning.scan.scanning import AT_9600, scanned
from tests.edge.dlms.dlms_meter import PtyLine
from tests.edge.dlms.test_dlms_push import hdlc, mbus
from tests.edge.meters.pushed_messages import P1, SML, T210D

from gridtokenx_edge.commissioning.scan.report import report_fields
from gridtokenx_edge.commissioning.scan.target import SerialTarget


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (SML, "something sends by itself at 2400 8N1: SML telegrams; such a meter is not read"),
        (P1, "something sends by itself at 2400 8N1: a telegram in text, such as DSMR P1"),
        (hdlc(T210D), 'DLMS in HDLC frames; read it with [[dlms]] kind = "push", baud = 2400'),
        (mbus(T210D), 'DLMS in M-Bus frames; read it with [[dlms]] kind = "push", baud = 2400'),
    ],
)
async def test_a_line_on_which_a_meter_sends_by_itself_is_called_so(
    sent: bytes, told: str, tmp_path: Path
) -> None:
    meter = PtyLine(tmp_path / "tty")

    async def send() -> None:
        while True:
            await meter.write(sent)
            await asyncio.sleep(0.02)

    sending = asyncio.create_task(send())
    try:
        report, _ = await scanned(SerialTarget(str(tmp_path / "tty")), AT_9600, first=(1, 2))
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        meter.close()
    assert told in report.sender
    assert report_fields(report, interrupted=False)["sender"] == report.sender
    assert report.settled_garbled() == [], "the sender explains it"
    assert not report.is_clear
